"""The command `densefn`, with one module for each subcommand.

The modules turn arguments into calls, and errors into messages. They compute nothing.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import densefn
from densefn.cli import configs, evaluate, explain, export, predict, report, train
from densefn.cli.console import fail

# Environment variables of JAX and Matplotlib, which raise a RuntimeError or ValueError that quotes an unknown value.
_VARIABLES = ("JAX_PLATFORMS", "MPLBACKEND")

# From XLA, which JAX raises as a RuntimeError, and from the loader of libraries.
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "failed to map segment")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command `densefn`.

    Args:
      argv: the arguments; None takes those of the process.

    Returns:
      The exit status: 0 for success, 1 for a failure, 2 for a mistake in the arguments or the files, 130 after Ctrl-C,
      or 141 if the reader of the output stopped reading (128 + SIGPIPE, as shells report it).
    """
    try:
        try:
            return _run(argv)
        finally:  # finds an output that cannot be written, after --help too: at exit, Python would print a traceback
            if sys.stdout:
                sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return 141
    except OSError as error:
        _drop_output()
        return fail(f"{error.filename or 'the output cannot be written'}: {error.strerror}", 1)
    except KeyboardInterrupt:
        return fail("interrupted", 130)


def _run(argv: Sequence[str] | None) -> int:
    try:
        os.getcwd()  # noqa: PTH109 - if the folder was deleted, much fails later with less clear messages
    except OSError as error:
        return fail(f"the current folder cannot be used, change to another: {error.strerror}")
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except RecursionError:
        return fail("expected values that are nested less deeply: Python's recursion limit is reached")
    except MemoryError as error:
        return fail(_memory(str(error)), 1)
    except (ImportError, RuntimeError, ValueError) as error:
        if any(sign in str(error) for sign in _OUT_OF_MEMORY):
            return fail(_memory(str(error).splitlines()[0]), 1)
        for name in _VARIABLES:
            if (value := os.environ.get(name)) and repr(value) in str(error):
                return fail(f"{name}={value}: {str(error).splitlines()[0]}")
        raise


def _memory(said: str) -> str:
    said = f" ({said})" if said else ""
    return f"expected more free memory{said}; a smaller model, smaller batches or fewer rows need less"


def _drop_output() -> None:
    """Sends the rest of the output to the null device: Python flushes it at exit, which would fail again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    def print_help(self, file: Any = None) -> None:
        print(self.format_help(), end="", file=file)  # argparse's own method ignores errors of the stream


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="densefn", description="Keras's Dense layer as two pure JAX functions.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"densefn {densefn.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, configs, report, evaluate, predict, export, explain):
        command.add(commands)
    return parser
