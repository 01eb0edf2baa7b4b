"""The page of one or several runs: config, curves, final figures, what is inside the model, in one file."""

from densefn.training.report.page import page as page
from densefn.training.report.page import write_own as write_own
from densefn.training.report.reading import ReportError as ReportError
from densefn.training.report.reading import read_all as read_all
