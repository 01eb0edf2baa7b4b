"""The command line: arguments to functions, and errors to messages. No logic of its own."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import densefn


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
    return parser


def _train(arguments: argparse.Namespace) -> int:
    try:
        from densefn.training import config, loop, progress
    except ModuleNotFoundError as error:
        return _fail(f"training needs the package {error.name}: pip install 'densefn[train]'", 2)
    try:
        file = config.read(arguments.config, arguments.overrides)
        settings = file.decode()
        with file.locating():
            plan = loop.prepare(settings)
    except config.ConfigError as error:
        return _fail(str(error), 2)
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


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status
