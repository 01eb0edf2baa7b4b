"""Data sets that are drawn when they are asked for."""

from importlib import import_module

import jax
import numpy as np

from densefn import Dense, Sequential
from densefn.data.table import Table


def teacher(key: int, *, rows: int, features: int, outputs: int, hidden: int, noise: float) -> Table:
    """Normal inputs and what a network with random parameters makes of them, standardised, and normal noise."""
    draw = np.random.default_rng(key)
    x = draw.standard_normal((rows, features), np.float32)
    network = Sequential(Dense(hidden, "tanh", kernel_initializer="lecun_normal"), Dense(outputs))
    params = network.init(jax.random.key(key), (None, features))
    y = np.asarray(network.apply(params, x), np.float64)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    return Table("teacher", {"x": x, "y": y + noise * draw.standard_normal(y.shape)})


def two_moons(key: int, *, rows: int, noise: float) -> Table:
    """Points of a plane on two half circles that reach into each other, with normal noise."""
    # Imported here: it takes 2 seconds, which other data is spared.
    x, y = import_module("sklearn.datasets").make_moons(rows, noise=noise, random_state=key % 2**32)
    return Table("two_moons", {"x": np.asarray(x), "y": np.asarray(y)})


def parity(key: int, *, rows: int, features: int, bits: int, noise: float) -> Table:
    """Inputs of -1 and 1, and whether an odd number of the first `bits` of them is 1; a part `noise` is flipped."""
    draw = np.random.default_rng(key)
    ones = draw.integers(0, 2, (rows, features))
    flipped = draw.random(rows) < noise
    y = (ones[:, :bits].sum(axis=1) + flipped) % 2
    return Table("parity", {"x": 2.0 * ones - 1, "y": y})
