"""Flax NNX: a model split into its structure and its state, which is what `jax.jit` can be given."""

import jax
from flax import nnx
from jax import Array

from tests.benchmarks.network import Network
from tests.benchmarks.peers.pure import Params, Pure


def build(network: Network) -> Pure:
    """An `nnx.Sequential`, split once and merged inside the compiled function."""

    def make(key: Array) -> nnx.Module:
        rngs, layers = nnx.Rngs(key), []
        for shape in network.layers:
            kernel_init = nnx.initializers.glorot_uniform()
            layers += [nnx.Linear(*shape, dtype=network.dtype, kernel_init=kernel_init, rngs=rngs), nnx.relu]
        return nnx.Sequential(*layers[:-1])

    structure = nnx.graphdef(nnx.eval_shape(lambda: make(jax.random.key(0))))

    def apply(params: Params, x: Array) -> Array:
        return nnx.merge(structure, params)(x)

    return Pure(network, lambda key: nnx.state(make(key), nnx.Param), apply)
