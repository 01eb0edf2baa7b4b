"""densefn explain: writes the explanation of a layer or a model."""

import argparse
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import densefn
from densefn import Dense, Layer, checkpoint
from densefn._values import TableError, build, dotted, fields
from densefn.cli.configs import config_path
from densefn.cli.console import add_output, fail, fail_without_package, write_text
from densefn.layer import Shape


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "explain",
        help="explain a layer or a model",
        description="Explain a layer or a model: equation, initial values, gradients, an example, counts, cost. "
        "Give the arguments of a Dense layer, or name a model with --config or --run.",
        epilog="example: densefn explain --units 25600 --no-bias --input-shape 32,100",
        allow_abbrev=False,
    )
    hint = "A value is a name, or TOML such as '{name=\"L2\", l2=1e-4}'."
    arguments = parser.add_argument_group("arguments of Dense", hint)
    arguments.add_argument("--no-bias", dest="use_bias", action="store_false", default=None, help="leave the bias out")
    for name in _dense_flags():
        arguments.add_argument(_flag(name), metavar="VALUE")
    parser.add_argument("--input-shape", metavar="SHAPE", help="such as 32,100, or N,100 for costs per example")
    parser.add_argument(
        "--machine",
        metavar="NAME",
        help="machine of the roofline: a100, h100, tpu-v5e, or FLOP/s,bytes/s such as 2e12,50e9 (default: all three)",
    )
    parser.add_argument("--config", metavar="FILE", help="explain the model of a config file")
    parser.add_argument("--run", type=Path, metavar="DIR", help="explain the model of a run's folder")
    parser.add_argument(
        "--format",
        choices=("text", "markdown", "html", "svg", "json"),
        default="text",
        help="default: text; svg is one picture: the product of a layer, or the layers of a model",
    )
    add_output(parser)
    parser.set_defaults(command=_run)


def _dense_flags() -> list[str]:
    return [field.name for field in fields(Dense) if field.name != "use_bias"]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _place(path: Sequence[str | int]) -> str:
    """The flag of an argument, and the path of a mistake inside its value."""
    return f"{_flag(str(path[0]))}{'.' if path[1:] else ''}{dotted(path[1:])}: " if path else ""


def _run(arguments: argparse.Namespace) -> int:
    from densefn.explanation.formats import FORMATS

    try:
        layer, shape = _layer_and_shape(arguments)
        written = FORMATS[arguments.format](densefn.explain(layer, shape, machine=arguments.machine))
    except ModuleNotFoundError as error:
        return fail_without_package("--config", error, "train")
    except TableError as error:
        return fail("\n".join(f"{_place(path)}{message}" for path, message in error.problems))
    except (TypeError, ValueError) as error:
        return fail(str(error))
    return write_text(written, arguments.output)


def _layer_and_shape(arguments: argparse.Namespace) -> tuple[Layer, Shape]:
    """The layer to explain, and the shape of its input."""
    given = {name: getattr(arguments, name) for name in (*_dense_flags(), "use_bias")}
    given = {name: text for name, text in given.items() if text is not None}
    # Any number of Dense's arguments counts as one source, named by the first of them.
    sources = [*map(_flag, given)][:1] + [flag for flag in ("--config", "--run") if getattr(arguments, flag[2:])]
    if len(sources) != 1:
        got = " and ".join(sources) or "none of them"
        raise ValueError(f"expected either arguments of Dense such as --units, or --config, or --run; got {got}")
    shape = None if arguments.input_shape is None else _shape(arguments.input_shape)
    if arguments.run is not None:
        layer, trained = _of_run(arguments.run)
    elif arguments.config is not None:
        layer, trained = _configured(arguments.config)
    else:
        layer, trained = build(Dense, {name: _value(text) for name, text in given.items()}), None
    if (shape := shape or trained) is None:
        raise ValueError("expected --input-shape with the arguments of Dense, such as --input-shape 32,100")
    return layer, shape


def _of_run(run: Path) -> tuple[Layer, Shape]:
    from densefn.training import folder

    _, files = folder.check(run, folder.MODEL)
    return checkpoint.describe(run / folder.listed_name(folder.MODEL, files))


def _configured(path: str) -> tuple[Layer, Shape]:
    from densefn.training import config, loop

    file = config.read(config_path(path))
    settings = file.decode()
    with file.locating():
        plan = loop.prepare(settings)
    return plan.model, (settings.data.batch_size, plan.dataset.features)


def _shape(text: str) -> Shape:
    try:
        return tuple(None if part.strip() in ("N", "None") else int(part) for part in text.strip("()").split(","))
    except ValueError:
        raise ValueError(f"--input-shape: expected numbers and N, such as 32,100 or N,100, got {text!r}") from None


def _value(text: Any) -> Any:
    """The value of a flag: TOML, or a name, which is not TOML."""
    try:
        return tomllib.loads(f"value = {text}")["value"] if isinstance(text, str) else text
    except tomllib.TOMLDecodeError:
        return text
