"""Loads a data set: splits and prepares the rows of a source, on the device or streamed from their file."""

import hashlib
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from densefn._values import Problem, TableError
from densefn.data import files
from densefn.data.preparation import Preparation
from densefn.data.rows import Rows, Stream, on_device
from densefn.data.source import Source
from densefn.data.table import DataError, Table, blaming


@dataclass(frozen=True)
class Dataset:
    """Training and validation rows.

    Attributes:
      train: the rows to fit.
      validation: the rows that are held out.
      preparation: encodes rows in the same way.
      fingerprint: SHA-256 of all encoded inputs and targets, in the order of the file.
      notes: decisions about the files that the user should know, one line each.
    """

    train: Rows | Stream
    validation: Rows | Stream
    preparation: Preparation
    fingerprint: str
    notes: tuple[str, ...] = ()

    @property
    def is_streamed(self) -> bool:
        """Whether the rows stay in their file."""
        return isinstance(self.train, Stream)

    @property
    def classes(self) -> int | None:
        """The number of classes, or None for a regression."""
        return None if self.preparation.classes is None else len(self.preparation.classes)

    @property
    def features(self) -> int:
        """The number of columns of `x`."""
        return self.train.features

    @property
    def outputs(self) -> int:
        """The number of classes, or of targets per row."""
        return self.classes or self.train.y.shape[-1]


def load(source: Source) -> Dataset:
    """Loads a data set, splits it, and prepares both parts. The preparation is fitted on the training rows only.

    Raises:
      TableError: names the file, the row and the column of what is wrong, and the key of [data].
    """
    try:
        table = source.read()
        with blaming("validation"):
            own = source.read_validation()
        indices = _split(table, source) if own is None else (np.arange(len(table)),)
        preparation = source.fit(table, indices[0])
        digest = hashlib.sha256()
        make = _stream if source.streams(_size(preparation, table, own), _memory()) else _in_memory
        train, *rest = make(digest, preparation, table, *indices)
        if own is not None:
            with blaming("validation"):
                rest = make(digest, preparation, own, np.arange(len(own)))
    except DataError as error:
        raise TableError([Problem(("data", error.key), str(error))]) from None
    notes = [*table.notes, *preparation.left_out, *source.notes(preparation)]
    if own is not None:
        notes += [*own.notes, *preparation.unseen(own)]
    return Dataset(train, rest[0], preparation, digest.hexdigest(), tuple(dict.fromkeys(notes)))


def describe(source: Source, dataset: Dataset) -> str:
    """Describes a data set in one line: its rows, its features and its target.

    Args:
      source: the source of the rows.
      dataset: the data set that `load` returned for it.

    Returns:
      A line of text.

    >>> from densefn.data.sources.scikit_learn import Bundled
    >>> describe(Bundled("iris"), load(Bundled("iris")))
    'iris: 120 rows to train, 30 held out; 4 features; target y: classification, 3 classes'
    """
    preparation, width = dataset.preparation, dataset.features
    features = f"{width:,} feature{'s' * (width > 1)}"
    if preparation.columns[1:]:
        features = f"{len(preparation.columns)} columns as {features}"
    kind = f"classification, {dataset.classes} classes" if dataset.classes else "regression"
    train, held_out = len(dataset.train.y), len(dataset.validation.y)
    return (
        f"{source.title}: {train:,} rows to train, {held_out:,} held out; {features}; "
        f"target {', '.join(preparation.targets)}: {kind}{'; streamed from the file' * dataset.is_streamed}"
    )


def _split(table: Table, source: Source) -> tuple[np.ndarray, np.ndarray]:
    if len(table) < 2:
        raise table.error("expected at least two rows, one to train and one to hold out, got one")
    order = np.random.default_rng(source.seed).permutation(len(table))
    held_out = min(max(round(len(table) * source.validation_fraction), 1), len(table) - 1)
    return order[held_out:], order[:held_out]


def _in_memory(digest: Any, preparation: Preparation, table: Table, *indices: np.ndarray) -> list[Rows | Stream]:
    x, y = preparation.inputs(table), preparation.labels(table)
    digest.update(x)
    digest.update(y)
    return [on_device(x[index], y[index]) for index in indices]


def _stream(digest: Any, preparation: Preparation, table: Table, *indices: np.ndarray) -> list[Rows | Stream]:
    for _, some in table.chunks(len(preparation.features)):
        digest.update(preparation.inputs(some))  # raises here, not hours later, at a cell that cannot be used
    y = preparation.labels(table)
    digest.update(y)
    return [Stream(table, index, y[index], preparation) for index in indices]


def _size(preparation: Preparation, *tables: Table | None) -> int:
    """Bytes of the inputs of all rows."""
    rows = sum(len(table) for table in tables if table is not None)
    return rows * len(preparation.features) * np.dtype(np.float32).itemsize


def _memory() -> float:
    """Bytes of memory of the device; of the machine if the device is a CPU; infinite if unknown."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics:
        return statistics["bytes_limit"]
    return files.machine_memory()
