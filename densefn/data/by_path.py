"""Sections [data] with the path of a file."""

from dataclasses import KW_ONLY, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from densefn import _checks
from densefn.data import cells, files, fit
from densefn.data.columns import Category
from densefn.data.preparation import Preparation
from densefn.data.section import Data
from densefn.data.table import GAPS, Table, blaming, nfc

_MOST_LINES = 10
"""About as many columns of categories a line each is printed; about more, one for all of them."""


def _names(given: Any) -> tuple[str, ...]:
    """Names, of which one may stand alone."""
    return tuple(map(nfc, (given,) if isinstance(given, str) else _checks.several(_checks.text)(given)))


def _gaps(given: Any) -> tuple[str, ...]:
    """Cells, of which one may stand alone."""
    return _checks.several(_gap)([given] if isinstance(given, str | int | float) else given)


def _gap(given: Any) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise TypeError(f"expected a string or a number, got {given!r}")
    return cells.content_of(nfc(str(given))).lower()


def _targets(given: Any) -> tuple[str, ...]:
    if not (names := _names(given)):
        raise ValueError("expected the name of a column, or several, got none")
    return names


def _array_target(given: Any) -> str | int:
    return given if isinstance(given, str) else _checks.integer(given)


class FileData(Data):
    """Base of the files.

    Args:
      path: of the file; in a config relative to the config's folder, in `--set` and in Python to the current one.
      validation: a file of rows to hold out, of the same kind and columns; None holds a part of the first one's out.
      task: "classification" or "regression"; None is a classification if the target is text, true and false, or a
        few whole numbers (two, or up to 20 with five rows of each on average).
    """

    path: Annotated[str, _checks.text]
    _: KW_ONLY
    validation: Annotated[str | None, _checks.optional(_checks.text)] = None
    task: Annotated[str | None, _checks.optional(_checks.choice("classification", "regression"))] = None

    @property
    def title(self) -> str:
        return Path(self.path).name

    def read(self) -> Table:
        return files.read(self.path)

    def read_validation(self) -> Table | None:
        return None if self.validation is None else files.read(self.validation)

    def resolved(self, preparation: Preparation) -> Data:
        return replace(self, task="classification" if preparation.classes else "regression")


class TableFile(FileData):
    """A table with named columns: `.csv`, `.tsv`, `.txt`, these gzipped, or `.parquet`.

    A column is numbers, true and false, or categories, by what is in it.

    Args:
      target: the name of the target's column; of several for several numbers.
      ignore: names of columns that are no input.
      categorical: names of columns that are categories though they hold numbers.
      missing: what stands for missing numbers: the "mean" or the "median" of the training rows.
      missing_values: the cells that count as missing beside an empty one, text or numbers, whatever their case.
      missing_indicator: whether a column that says where a number was missing is put beside each one with gaps.
      rare: a category of fewer training rows than this counts as one that training did not see.
    """

    target: Annotated[tuple[str, ...], _targets]
    ignore: Annotated[tuple[str, ...], _names] = ()
    categorical: Annotated[tuple[str, ...], _names] = ()
    missing: Annotated[str, _checks.choice("mean", "median")] = "mean"
    missing_values: Annotated[tuple[str, ...], _gaps] = GAPS
    missing_indicator: Annotated[bool, _checks.flag] = False
    rare: Annotated[int, _checks.whole(minimum=1)] = 2

    def check_together(self) -> None:
        if len(set(self.target)) < len(self.target):
            raise ValueError(f"expected targets that differ, got {', '.join(self.target)}")
        for name in (*self.ignore, *self.categorical):
            if name in self.target or (name in self.ignore and name in self.categorical):
                raise ValueError(f"expected {name!r} in one of target, ignore and categorical, got it in two")

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        gaps = fit.Gaps(self.missing, self.missing_indicator, self.rare)
        columns = {"targets": self.target, "ignore": self.ignore, "categorical": self.categorical}
        return fit.fit_table(replace(table, gaps=self.missing_values), train, **columns, task=self.task, gaps=gaps)

    def notes(self, preparation: Preparation) -> list[str]:
        found = [column for column in preparation.columns if isinstance(column, Category)]
        taken = [column for column in found if column.name not in self.categorical]
        if len(taken) > _MOST_LINES:
            names = ", ".join(repr(column.name) for column in taken[:3])
            return [f"{self.title}: {len(taken):,} columns of text are taken for categories: {names}, ..."]
        return [f"{self.title}: column {column.name!r}: {column.described}" for column in taken]


class ArrayFile(FileData):
    """Arrays of numbers: `.npz`, `.npy` or IDX.

    Args:
      inputs: the name of the array of inputs in an `.npz` file.
      target: the name of the array of targets in an `.npz` file. For an `.npy` file another `.npy` file, with a path
        as `path` has it, or the number of the target's column, -1 for the last.
      stream: whether the rows stay in their `.npy` file, which must not change meanwhile, and go to the device part by
        part, the next while the last is computed; training gives the same bits. None streams rows that take more than a
        quarter of the device's memory.
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
        table = FileData.read(self)
        return table if isinstance(self.target, int) else self._with_target(table)

    def read_validation(self) -> Table | None:
        table = FileData.read_validation(self)
        return table if table is None or isinstance(self.target, int) else self._with_target(table)

    def streams(self, size: int, memory: float) -> bool:
        return self._is_npy and (size > memory / 4 if self.stream is None else self.stream)

    def _with_target(self, table: Table) -> Table:
        """The inputs and the targets alone, found to be of equally many rows."""
        with blaming("inputs"):
            x = table.array(self.inputs)
        with blaming("target"):
            y = files.read(str(self.target)).array("y") if self._is_npy else table.array(str(self.target))
            if len(x) != len(y):
                raise table.refused(f"expected as many targets as rows of inputs, {len(x):,}, got {len(y):,}")
        return Table(table.path, {self.inputs: x, self._target_name: y})

    @property
    def _target_name(self) -> str:
        return "y" if self._is_npy else str(self.target)

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        target = self.target if isinstance(self.target, int) else self._target_name
        return fit.fit_arrays(table, train, inputs=self.inputs, target=target, task=self.task)
