"""Writes the output of the commands: results to a file or the terminal, errors to standard error."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from densefn import _disk

MISTAKE = 2
"""The exit status for a mistake in the arguments, or in the files that they name."""


def file_name(text: str) -> Path:
    """Checks an argument that names a file to write."""
    if not Path(text).name:
        raise argparse.ArgumentTypeError(f"expected the name of a file, got {text!r}")
    return Path(text)


def add_output(
    parser: argparse.ArgumentParser,
    help: str = "write to a file instead of the terminal",  # noqa: A002 - argparse's name
    *,
    metavar: str = "FILE",
    check: Callable[[str], Path] = file_name,
) -> None:
    """Adds the option `--output` to a command."""
    parser.add_argument("-o", "--output", type=check, metavar=metavar, help=help)


def fail(message: str, status: int = MISTAKE) -> int:
    """Prints an error, and returns the exit status."""
    print(message, file=sys.stderr)
    return status


def warn(message: str) -> None:
    """Prints a warning."""
    print(message, file=sys.stderr)


def fail_without_package(what: str, error: ModuleNotFoundError, extra: str) -> int:
    """Prints which package is missing, and the extra that installs it."""
    return fail(f"{what} needs the package {error.name}: pip install 'densefn[{extra}]'")


def write_text(text: str, output: Path | None) -> int:
    """Writes a text to a file or, for None, to the terminal."""
    if output is None:
        # A character that the terminal's encoding lacks is printed as a question mark.
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding), end="")
        return 0
    return write_file(text.encode(), output)


def write_file(content: bytes, output: Path) -> int:
    """Writes a file atomically."""
    try:
        _disk.write(output, content)
    except OSError as error:
        return fail(f"--output {output}: {error.strerror}")
    return 0
