"""The most memory that a training step holds, as XLA planned it."""

from tests.benchmarks.clock import Case
from tests.benchmarks.peers import build
from tests.benchmarks.record import Settings, Table, compared
from tests.benchmarks.tables.steps import NETWORKS, QUICK


def table(settings: Settings) -> Table:
    """Bytes of arguments, outputs and temporaries together; what is donated counts once."""
    values = {
        Case(network.title, dtype, peer): used
        for network in (QUICK if settings.quick else NETWORKS)
        for dtype in ("float32", "bfloat16")[settings.quick :]
        for peer in settings.peers
        if (used := build(peer, network._replace(dtype=dtype)).step_bytes()) is not None
    }
    return Table(
        "memory",
        "Memory of a step of Adam",
        "bytes",
        "plain JAX",
        compared(values),
        "From XLA's plan of the compiled step, with parameters, Adam's state and the batch. PyTorch compiles no step.",
    )
