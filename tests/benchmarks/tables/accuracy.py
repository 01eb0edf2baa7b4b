"""How far the gradient of a weight is from that of exact sums of the same products."""

import jax.numpy as jnp
import numpy as np

from tests.benchmarks.clock import Case
from tests.benchmarks.network import Network
from tests.benchmarks.peers import build
from tests.benchmarks.record import Settings, Table, compared


def table(settings: Settings) -> Table:
    """The largest error of a weight's gradient, over its largest entry."""
    network = Network((128, 64) if settings.quick else (512, 256), 4096, "bfloat16")
    x, g = (np.asarray(jnp.asarray(array, jnp.bfloat16), np.float32) for array in network.batch())
    exact = x.astype(np.float64).T @ g.astype(np.float64)
    values = {
        Case(f"{network.rows} rows", network.dtype, peer): _error(build(peer, network).weight_gradient(x, g), exact)
        for peer in settings.peers
    }
    return Table(
        "accuracy",
        "Error of the weight's gradient",
        "error",
        "plain JAX",
        compared(values),
        "max |dW - exact| / max |exact|, exact by float64 NumPy from the same operands, which bfloat16 holds exactly.",
    )


def _error(gradient: np.ndarray, exact: np.ndarray) -> float:
    return float(np.max(np.abs(gradient - exact)) / np.max(np.abs(exact)))
