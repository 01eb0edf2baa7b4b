"""JAX without a library, as one writes it by hand: what the others are compared with."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import glorot_uniform

from tests.benchmarks.clock import Work
from tests.benchmarks.network import Network
from tests.benchmarks.peers.pure import Params, Pure


def build(network: Network) -> Pure:
    """Lists of weights and biases; master weights are float32 and cast where they are used."""

    def draw(key: Array) -> Params:
        keys = jax.random.split(key, len(network.layers))
        shapes = zip(keys, network.layers, strict=True)
        return [(glorot_uniform()(key, shape), jnp.zeros(shape[1])) for key, shape in shapes]

    def apply(params: Params, x: Array) -> Array:
        *hidden, (w, b) = jax.tree.map(lambda w: w.astype(network.dtype), params)
        x = x.astype(network.dtype)
        for weight, bias in hidden:
            x = jax.nn.relu(x @ weight + bias)
        return x @ w + b

    return Pure(network, draw, apply)


def square_product(size: int, dtype: str) -> Work:
    """A product of two square matrices with a float32 result."""
    x = jnp.ones((size, size), dtype)
    product = jax.jit(lambda x, w: jnp.matmul(x, w, preferred_element_type=jnp.float32))
    return lambda: product(x, x)
