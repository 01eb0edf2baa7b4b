"""The clock: measurements that are compared take turns, in random order each round, and each is reported by its median.

So a machine that slows down for a while slows all of them. A measurement is a function that returns seconds; `burst`
makes one of a piece of work. PyTorch's come last in a round, with a pause before and after them: its OpenMP threads
spin for a while after a call and would slow the next one.
"""

import functools
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

Work = Callable[[], Any]
Measurement = Callable[[], float]

_PAUSE = 0.25


class Effort(NamedTuple):
    """How long to measure.

    Attributes:
      seconds: after which no new round begins.
      rounds: the least number of rounds, however long they take.
      burst: the seconds that one measurement of short work should take.
    """

    seconds: float
    rounds: int
    burst: float


class Case(NamedTuple):
    """What is measured.

    Attributes:
      work: what is done.
      dtype: in which the products are computed.
      peer: by whom, a key of `PEERS` or a name that stands for itself.
    """

    work: str
    dtype: str
    peer: str


def once(work: Work) -> float:
    """The seconds of one call, to the end of all that it started."""
    began = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - began


def burst(work: Work, effort: Effort) -> Measurement:
    """Makes a measurement of as many calls in a row as fill a burst, after a first call that compiles."""
    once(work)
    calls = 1
    while min(_each(work, calls) for _ in range(3)) * calls < effort.burst:  # the first is slow more often than not
        calls *= 2
    return functools.partial(_each, work, calls)


def _each(work: Work, calls: int) -> float:
    """The seconds of each of so many calls, of which only the last is waited for."""

    def several() -> Any:
        for _ in range(calls - 1):
            work()
        return work()

    return once(several) / calls


def medians(
    measurements: Mapping[Case, Measurement], effort: Effort, first: Callable[[], None] = lambda: None
) -> dict[Case, float]:
    """The median seconds of each measurement; `first` is called as each round begins."""
    seconds: dict[Case, list[float]] = {case: [] for case in measurements}
    apart = [case for case in measurements if case.peer == "pytorch"]
    together = [case for case in measurements if case.peer != "pytorch"]
    end = time.perf_counter() + effort.seconds
    done = 0
    while done < effort.rounds or time.perf_counter() < end:
        first()
        for group in filter(None, (together, apart)):
            time.sleep(_PAUSE if apart else 0)
            for case in random.sample(group, len(group)):
                seconds[case].append(measurements[case]())
        done += 1
    return {case: statistics.median(times) for case, times in seconds.items()}
