"""Arrays in a file: `.npz`, `.npy` or IDX."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np

from densefn import _checks
from densefn.data import files, fit
from densefn.data.preparation import Preparation
from densefn.data.sources._file import FileSource
from densefn.data.table import Table, blaming


def _array_target(given: Any) -> str | int:
    return given if isinstance(given, str) else _checks.integer(given)


class ArrayFile(FileSource):
    """Arrays of numbers: `.npz`, `.npy` or IDX.

    Args:
      inputs: the name of the array of inputs in an `.npz` file.
      target: the name of the array of targets in an `.npz` file. For an `.npy` file, the path of another `.npy` file,
        or the index of the target's column, -1 for the last.
      stream: whether the rows stay in their `.npy` file and are read part by part, each while the previous one is
        computed. The file must not change during training. The trained model is the same, bit for bit. None streams
        rows that take more than a quarter of the device's memory.

    >>> ArrayFile("rows.npy", target=-1, stream=True)
    ArrayFile(path='rows.npy', target=-1, stream=True)
    """

    inputs: Annotated[str, _checks.text] = "x"
    target: Annotated[str | int, _array_target] = "y"
    stream: Annotated[bool | None, _checks.optional(_checks.flag)] = None

    def check_together(self) -> None:
        if self.stream and not self._is_npy:
            raise ValueError(f"expected an .npy file to stream from, got {self.title}; numpy.save writes one")
        if isinstance(self.target, int):
            if not self._is_npy:
                raise ValueError(f"expected the name of the array of targets, got {self.target!r}")
        elif self._is_npy and not self.target.endswith(".npy"):
            raise ValueError(
                f"expected the target of an .npy file: another .npy file, or a number; got {self.target!r}"
            )
        elif self._is_npy and self.validation is not None:
            raise ValueError(
                "expected no validation file with a target in a second .npy file; put both in an .npz file"
            )

    @property
    def _is_npy(self) -> bool:
        return Path(self.path).suffix.lower() == ".npy"

    def read(self) -> Table:
        table = FileSource.read(self)
        return table if isinstance(self.target, int) else self._with_target(table)

    def read_validation(self) -> Table | None:
        table = FileSource.read_validation(self)
        return table if table is None or isinstance(self.target, int) else self._with_target(table)

    def streams(self, size: int, memory: float) -> bool:
        return self._is_npy and (size > memory / 4 if self.stream is None else self.stream)

    def _with_target(self, table: Table) -> Table:
        """The arrays of inputs and targets only, after a check that both have as many rows."""
        with blaming("inputs"):
            x = table.array(self.inputs)
        with blaming("target"):
            y = files.read(str(self.target)).array("y") if self._is_npy else table.array(str(self.target))
            if len(x) != len(y):
                raise table.error(f"expected as many targets as rows of inputs, {len(x):,}, got {len(y):,}")
        return Table(table.path, {self.inputs: x, self._target_name: y})

    @property
    def _target_name(self) -> str:
        return "y" if self._is_npy else str(self.target)

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        target = self.target if isinstance(self.target, int) else self._target_name
        return fit.fit_arrays(table, train, inputs=self.inputs, target=target, task=self.task)
