"""One layer: its outputs, and its outputs with all gradients."""

from tests.benchmarks.clock import Case, burst, medians
from tests.benchmarks.floor import Machine
from tests.benchmarks.network import Network
from tests.benchmarks.peers import build
from tests.benchmarks.record import Settings, Table, compared


def table(settings: Settings) -> Table:
    """Seconds of a call."""
    network = Network((64, 64), 32) if settings.quick else Network((2048, 2048), 512)
    measurements = {}
    for dtype in ("float32", "bfloat16"):
        built = {peer: build(peer, network._replace(dtype=dtype)) for peer in settings.peers}
        for peer, one in built.items():
            measurements[Case("forward", dtype, peer)] = burst(one.forward(), settings.effort)
        for peer, one in built.items():
            measurements[Case("forward and backward", dtype, peer)] = burst(one.backward(), settings.effort)
    machine = Machine(quick=settings.quick, with_pytorch="pytorch" in settings.peers)

    def floor(case: Case) -> float:
        products = 1 if case.work == "forward" else 3
        return machine.floor(products * network.forward_flops, _moved(network, case), case.dtype)

    return Table(
        "layers",
        f"One layer, {network.title}",
        "seconds",
        "plain JAX",
        compared(medians(measurements, settings.effort, machine.sample), floor=floor),
        "Backward gives the gradients of kernel, bias and input. The floor takes every array from memory once for each "
        "pass; where one stays in a cache, a row may be below it.",
    )


def _moved(network: Network, case: Case) -> int:
    """The bytes of inputs, parameters and outputs, which are read and written once, and of all their gradients."""
    inputs, outputs = (network.rows * width for width in network.widths)
    outputs *= 2 if case.dtype == "bfloat16" else 4
    read = 4 * (inputs + network.parameters)
    return read + outputs if case.work == "forward" else 3 * read + 2 * outputs
