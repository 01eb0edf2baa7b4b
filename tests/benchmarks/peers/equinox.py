"""Equinox: a module that is a pytree. It has no mixed precision: its weights are cast by hand."""

import equinox as eqx
import jax
from jax import Array

from tests.benchmarks.network import Network
from tests.benchmarks.peers.pure import Params, Pure


def build(network: Network) -> Pure:
    """An `eqx.nn.Sequential` under `vmap`, its arrays apart from the rest; a call is compiled by `eqx.filter_jit`."""

    def make(key: Array) -> eqx.Module:
        keys, layers = jax.random.split(key, len(network.layers)), []
        for shape, one in zip(network.layers, keys, strict=True):
            layers += [eqx.nn.Linear(*shape, key=one), eqx.nn.Lambda(jax.nn.relu)]
        return eqx.nn.Sequential(layers[:-1])

    shapes = eqx.filter_eval_shape(make, jax.random.key(0))
    _, structure = eqx.partition(shapes, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))

    def apply(params: Params, x: Array) -> Array:
        cast = jax.tree.map(lambda w: w.astype(network.dtype), params)
        return jax.vmap(eqx.combine(cast, structure))(x.astype(network.dtype))

    return Pure(network, lambda key: eqx.filter(make(key), eqx.is_array), apply, jit=eqx.filter_jit)
