"""What every section [data] has, wherever its rows come from."""

from abc import abstractmethod
from dataclasses import KW_ONLY
from typing import Annotated

import numpy as np

from densefn import _checks
from densefn._values import Value
from densefn.data.preparation import Preparation
from densefn.data.table import Table


class Data(Value):
    """Base of the sections [data].

    Args:
      validation_fraction: the part of the rows that is held out, strictly between 0 and 1: at least one row, not all.
      batch_size: rows of a step; the last step of an epoch takes what is left.
      seed: of the split into training and validation rows, and of rows that are drawn.
    """

    _: KW_ONLY
    validation_fraction: Annotated[float, _checks.number(above=0, below=1)] = 0.2
    batch_size: Annotated[int, _checks.whole(minimum=1)] = 32
    seed: Annotated[int, _checks.whole(minimum=0, maximum=2**32 - 1)] = 0

    @property
    @abstractmethod
    def title(self) -> str:
        """What messages call the rows."""

    @abstractmethod
    def read(self) -> Table:
        """The rows, before they are split.

        Raises:
          DataError: names file, row and column of what is wrong.
        """

    def read_validation(self) -> Table | None:
        """The rows of a validation file of its own; None where a part of the others is held out."""
        return None

    @abstractmethod
    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        """Fits a preparation.

        Args:
          table: as `read` returns it.
          train: the numbers of the training rows.
        """

    def streams(self, size: int, memory: float) -> bool:
        """Whether the rows stay in their file, and each is read when its turn comes.

        Args:
          size: bytes of the prepared rows.
          memory: bytes that there are for them.
        """
        return False

    def notes(self, preparation: Preparation) -> list[str]:
        """What was decided about the columns because the section does not say it, a line each."""
        return []

    def resolved(self, preparation: Preparation) -> "Data":
        """The section with what was found out in the place of what was left open."""
        return self
