"""Synthetic data sets: rows that are drawn from the seed."""

from importlib import import_module
from typing import Annotated

import jax
import numpy as np

from densefn import Dense, Sequential, _checks
from densefn.data import fit
from densefn.data.preparation import Preparation
from densefn.data.source import NamedSource, register
from densefn.data.table import Table

_MOST_NUMBERS = 2**28
"""The most numbers of all rows, 2 GiB in float64: a mistyped size is refused before it takes the memory."""


@register
class Teacher(NamedSource):
    """A regression on the outputs of a random network with one hidden layer, for normal inputs.

    Args:
      rows: number of rows.
      features: number of inputs of a row.
      outputs: number of targets of a row.
      hidden: units of the network's hidden layer.
      noise: standard deviation of the normal noise on the targets, in units of their own standard deviation.

    >>> table = Teacher(rows=100, features=3).read()
    >>> table.columns["x"].shape, table.columns["y"].shape
    ((100, 3), (100, 1))
    """

    names = ("teacher",)
    rows: Annotated[int, _checks.whole(minimum=2, maximum=10**7)] = 2000
    features: Annotated[int, _checks.whole(minimum=1, maximum=10**5)] = 8
    outputs: Annotated[int, _checks.whole(minimum=1, maximum=10**5)] = 1
    hidden: Annotated[int, _checks.whole(minimum=1, maximum=10**5)] = 16
    noise: Annotated[float, _checks.number(minimum=0)] = 0.0

    def check_together(self) -> None:
        _check_size(self.rows, self.features + self.outputs + self.hidden)

    def read(self) -> Table:
        draw = np.random.default_rng(self.seed)
        x = draw.standard_normal((self.rows, self.features), np.float32)
        network = Sequential(Dense(self.hidden, "tanh", kernel_initializer="lecun_normal"), Dense(self.outputs))
        params = network.init(jax.random.key(self.seed), (None, self.features))
        y = np.asarray(network.apply(params, x), np.float64)
        y = (y - y.mean(axis=0)) / y.std(axis=0)
        return Table(self.title, {"x": x, "y": y + self.noise * draw.standard_normal(y.shape)})

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        return fit.fit_arrays(table, train, task="regression")


@register
class TwoMoons(NamedSource):
    """Points of a plane on two interleaving half circles: two classes.

    Args:
      rows: number of points.
      noise: standard deviation of the normal noise on the points; the circles have radius 1.

    >>> TwoMoons(rows=100).read().columns["x"].shape
    (100, 2)
    """

    names = ("two_moons",)
    rows: Annotated[int, _checks.whole(minimum=4, maximum=10**7)] = 1000
    noise: Annotated[float, _checks.number(minimum=0)] = 0.1

    def read(self) -> Table:
        # Imported here: scikit-learn takes 2 seconds to import, and other data does not need it.
        make_moons = import_module("sklearn.datasets").make_moons
        x, y = make_moons(self.rows, noise=self.noise, random_state=self.seed)
        return Table(self.title, {"x": np.asarray(x), "y": np.asarray(y)})

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        return fit.fit_arrays(table, train, classes=("upper", "lower"))


@register
class Parity(NamedSource):
    """Parity of the first `bits` inputs, each of them -1 or 1: two classes, by whether the number of ones is odd.

    Args:
      rows: number of rows.
      features: number of inputs of a row.
      bits: number of inputs that decide the class.
      noise: the fraction of the rows with the wrong class, on average.

    >>> Parity(rows=100).read().columns["y"].shape
    (100,)
    """

    names = ("parity",)
    rows: Annotated[int, _checks.whole(minimum=4, maximum=10**7)] = 2000
    features: Annotated[int, _checks.whole(minimum=1, maximum=10**5)] = 8
    bits: Annotated[int, _checks.whole(minimum=1)] = 3
    noise: Annotated[float, _checks.number(minimum=0, maximum=0.5)] = 0.0

    def check_together(self) -> None:
        if self.bits > self.features:
            raise ValueError(f"expected at most as many bits as features ({self.features}), got {self.bits}")
        _check_size(self.rows, self.features)

    def read(self) -> Table:
        draw = np.random.default_rng(self.seed)
        ones = draw.integers(0, 2, (self.rows, self.features))
        flipped = draw.random(self.rows) < self.noise
        y = (ones[:, : self.bits].sum(axis=1) + flipped) % 2
        return Table(self.title, {"x": 2.0 * ones - 1, "y": y})

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        return fit.fit_arrays(table, train, classes=("even", "odd"))


def _check_size(rows: int, columns: int) -> None:
    if rows * columns > _MOST_NUMBERS:
        raise ValueError(f"expected at most {_MOST_NUMBERS:,} numbers in all rows together, got {rows:,} x {columns:,}")
