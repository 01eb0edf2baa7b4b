"""Flax linen: `nn.Dense(dtype=...)`, which casts its float32 parameters."""

import jax.numpy as jnp
from flax import linen as nn

from tests.benchmarks.network import Network
from tests.benchmarks.peers.pure import Pure


def build(network: Network) -> Pure:
    """An `nn.Sequential`, with its `init` and `apply`."""
    layers = []
    for units in network.widths[1:]:
        layers += [nn.Dense(units, dtype=network.dtype, kernel_init=nn.initializers.glorot_uniform()), nn.relu]
    model = nn.Sequential(layers[:-1])
    x = jnp.zeros((1, network.widths[0]))
    return Pure(network, lambda key: model.init(key, x), model.apply)
