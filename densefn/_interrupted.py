"""Handles the signals that end the command `densefn`, from its first import on: all imports together take seconds.

In a program that imports the package, no handler is set.
"""

import os
import signal
import sys
from pathlib import Path


def heed() -> None:
    """Makes each signal end the process with a line and the signal's status. Ignored signals stay ignored."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    """Ends the process at once: a package that is being imported could catch an exception."""
    os.write(2, b"interrupted\n")
    os._exit(128 + number)


def _is_command() -> bool:
    """Whether this process is the script `densefn`, or `python -m densefn`."""
    given = sys.orig_argv
    module = given[given.index("-m") + 1 :][:1] if "-m" in given else []
    called = Path(sys.argv[0]).stem if sys.argv else ""
    return called == "densefn" or (called == "-m" and module == ["densefn"])


if _is_command():
    heed()
