"""densefn export: writes a trained model as a file for other software."""

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from densefn.cli.console import add_output, fail, fail_without_package, write_file
from densefn.export import FORMATS, CheckError, export

_NAMES = {"safetensors": "exported"}  # model.safetensors is the run's own model


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    runs = "\n".join(f"{name}:\n{textwrap.indent(kind.usage, '  ')}" for name, kind in FORMATS.items())
    parser = commands.add_parser(
        "export",
        help="write a trained model as a file for other software",
        description="Write a trained model as a file for other software. The exported model takes batches of any\n"
        "size, with columns in their original units. A regression predicts in the units of its target.\n"
        "The file is read back, run and compared with the model before it is saved. safetensors holds\n"
        "the parameters and the layer's description; the other formats hold the program as well.",
        epilog=f"To run the file, for rows x of shape [batch, features]:\n\n{runs}\n"
        "example: densefn export runs/houses --format onnx",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run, or its model.safetensors")
    parser.add_argument("--format", choices=FORMATS, required=True)
    add_output(parser, "default: model.SUFFIX in the run's folder; for safetensors, exported.safetensors")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    suffix, usage, _ = FORMATS[arguments.format]
    folder = arguments.run if arguments.run.is_dir() else arguments.run.parent
    path = arguments.output or folder / f"{_NAMES.get(arguments.format, 'model')}{suffix}"
    if mistake := _mistake(path, suffix):
        return fail(f"--output: expected {mistake}, got {path}")
    try:
        from densefn.training.exportable import load

        model, preparation = load(arguments.run)
        exported = export(model, arguments.format)
    except ModuleNotFoundError as error:
        return fail_without_package(f"export to {arguments.format}", error, "export")
    except ValueError as error:
        return fail(str(error))
    except CheckError as error:
        return fail(f"{arguments.run}: nothing is written: {error}", 1)
    if status := write_file(exported.content, path):
        return status
    columns = f" of {textwrap.shorten(', '.join(preparation.features), 80)}" if preparation else ""
    print(f"{path}: x {model.dtype} [{', '.join(map(str, model.axes))}]{columns}")
    differences = f"differences of at most {exported.difference:.2g}"
    print(f"read back and run for {exported.rows} rows: outputs of up to {exported.largest:.2g}, {differences}\n")
    print(usage.replace('"FILE"', json.dumps(str(path), ensure_ascii=False)), end="")
    return 0


def _mistake(path: Path, suffix: str) -> str | None:
    from densefn.training.folder import is_model_or_state

    if path.suffix != suffix:
        return f"the name of a file that ends in {suffix}"
    return "another name than that of the run's own file" if is_model_or_state(path) else None
