"""The command line: arguments to functions, and errors to messages. No logic of its own."""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import densefn
from densefn import Dense, Layer
from densefn.layer import Shape
from densefn.training import checkpoint
from densefn.values import TableError, build, dotted, fields


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command `densefn`.

    Args:
      argv: the arguments; None takes those of the process.

    Returns:
      The exit status: 0, or 2 for a mistake in what was asked for, 1 for a run that failed, 130 for one that was
      stopped.
    """
    arguments = _parser().parse_args(argv)
    return arguments.command(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="densefn", description="Keras's Dense layer as two pure JAX functions.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"densefn {densefn.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser(
        "train",
        help="train a model from a config file",
        description="Train a model from a config file. The run leaves a folder with the config, the metrics, the "
        "trained parameters, the curves as a picture and a report as a web page.",
        epilog="example: densefn train configs/digits.toml --set optimizer.learning_rate=3e-4",
        allow_abbrev=False,
    )
    train.add_argument("config", metavar="CONFIG", help="a TOML file with [data], [model], [optimizer] and [train]")
    train.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the config, such as train.epochs=5; may be given again",
    )
    train.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder (default: runs/<config>-<time>)")
    train.set_defaults(command=_train)
    _add_explain(commands)
    return parser


def _add_explain(commands: Any) -> None:
    explain = commands.add_parser(
        "explain",
        help="say what a layer or a model does",
        description="Say what a layer or a model does: equation, initial values, counts, cost, gradients, an example. "
        "Name a Dense by its arguments, or a model by --config or --run.",
        epilog="example: densefn explain --units 25600 --no-bias --input-shape 32,100",
        allow_abbrev=False,
    )
    hint = "A value is a name, or TOML such as '{name=\"L2\", l2=1e-4}'."
    arguments = explain.add_argument_group("arguments of Dense", hint)
    arguments.add_argument("--no-bias", dest="use_bias", action="store_false", default=None, help="leave the bias out")
    for name in _dense_flags():
        arguments.add_argument(_flag(name), metavar="VALUE")
    explain.add_argument("--input-shape", metavar="SHAPE", help="such as 32,100, or N,100 for figures of one example")
    explain.add_argument("--config", metavar="FILE", help="explain the model of a config file")
    explain.add_argument("--run", type=Path, metavar="DIR", help="explain the model of a run's folder")
    explain.add_argument("--format", choices=("text", "markdown", "html", "json"), default="text", help="default: text")
    explain.add_argument("-o", "--output", type=_file, metavar="FILE", help="write to a file instead of the terminal")
    explain.set_defaults(command=_explain)


def _file(text: str) -> Path:
    if not Path(text).name:
        raise argparse.ArgumentTypeError(f"expected the name of a file, got {text!r}")
    return Path(text)


def _dense_flags() -> list[str]:
    return [field.name for field in fields(Dense) if field.name != "use_bias"]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _where(path: Sequence[str | int]) -> str:
    """The flag of an argument, and what in its value is meant."""
    return f"{_flag(str(path[0]))}{'.' if path[1:] else ''}{dotted(path[1:])}: " if path else ""


def _train(arguments: argparse.Namespace) -> int:
    try:
        from densefn.training import config, data, loop, progress
    except ModuleNotFoundError as error:
        return _fail(f"training needs the package {error.name}: pip install 'densefn[train]'", 2)
    try:
        file = config.read(arguments.config, arguments.overrides)
        settings = file.decode()
        with file.locating():
            plan = loop.prepare(settings)
    except config.ConfigError as error:
        return _fail(str(error), 2)
    print(data.described(plan.config.data, plan.dataset), flush=True)
    run_dir = arguments.run_dir or loop.default_run_dir(file.path.stem)
    try:
        with progress.shown(settings) as show:
            result = loop.run(plan, run_dir, show)
    except loop.RunError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail(f"stopped; {run_dir} holds the metrics of the epochs that were done", 130)
    print(progress.closing_line(settings, result))
    return 130 if result.stopped else 0


def _explain(arguments: argparse.Namespace) -> int:
    from densefn.explanation.formats import FORMATS

    try:
        layer, shape = _asked(arguments)
        written = FORMATS[arguments.format](densefn.explain(layer, shape))
    except ModuleNotFoundError as error:
        return _fail(f"--config needs the package {error.name}: pip install 'densefn[train]'", 2)
    except TableError as error:
        return _fail("\n".join(f"{_where(path)}{message}" for path, message in error.problems), 2)
    except (TypeError, ValueError) as error:
        return _fail(str(error), 2)
    if arguments.output is None:
        # A terminal that lacks the characters of the boxes has question marks in their place.
        encoding = sys.stdout.encoding or "utf-8"
        print(written.encode(encoding, "replace").decode(encoding), end="")
        return 0
    try:
        checkpoint.write(arguments.output, written.encode())
    except OSError as error:
        return _fail(f"--output {arguments.output}: {error.strerror}", 2)
    return 0


def _asked(arguments: argparse.Namespace) -> tuple[Layer, Shape]:
    """The layer that is to be explained, and the shape of its input."""
    given = {name: getattr(arguments, name) for name in (*_dense_flags(), "use_bias")}
    given = {name: text for name, text in given.items() if text is not None}
    sources = [*map(_flag, given)][:1] + [flag for flag in ("--config", "--run") if getattr(arguments, flag[2:])]
    if len(sources) != 1:
        got = " and ".join(sources) or "none of them"
        raise ValueError(f"expected either arguments of Dense such as --units, or --config, or --run; got {got}")
    shape = None if arguments.input_shape is None else _shape(arguments.input_shape)
    if arguments.run is not None:
        layer, trained = checkpoint.describe(arguments.run / "model.npz")
    elif arguments.config is not None:
        layer, trained = _configured(arguments.config)
    else:
        layer, trained = build(Dense, {name: _value(text) for name, text in given.items()}), None
    if (shape := shape or trained) is None:
        raise ValueError("expected --input-shape with the arguments of Dense, such as --input-shape 32,100")
    return layer, shape


def _configured(path: str) -> tuple[Layer, Shape]:
    from densefn.training import config, loop

    file = config.read(path)
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
    """A TOML value; what is none is a name."""
    try:
        return tomllib.loads(f"value = {text}")["value"] if isinstance(text, str) else text
    except tomllib.TOMLDecodeError:
        return text


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status
