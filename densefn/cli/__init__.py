"""The command line: arguments to functions, and errors to messages. No logic of its own; a module a command."""

import argparse
from collections.abc import Sequence

import densefn
from densefn.cli import configs, evaluate, explain, export, predict, report, train


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
    for command in (train, configs, report, evaluate, predict, export, explain):
        command.add(commands)
    return parser
