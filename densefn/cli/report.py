"""densefn report: writes a web page that shows one run or compares several."""

import argparse
from pathlib import Path
from typing import Any

from densefn.cli.console import add_output, fail, fail_without_package, write_file


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="show one run or compare several on a web page",
        description="Write a web page that shows one run or compares several: final metrics, differences between the "
        "configs, curves, confusion matrix or residuals, gradient norms, and histograms of weights and layer outputs.",
        epilog="example: densefn report runs/digits-* -o comparison.html",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="the folder of a run")
    add_output(
        parser, "the page (default: report.html in the folder of the run, or for several runs in the current folder)"
    )
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from densefn import report
    except ModuleNotFoundError as error:
        return fail_without_package("a report", error, "train")
    runs = arguments.runs
    output = arguments.output or (runs[0] if len(runs) == 1 else Path()) / "report.html"
    try:
        page = report.page(report.read_all(runs))
    except report.ReportError as error:
        return fail(str(error))
    status = write_file(page.encode(), output)
    if not status:
        print(f"open {output}")
    return status
