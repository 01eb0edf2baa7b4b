"""Keras on JAX: `stateless_call`, a pure function of the variables; bfloat16 is the policy `mixed_bfloat16`."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
from jax import Array

from tests.benchmarks.network import Network
from tests.benchmarks.peers.pure import Params, Pure

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def build(network: Network) -> Pure:
    """A `keras.Sequential`. Its constructor draws the variables with Keras's seed generator, which cannot be traced."""
    policy = _POLICIES[network.dtype]

    def make() -> keras.Model:
        *hidden, outputs = network.widths[1:]
        layers = [keras.layers.Dense(units, "relu", dtype=policy) for units in hidden]
        return keras.Sequential([keras.Input((network.widths[0],)), *layers, keras.layers.Dense(outputs, dtype=policy)])

    model = make()

    def draw(_: Array) -> Params:
        return [variable.value for variable in make().trainable_variables]

    def apply(params: Params, x: Array) -> Array:
        return model.stateless_call(params, [], x)[0]

    return Pure(network, draw, apply, draw_compiles=False)
