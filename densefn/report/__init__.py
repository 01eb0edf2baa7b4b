"""The page of one or several runs: config, curves, final figures, what is inside the model, in one file."""

from densefn.report.page import page as page
from densefn.report.page import write_report as write_report
from densefn.report.run import ReportError as ReportError
from densefn.report.run import read_all as read_all
