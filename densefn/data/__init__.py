"""Loads rows from files and named data sets, prepares them for a model, and decodes the model's outputs.

dataset = data.load(source)            # reads, splits and prepares the rows of a section [data]
table = data.read("new.csv")           # raw rows
x = dataset.preparation.inputs(table)  # inputs of a model
"""

import warnings
from typing import Any

from densefn.data.dataset import Dataset, describe, load
from densefn.data.files import read
from densefn.data.preparation import Preparation, read_preparation
from densefn.data.rows import Rows, Stream, on_device
from densefn.data.section import as_source, with_absolute_paths
from densefn.data.source import NamedSource, Source, register
from densefn.data.sources._file import FileSource
from densefn.data.sources.array_file import ArrayFile
from densefn.data.sources.mnist import Mnist
from densefn.data.sources.scikit_learn import BUNDLED, Bundled
from densefn.data.sources.synthetic import Parity, Teacher, TwoMoons
from densefn.data.sources.table_file import TableFile
from densefn.data.table import DataError, Table
from densefn.data.targets import Classes, Decoded

__all__ = [
    "BUNDLED",
    "ArrayFile",
    "Bundled",
    "Classes",
    "DataError",
    "Dataset",
    "Decoded",
    "FileSource",
    "Mnist",
    "NamedSource",
    "Parity",
    "Preparation",
    "Rows",
    "Source",
    "Stream",
    "Table",
    "TableFile",
    "Teacher",
    "TwoMoons",
    "as_source",
    "describe",
    "load",
    "on_device",
    "read",
    "read_preparation",
    "register",
    "with_absolute_paths",
]

_RENAMED = {
    "Data": "Source",
    "FileData": "FileSource",
    "SOURCES": "BUNDLED",
    "as_data": "as_source",
    "described": "describe",
}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"{__name__}.{name} is {__name__}.{_RENAMED[name]} now", DeprecationWarning, stacklevel=2)
    return globals()[_RENAMED[name]]
