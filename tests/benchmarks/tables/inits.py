"""Drawing the parameters of one large layer, eagerly and compiled."""

from tests.benchmarks.clock import Case, burst, medians
from tests.benchmarks.network import Network
from tests.benchmarks.peers import build
from tests.benchmarks.record import Settings, Table, compared


def table(settings: Settings) -> Table:
    """Seconds of a draw."""
    width = 64 if settings.quick else 4096
    built = {peer: build(peer, Network((width, width), 1)) for peer in settings.peers}
    measurements = {}
    for compiled in (False, True):
        for peer, one in built.items():
            if (work := one.init(compiled=compiled)) is not None:
                case = Case("compiled" if compiled else "eager", "float32", peer)
                measurements[case] = burst(work, settings.effort)
    return Table(
        "inits",
        f"Parameters of a layer {width} x {width}",
        "seconds",
        "plain JAX",
        compared(medians(measurements, settings.effort)),
        "Uniform distributions. Keras and PyTorch draw eagerly only; linen and Haiku also compute one row of outputs.",
    )
