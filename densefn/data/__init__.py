"""Data: from a file or a data set by name to rows that a model takes, and from its outputs back.

dataset = data.load(settings)          # the section [data]: read, split, prepared
table = data.read("new.csv")           # raw rows
x = dataset.preparation.inputs(table)  # as the model takes them
"""

from densefn.data.bundled import SOURCES
from densefn.data.by_name import Bundled, Mnist, Parity, Teacher, TwoMoons
from densefn.data.by_path import ArrayFile, FileData, TableFile
from densefn.data.files import read
from densefn.data.loading import Dataset, described, load
from densefn.data.preparation import Preparation, read_preparation
from densefn.data.rows import Rows, Stream, on_device
from densefn.data.section import Data
from densefn.data.settings import as_data, with_absolute_paths
from densefn.data.table import DataError, Table
from densefn.data.targets import Classes, Decoded

__all__ = [
    "SOURCES",
    "ArrayFile",
    "Bundled",
    "Classes",
    "Data",
    "DataError",
    "Dataset",
    "Decoded",
    "FileData",
    "Mnist",
    "Parity",
    "Preparation",
    "Rows",
    "Stream",
    "Table",
    "TableFile",
    "Teacher",
    "TwoMoons",
    "as_data",
    "described",
    "load",
    "on_device",
    "read",
    "read_preparation",
    "with_absolute_paths",
]
