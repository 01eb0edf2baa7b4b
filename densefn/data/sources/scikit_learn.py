"""The small data sets that scikit-learn installs."""

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import numpy as np

from densefn import _checks
from densefn._values import find
from densefn.data import fit
from densefn.data.preparation import Preparation
from densefn.data.source import NAMES, Source, register
from densefn.data.table import Table


@dataclass(frozen=True)
class Loader:
    """How scikit-learn loads a data set.

    Attributes:
      function: the name of scikit-learn's function.
      classifies: whether the target is a class; otherwise it is one number per row, or several.
    """

    function: str
    classifies: bool

    def load(self, **options: Any) -> Any:
        """Calls scikit-learn's function."""
        # Imported here: scikit-learn takes 2 seconds to import, and other data does not need it.
        return getattr(import_module("sklearn.datasets"), self.function)(**options)


BUNDLED: dict[str, Loader] = {
    "digits": Loader("load_digits", classifies=True),
    "iris": Loader("load_iris", classifies=True),
    "wine": Loader("load_wine", classifies=True),
    "breast_cancer": Loader("load_breast_cancer", classifies=True),
    "diabetes": Loader("load_diabetes", classifies=False),
    "linnerud": Loader("load_linnerud", classifies=False),
}


def _name(given: Any) -> str:
    find(NAMES, _checks.text(given), "data set")  # among all data sets: a typo may mean one of another source
    return _checks.choice(*BUNDLED)(given)


@register
class Bundled(Source):
    """A data set of scikit-learn.

    Args:
      name: `digits`, `iris`, `wine`, `breast_cancer`, `diabetes` or `linnerud`.

    >>> Bundled("iris", batch_size=10).read().columns["x"].shape
    (150, 4)
    """

    names = tuple(BUNDLED)
    name: Annotated[str, _name]

    @property
    def title(self) -> str:
        return self.name

    def read(self) -> Table:
        bunch = BUNDLED[self.name].load()
        return Table(self.name, {"x": bunch.data, "y": bunch.target})

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        bunch = BUNDLED[self.name].load()
        if BUNDLED[self.name].classifies:
            names = tuple(map(str, bunch.target_names))
            return fit.fit_arrays(table, train, classes=names, labels=bunch.feature_names)
        return fit.fit_arrays(table, train, task="regression", labels=bunch.feature_names)
