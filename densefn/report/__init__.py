"""The page of one or several runs: config, curves, final figures, what is inside the model, in one file."""

from densefn.report.page import page as page
from densefn.report.page import write_own as write_own
from densefn.report.reading import ReportError as ReportError
from densefn.report.reading import read_all as read_all
