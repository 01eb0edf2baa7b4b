"""densefn evaluate: computes the loss and the metrics of a trained model."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from densefn.cli.console import add_output, fail, fail_without_package, warn, write_text


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="compute the loss and the metrics of a trained model",
        description="Compute the loss and the metrics of a trained model, for the rows that its run held out or for a "
        "file of rows with targets.",
        epilog="example: densefn evaluate runs/houses new.csv",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "rows",
        type=Path,
        nargs="?",
        metavar="INPUT",
        help="a file of rows with targets (default: the rows that the run held out)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    add_output(parser)
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from densefn import data
        from densefn.training import metrics_file, trained
    except ModuleNotFoundError as error:
        return fail_without_package("evaluating", error, "train")
    try:
        run = trained.open_run(arguments.run)
        table = None if arguments.rows is None else data.read(arguments.rows)
        measured = run.evaluate(table)
    except ValueError as error:
        return fail(str(error))
    for note in (*table.notes, *run.preparation.unseen(table)) if table else ():
        warn(note)
    if arguments.format == "json":
        if unknown := [name for name, value in measured.items() if not math.isfinite(value)]:
            warn(f"null replaces metrics that are undefined for these rows: {', '.join(unknown)}")
        return write_text(json.dumps(metrics_file.finite_or_null(measured), indent=2) + "\n", arguments.output)
    width = max(map(len, measured))
    return write_text("".join(f"{name:{width}}  {value:.6g}\n" for name, value in measured.items()), arguments.output)
