"""Handles the signals that stop a run: Ctrl-C, the end of a batch job, a closed terminal."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stop:
    """Records whether a run should stop.

    Attributes:
      signal: the number of the signal that asked for it; None before it came.
    """

    signal: int | None = None


def take_over() -> None:
    """Makes Ctrl-C raise KeyboardInterrupt again. Until now, `_interrupted` ended the process at once."""
    if current_thread() is main_thread() and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Records the first signal that comes inside. The second one ends the process at once, as usual.

    A signal that is ignored stays ignored: `nohup` ignores SIGHUP, which a closed terminal sends.
    """
    stop = Stop()
    if current_thread() is not main_thread():  # only the main thread may handle signals
        yield stop
        return
    # getsignal gives None for a handler that C code has set, which Python cannot restore.
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: object) -> None:
        stop.signal = number
        restore()

    for number in before:
        signal.signal(number, note)
    if stop.signal:  # a signal that came while the handlers were being set
        restore()
    try:
        yield stop
    finally:
        restore()
