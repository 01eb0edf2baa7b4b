"""Data: from a file or a data set by name to rows that a model takes, and from its outputs back.

dataset = data.load(settings)          # the section [data]: read, split, prepared
table = data.read("new.csv")           # raw rows
x = dataset.preparation.inputs(table)  # as the model takes them
"""

from densefn.training.data.bundled import SOURCES
from densefn.training.data.by_name import Bundled, Mnist, Parity, Teacher, TwoMoons
from densefn.training.data.by_path import ArrayFile, FileData, TableFile
from densefn.training.data.files import read
from densefn.training.data.loading import Dataset, described, load
from densefn.training.data.preparation import Preparation, read_preparation
from densefn.training.data.rows import Rows, Stream, on_device
from densefn.training.data.section import Data
from densefn.training.data.settings import as_data, with_absolute_paths
from densefn.training.data.table import DataError, Table
from densefn.training.data.targets import Classes, Decoded

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
