"""densefn predict: predicts new rows with a trained model."""

import argparse
import io
from pathlib import Path
from typing import Any

from densefn.cli.console import add_output, fail, fail_without_package, file_name, warn, write_file, write_text

_FORMATS = (".csv", ".tsv", ".parquet")


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "predict",
        help="predict new rows with a trained model",
        description="Predict new rows with a trained model. The result is the table of INPUT with added columns: "
        "'predicted <target>' and, for classes, 'probability <class>'. INPUT needs the feature columns of training, "
        "but no target.",
        epilog="example: densefn predict runs/houses new.csv -o predicted.csv",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument("rows", type=Path, metavar="INPUT", help="rows: .csv .tsv .txt .parquet .npz .npy or IDX")
    help_output = f"write to a file: {' '.join(_FORMATS)} (default: CSV in the terminal)"
    add_output(parser, help_output, metavar="OUT", check=_table_name)
    parser.set_defaults(command=_run)


def _table_name(text: str) -> Path:
    if file_name(text).suffix.lower() not in _FORMATS:
        raise argparse.ArgumentTypeError(
            f"expected the name of a file that ends in {', '.join(_FORMATS)}, got {text!r}"
        )
    return Path(text)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from densefn import data
        from densefn.training import trained
    except ModuleNotFoundError as error:
        return fail_without_package("predicting", error, "train")
    try:
        run = trained.open_run(arguments.run)
        table = data.read(arguments.rows)
        frame = trained.as_frame(table, run.preparation, run.predict(table))
    except ValueError as error:
        return fail(str(error))
    for note in (*table.notes, *run.preparation.unseen(table)):
        warn(note)
    if arguments.output is None:
        return write_text(frame.write_csv(), None)
    memory = io.BytesIO()
    match arguments.output.suffix.lower():
        case ".parquet":
            frame.write_parquet(memory)
        case suffix:
            frame.write_csv(memory, separator="\t" if suffix == ".tsv" else ",")
    return write_file(memory.getvalue(), arguments.output)
