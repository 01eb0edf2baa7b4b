"""A run that is killed at a random moment or at one of its writes: resumed, it equals one that was never killed."""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults import forks, sample
from tests.faults.command import call, hardly_drawn
from tests.faults.outcomes import Answer, Outcome, Verdict, refused
from tests.faults.trial import Place

FULL, SHARE = 200, 2
FORKS = True
WRITES = 120
"""A run of the sample that saves after each epoch opens, renames, removes and syncs fewer times."""
_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"}


class Case(NamedTuple):
    """When the process is killed: at a write by its number, or after a fraction of a whole run's time."""

    title: str
    write: int | None
    fraction: float


class Made(NamedTuple):
    """The content of a run that was never killed, the names of its files, and the seconds it took."""

    content: dict[str, Any]
    names: set[str]
    seconds: float


def cases(rng: random.Random) -> Iterator[Case]:
    writes = rng.sample(range(1, WRITES + 1), WRITES)
    while True:
        for write in (writes.pop() if writes else None, None):
            fraction = rng.uniform(0, 1.2)
            title = f"killed at write {write}" if write else f"killed after {fraction:.2f} of the time of a run"
            yield Case(title, write, fraction)


def prepare(place: Place) -> Made:
    sample.write(place.folder)
    run = place.folder / "golden"
    answer = _train(place.folder, run)
    began = time.monotonic()
    answer = _train(place.folder, place.folder / "again")
    if answer.status:
        raise RuntimeError(answer.err)
    return Made(sample.content(run), _names(run), time.monotonic() - began)


def judge(case: Case, place: Place) -> Verdict:
    run = place.folder / "run"
    sample.remove(run)
    child = forks.fork(lambda: _die(case, place.folder, run))
    if not case.write:
        killer = threading.Timer(case.fraction * place.made.seconds, os.kill, (child, signal.SIGKILL))
        killer.start()
        forks.wait(child, 60)
        killer.cancel()
    else:
        forks.wait(child, 60)
    return forks.given(lambda: _go_on(place, run))


def _go_on(place: Place, run: Path) -> Verdict:
    """Resumes; a folder in which nothing was begun must take the run anew."""
    answer = call(["train", "--resume", run]) if run.exists() else _train(place.folder, run)
    if answer.status and not (run / "config.toml").exists():
        if not (verdict := refused(answer, [str(run)])).outcome.is_fault:
            answer = _train(place.folder, run)
        else:
            return verdict
    if answer.status:
        return Verdict(Outcome.LOST, answer.err[-400:])
    if stray := _names(run) ^ place.made.names:
        return Verdict(Outcome.WRONG, f"files too many or too few: {sorted(stray)}")
    content = sample.content(run)
    other = [name for name, value in place.made.content.items() if content.get(name) != value]
    return Verdict(Outcome.WRONG, f"other bits in {other}") if other else Verdict(Outcome.RIGHT)


def _names(run: Path) -> set[str]:
    return {path.name for path in run.iterdir()}


def _train(folder: Path, run: Path) -> Answer:
    with hardly_drawn():
        return call(["train", folder / "config.toml", "--run-dir", run])


def _die(case: Case, folder: Path, run: Path) -> None:
    from densefn.training import runs

    runs.SECONDS_PER_SAVE = 0
    if case.write:
        at_write(run, case.write, lambda: os.kill(os.getpid(), signal.SIGKILL))
    _train(folder, run)


def at_write(folder: Path, number: int, act: Any) -> None:
    """Acts before the process opens, renames, removes or syncs for the n-th time something below a folder."""
    left = [number]
    prefix, sync = str(folder), os.fsync

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            act()

    def hook(event: str, arguments: tuple) -> None:
        if event in _EVENTS and str(arguments[0]).startswith(prefix):
            count()

    def counted(descriptor: int) -> None:
        count()
        sync(descriptor)

    sys.addaudithook(hook)
    os.fsync = counted
