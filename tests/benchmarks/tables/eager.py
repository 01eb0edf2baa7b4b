"""What Python does for a layer: an eager call, and the trace of a deep model. Both are CPU time."""

import time
from collections.abc import Mapping

from tests.benchmarks.clock import Case, Measurement, Work, medians
from tests.benchmarks.network import Network
from tests.benchmarks.peers import build
from tests.benchmarks.peers.pure import Pure
from tests.benchmarks.record import Settings, Table, compared

WIDTH, ROWS = 32, 8


def table(settings: Settings) -> Table:
    """CPU seconds of an eager call and of a trace."""
    measurements = _measurements("eager call, 1 layer", _built(settings, 1), 1 if settings.quick else 20, trace=False)
    depth = 2 if settings.quick else 64
    measurements |= _measurements(f"trace, {depth} layers", _built(settings, depth), 1, trace=True)
    return Table(
        "eager",
        f"Python's share of models of width {WIDTH}, batch {ROWS}",
        "seconds",
        "plain JAX",
        compared(medians(measurements, settings.effort)),
        "CPU time. NNX merges its model in each call. PyTorch is not traced, and left out.",
    )


def _built(settings: Settings, layers: int) -> dict[str, Pure]:
    network = Network((WIDTH,) * (layers + 1), ROWS)
    built = {peer: build(peer, network) for peer in settings.peers}
    return {peer: one for peer, one in built.items() if isinstance(one, Pure)}


def _measurements(work: str, built: Mapping[str, Pure], calls: int, *, trace: bool) -> dict[Case, Measurement]:
    return {Case(work, "float32", peer): _cpu(one.eager(trace=trace), calls) for peer, one in built.items()}


def _cpu(work: Work, calls: int) -> Measurement:
    work()  # which compiles

    def seconds() -> float:
        began = time.process_time()
        for _ in range(calls):
            work()
        return (time.process_time() - began) / calls

    return seconds
