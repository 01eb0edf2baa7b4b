"""What a call costs when there is next to nothing to compute."""

from tests.benchmarks.clock import Case, burst, medians
from tests.benchmarks.network import Network
from tests.benchmarks.peers import build
from tests.benchmarks.record import Settings, Table, compared

WIDTH, ROWS = 16, 8


def table(settings: Settings) -> Table:
    """Seconds of a compiled call."""
    measurements = {
        Case(_depth(layers), "float32", peer): burst(build(peer, network).forward(), settings.effort)
        for layers in (1, 2 if settings.quick else 10)
        for network in (Network((WIDTH,) * (layers + 1), ROWS),)
        for peer in settings.peers
    }
    return Table(
        "dispatch",
        f"A compiled call of a model of width {WIDTH}, batch {ROWS}",
        "seconds",
        "plain JAX",
        compared(medians(measurements, settings.effort)),
        "jax.jit, but eqx.filter_jit for Equinox; NNX is split once, outside; PyTorch is eager.",
    )


def _depth(layers: int) -> str:
    return "1 layer" if layers == 1 else f"{layers} layers"
