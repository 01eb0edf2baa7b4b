"""A trial: its cases, drawn from a seed, and a verdict on each."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from tests.faults import forks
from tests.faults.outcomes import Outcome, Verdict


@dataclass(frozen=True)
class Place:
    """Where a trial is made.

    Attributes:
      folder: a separate folder, empty at first.
      made: what its `prepare` has returned.
    """

    folder: Path
    made: Any = None


class Trial(Protocol):
    """A module of this folder.

    `FULL` is the full number of cases, `SHARE` that of CI. `prepare(place)` makes what all cases need. `judge(case,
    place)` is called in a child that has computed already, unless the module has `FORKS`: then it begins children of
    its own.
    """

    FULL: int
    SHARE: int
    cases: Callable[[random.Random], Iterator[Any]]
    prepare: Callable[[Place], Any]
    judge: Callable[[Any, Place], Verdict]


def chosen(trial: Trial, seed: int, numbers: Iterable[int]) -> list[tuple[int, Any]]:
    """Cases by their numbers, which are the same for a seed however many are drawn."""
    wanted = set(numbers)
    drawn = islice(trial.cases(random.Random(seed)), max(wanted) + 1)
    return [(number, case) for number, case in enumerate(drawn) if number in wanted]


def judged(trial: Trial, cases: list[tuple[int, Any]], folder: Path) -> Iterator[tuple[int, Any, Verdict]]:
    """The cases, each with the verdict on it."""
    made = forks.given(lambda: trial.prepare(Place(folder)), seconds=300)
    place = Place(folder, made)

    def work(numbered: tuple[int, Any]) -> Verdict:
        return trial.judge(numbered[1], place)

    if getattr(trial, "FORKS", False):
        verdicts = (_own(work, case) for case in cases)
    else:
        verdicts = forks.served(work, cases, seconds=getattr(trial, "SECONDS", 120))
    for (number, case), verdict in zip(cases, verdicts, strict=True):
        yield number, case, verdict


def _own(work: Callable[[Any], Verdict], case: Any) -> Verdict:
    try:
        return work(case)
    except Exception as error:
        return Verdict(Outcome.TRACEBACK, f"the trial itself: {error!r}")
