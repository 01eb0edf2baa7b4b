"""The signals that end the command `densefn`, heeded from its first import on: the others take a second.

Nothing is set for a program that imports the package.
"""

import os
import signal
import sys
from pathlib import Path


def heed() -> None:
    """Has each signal end the process with a line and its status; one that is ignored stays so."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    """Ends the process at once: an exception could be lost in the import of a package."""
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
