"""Haiku: a transformed function; bfloat16 is a policy of its `hk.mixed_precision` for `hk.Linear`."""

import haiku as hk
import jax
import jax.numpy as jnp
import jmp
from jax import Array

from tests.benchmarks.network import Network
from tests.benchmarks.peers.pure import Pure


def build(network: Network) -> Pure:
    """An `hk.Sequential`, transformed."""
    policy = jmp.get_policy(f"params=float32,compute={network.dtype},output={network.dtype}")
    uniform = hk.initializers.VarianceScaling(1.0, "fan_avg", "uniform")

    def outputs(x: Array) -> Array:
        layers = []
        for units in network.widths[1:]:
            layers += [hk.Linear(units, w_init=uniform), jax.nn.relu]
        with hk.mixed_precision.push_policy(hk.Linear, policy):
            return hk.Sequential(layers[:-1])(x)

    model = hk.without_apply_rng(hk.transform(outputs))
    x = jnp.zeros((1, network.widths[0]))
    return Pure(network, lambda key: model.init(key, x), model.apply)
