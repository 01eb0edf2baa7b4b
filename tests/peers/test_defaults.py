"""Presets draw kernel and bias as the layers of other libraries do by default."""

import equinox
import flax.linen
import flax.nnx
import haiku
import jax.numpy as jnp
import numpy as np
import pytest

from densefn import Dense

# 4 inputs and 50,000 units: 200,000 entries of a kernel, and enough of a bias to tell its distribution.
INPUTS, UNITS = 4, 50_000


def of_linen(key):
    params = flax.linen.Dense(UNITS).init(key, jnp.ones((1, INPUTS)))["params"]
    return params["kernel"], params["bias"]


def of_nnx(key):
    layer = flax.nnx.Linear(INPUTS, UNITS, rngs=flax.nnx.Rngs(0))
    return layer.kernel[...], layer.bias[...]


def of_haiku(key):
    params = haiku.transform(lambda x: haiku.Linear(UNITS)(x)).init(key, jnp.ones((1, INPUTS)))["linear"]  # noqa: PLW0108
    return params["w"], params["b"]


def of_equinox(key):
    layer = equinox.nn.Linear(INPUTS, UNITS, key=key)
    return layer.weight.T, layer.bias


def wide(w):
    return np.asarray(w, np.float64)


PEERS = {
    "linen": ("flax_default", "zeros", of_linen),
    "nnx": ("flax_default", "zeros", of_nnx),
    "haiku": ("haiku_default", "zeros", of_haiku),
    "equinox": ("equinox_default", "equinox_default", of_equinox),
}


@pytest.mark.parametrize(("kernel", "bias", "peer"), PEERS.values(), ids=PEERS)
def test_moments_and_bounds_are_those_of_the_peer_s_layer(kernel, bias, peer, key):
    layer = Dense(UNITS, kernel_initializer=kernel, bias_initializer=bias)
    params = layer.init(key, (INPUTS,))
    for ours, theirs in zip(map(wide, (params["kernel"], params["bias"])), map(wide, peer(key)), strict=True):
        assert ours.shape == theirs.shape
        # 50,000 draws at least: a standard deviation's error is 0.26 % of it, a mean's 0.45 % of it, on each side.
        np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.012)
        assert abs(ours.mean() - theirs.mean()) <= 0.025 * theirs.std()
        np.testing.assert_allclose([ours.min(), ours.max()], [theirs.min(), theirs.max()], rtol=0.01)


def test_torch_s_default_is_the_uniform_distribution_of_its_documentation(key):
    layer = Dense(UNITS, kernel_initializer="torch_default", bias_initializer="torch_default")
    # U(-1/sqrt(in), 1/sqrt(in)), of kernel and bias: the same as Equinox's, whose layer is measured above.
    for w in layer.init(key, (INPUTS,)).values():
        np.testing.assert_allclose(np.std(w), 0.5 / np.sqrt(3), rtol=0.01)
        assert 0.499 < np.abs(w).max() <= 0.5
