"""Reports of runs: a single HTML page with metrics, curves, diagnostics, model and config."""

from densefn.report.page import page as page
from densefn.report.page import write_report as write_report
from densefn.report.run import ReportError as ReportError
from densefn.report.run import read_all as read_all
