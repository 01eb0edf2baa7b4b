"""Children of a process that has imported all and computed nothing: each begins in milliseconds and may be killed.

JAX has threads once it computes, and a process with threads must not be forked. So the process that forks, the one of
`python -m tests.faults`, never computes.
"""

import os
import pickle
import resource
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tests.faults.outcomes import Outcome, Verdict

T = TypeVar("T")


def fork(work: Callable[[], Any]) -> int:
    """Begins a child that does the work and ends; returns its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def wait(child: int, seconds: float) -> int | None:
    """The exit status of a child, negative for a signal; None if it had to be killed after the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def given(work: Callable[[], T], seconds: float = 120) -> T:
    """What the work returns when a child does it."""
    (result,) = served(lambda _: work(), [None], seconds)
    if isinstance(result, Verdict) and result.outcome is Outcome.TRACEBACK:
        raise RuntimeError(result.seen)
    return result


def limit_memory(extra: int) -> None:
    """Bounds the addresses of this process to what it has and so many bytes more, if they are not bounded yet."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + extra, now + extra))


def served(work: Callable[[Any], T], items: Iterable[Any], seconds: float, batch: int = 100) -> Iterator[T | Verdict]:
    """What the work returns for each item, done in children of some items each.

    A child that dies or takes longer than the time over an item has that item judged a fault, and another goes on.
    """
    waiting = list(items)
    while waiting:
        some = waiting[:batch]
        done = 0
        for result in _of_child(work, some, seconds):
            yield result
            done += 1
        waiting = waiting[max(done, 1) :]


def _of_child(work: Callable[[Any], T], items: list[Any], seconds: float) -> Iterator[T | Verdict]:
    source, sink = os.pipe()
    child = fork(lambda: _serve(work, items, sink))
    os.close(sink)
    try:
        for _ in items:
            packed = _received(source, seconds)
            if packed is None:
                yield Verdict(Outcome.TRACEBACK, f"died, or took longer than {seconds} s")
                return
            yield pickle.loads(packed)
    finally:
        os.close(source)
        wait(child, 0)


def _serve(work: Callable[[Any], Any], items: list[Any], sink: int) -> None:
    for item in items:
        try:
            result = work(item)
        except Exception:
            result = Verdict(Outcome.TRACEBACK, "the trial itself: " + traceback.format_exc()[-1500:])
        packed = pickle.dumps(result)
        with os.fdopen(os.dup(sink), "wb") as file:
            file.write(struct.pack("<Q", len(packed)) + packed)


def _received(source: int, seconds: float) -> bytes | None:
    end = time.monotonic() + seconds
    head = _exactly(source, 8, end)
    return None if head is None else _exactly(source, struct.unpack("<Q", head)[0], end)


def _exactly(source: int, count: int, end: float) -> bytes | None:
    content = b""
    while len(content) < count:
        ready, _, _ = select.select([source], [], [], max(0.0, end - time.monotonic()))
        part = os.read(source, count - len(content)) if ready else b""
        if not part:
            return None
        content += part
    return content
