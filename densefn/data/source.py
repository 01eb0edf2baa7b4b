"""Defines what a source is: it reads the rows of a data set, from a file or by its name.

A source is a value, whose fields are the keys of the section [data] of a config. To add one, write a module in
`densefn/data/sources`. `register` makes it the source of its names, such as `name = "two_moons"`.
"""

from abc import abstractmethod
from dataclasses import KW_ONLY
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np

from densefn import _checks
from densefn._values import Value
from densefn.data.preparation import Preparation
from densefn.data.table import Table


class Source(Value):
    """Base of the sources.

    Args:
      validation_fraction: the fraction of the rows that is held out, between 0 and 1: at least one row, not all.
      batch_size: rows per step; the last step of an epoch has the rows that are left.
      seed: decides the split into training and validation rows, and the rows of a synthetic data set.
    """

    names: ClassVar[tuple[str, ...]] = ()
    """The names of its data sets in [data]; none for a file."""

    _: KW_ONLY
    validation_fraction: Annotated[float, _checks.number(above=0, below=1)] = 0.2
    batch_size: Annotated[int, _checks.whole(minimum=1)] = 32
    seed: Annotated[int, _checks.whole(minimum=0, maximum=2**32 - 1)] = 0

    @property
    @abstractmethod
    def title(self) -> str:
        """The data set's name in messages."""

    @abstractmethod
    def read(self) -> Table:
        """The rows, before they are split.

        Raises:
          DataError: names file, row and column of what is wrong.
        """

    def read_validation(self) -> Table | None:
        """The rows of a separate validation file; None if a fraction of the other rows is held out."""
        return None

    @abstractmethod
    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        """Fits the preparation of the rows.

        Args:
          table: what `read` returned.
          train: the indices of the training rows.
        """

    def streams(self, size: int, memory: float) -> bool:
        """Whether the rows stay in their file and are read batch by batch.

        Args:
          size: the bytes of the prepared rows.
          memory: the bytes of the device's memory.
        """
        return False

    def notes(self, preparation: Preparation) -> list[str]:
        """The decisions about columns that the section left open, one line each."""
        return []

    def resolved(self, preparation: Preparation) -> "Source":
        """The source with the values that were chosen for fields left open, such as `task`."""
        return self


S = TypeVar("S", bound=type[Source])

NAMES: dict[str, type[Source]] = {}
"""The class of each data set that has a name."""


def register(cls: S) -> S:
    """Makes a class the source of the data sets with its `names`."""
    NAMES.update(dict.fromkeys(cls.names, cls))
    return cls


class NamedSource(Source):
    """Base of the sources with one fixed name."""

    @property
    def title(self) -> str:
        return self.names[0]

    def to_table(self) -> dict[str, Any]:
        return {"name": self.title, **Value.to_table(self)}
