"""Runs the command in a separate process: forked from one that has imported everything, or started anew."""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults import forks
from tests.faults.outcomes import Answer


class Process(NamedTuple):
    """A process that runs a command, with the files of its streams."""

    number: int
    out: Path
    err: Path

    def answer(self, seconds: float) -> Answer | None:
        """What it gave; None for one that had to be killed after the time."""
        status = forks.wait(self.number, seconds)
        texts = (path.read_bytes().decode("utf-8", "replace") for path in (self.out, self.err))
        return None if status is None else Answer(status, *texts, {})


def begun(
    arguments: Sequence[Any], folder: Path, *, before: Callable[[], Any] = lambda: None, encoding: str = "utf-8"
) -> Process:
    """Forks a process that runs a command.

    Args:
      arguments: of the command.
      folder: for the files of its streams.
      before: is called in the process first, when its streams are open.
      encoding: of the streams.
    """
    out, err = folder / "out.txt", folder / "err.txt"
    return Process(forks.fork(lambda: _run(list(map(str, arguments)), out, err, before, encoding)), out, err)


def anew(arguments: Sequence[Any], folder: Path) -> Process:
    """Begins a new Python that runs a command."""
    out, err = folder / "out.txt", folder / "err.txt"
    with out.open("wb") as first, err.open("wb") as second:
        command = [sys.executable, "-m", "densefn", *map(str, arguments)]
        child = subprocess.Popen(command, stdout=first, stderr=second, preexec_fn=_heed)  # noqa: PLW1509
    return Process(child.pid, out, err)


def _heed() -> None:
    """Has the signals do what they do by themselves: those of a process in the background may be ignored."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(arguments: list[str], out: Path, err: Path, before: Callable[[], Any], encoding: str) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
    sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    _heed()
    before()
    sys.argv = ["densefn", *arguments]
    os._exit(_ended())


def _ended() -> int:
    """The exit status of the process, as the interpreter makes it of how `main` ends."""
    from densefn.__main__ import main

    try:
        status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        with suppress(OSError):
            traceback.print_exc()
        status = 1
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            print("Exception ignored in the standard output", file=sys.stderr)
        return 120
    return status
