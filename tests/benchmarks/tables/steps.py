"""A training step of two multilayer perceptrons: loss, gradient, Adam."""

from tests.benchmarks.clock import Case, burst, medians
from tests.benchmarks.floor import ADAM_BYTES, Machine
from tests.benchmarks.network import Network
from tests.benchmarks.peers import build
from tests.benchmarks.record import Row, Settings, Table, compared

NETWORKS = Network((784, 512, 512, 10), 128), Network((1024, 2048, 2048, 1024), 512)
QUICK = (Network((16, 32, 4), 8),)


def table(settings: Settings) -> Table:
    """Seconds of a step."""
    machine = Machine(quick=settings.quick, with_pytorch="pytorch" in settings.peers)
    networks = QUICK if settings.quick else NETWORKS
    return Table(
        "steps",
        "A step of Adam",
        "seconds",
        "plain JAX",
        [row for network in networks for row in _rows(network, machine, settings)],
        f"The floor: matrix work at the measured peak, then {ADAM_BYTES} bytes a parameter at the measured bandwidth.",
    )


def _rows(network: Network, machine: Machine, settings: Settings) -> list[Row]:
    """The peers take turns on one network; its state is let go before the next."""
    measurements = {
        Case(network.title, dtype, peer): burst(build(peer, network._replace(dtype=dtype)).step(), settings.effort)
        for dtype in ("float32", "bfloat16")
        for peer in settings.peers
    }
    moved = ADAM_BYTES * network.parameters
    return compared(
        medians(measurements, settings.effort, machine.sample),
        floor=lambda case: machine.floor(network.step_flops, moved, case.dtype),
    )
