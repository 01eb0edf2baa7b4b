"""Reads the files of run folders. Older and interrupted runs lack some of them."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from densefn import checkpoint
from densefn.data import Preparation, read_preparation
from densefn.data.table import DataError
from densefn.summary import Summary, summary
from densefn.training import folder as names
from densefn.training import metrics_file
from densefn.training.folder import FolderError, check
from densefn.training.metrics_file import Row

_OPTIONAL = (names.NOTES, names.MODEL, names.RESULT, names.CONFUSION, names.PREDICTIONS, names.HISTOGRAMS)


class ReportError(ValueError):
    """A folder that is not a run, or has a broken file."""


@dataclass(frozen=True)
class Predictions:
    """The targets of a regression's validation rows, and the predictions for them.

    Attributes:
      names: the names of the targets.
      targets: `[rows, targets]`, in the original units.
      predictions: `[rows, targets]`, in the original units; NaN where a prediction is not finite.
    """

    names: list[str]
    targets: np.ndarray
    predictions: np.ndarray

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The actual and the predicted values of one target, `[rows]` each."""
        index = self.names.index(name)
        return self.targets[:, index], self.predictions[:, index]


@dataclass(frozen=True)
class Run:
    """The contents of a run folder.

    Attributes:
      name: the folder's name.
      config: the config as nested dicts.
      text: the text of the config file.
      metrics: one row for each epoch, at least one; NaN where a value is not finite.
      kept: the row of the epoch whose model is saved, or the last row if the run has not ended.
      model: a summary of the model, or None.
      preparation: how features and targets are encoded, or None.
      confusion: counts of validation rows by true and by predicted class, `[classes, classes]`, or None.
      predictions: those of a regression, or None.
      histograms: `weights` and `outputs`, each by path; empty if the run has none.
      notes: one line for each decision that data preparation made.
    """

    name: str
    config: dict[str, Any]
    text: str
    metrics: Sequence[Row]
    kept: Row
    model: Summary | None
    preparation: Preparation | None
    confusion: list[list[int]] | None
    predictions: Predictions | None
    histograms: dict[str, dict[str, Any]]
    notes: Sequence[str] = ()

    @property
    def classes(self) -> list[str]:
        """The names of the classes, or their numbers if the preparation is missing."""
        named = self.preparation.classes if self.preparation else None
        return list(named or map(str, range(len(self.confusion or []))))


def read_all(folders: Sequence[Path]) -> list[Run]:
    """Reads runs from their folders. A run's name is its folder's name, or the whole path if two have the same name.

    Raises:
      ReportError: if a folder is not a run, or is given twice.
    """
    resolved = [folder.resolve() for folder in folders]
    if len(set(resolved)) < len(resolved):
        raise ReportError(f"expected each run once, got {' '.join(map(str, folders))}")
    names = [folder.name for folder in resolved]
    shown = [str(path) if names.count(path.name) > 1 else path.name for path in resolved]
    return [read(folder, _text(name)) for folder, name in zip(folders, shown, strict=True)]


def _text(name: str) -> str:
    """A name as text; bytes that are not UTF-8 become the replacement character."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read(folder: Path, name: str) -> Run:
    """Reads one run folder.

    Raises:
      ReportError: if config or metrics are missing, or a file is not one that densefn wrote.
    """
    try:
        _, files = check(folder, names.CONFIG, names.METRICS, names.PREPARATION, optional=_OPTIONAL)
    except FolderError as error:
        raise ReportError(str(error)) from None
    try:
        text = (folder / names.CONFIG).read_text(encoding="utf-8")
        config = _config(text)
        metrics = _rows(folder / names.METRICS)
        model = names.listed_name(names.MODEL, files)
        preparation = read_preparation(folder / names.PREPARATION)
        return Run(
            name,
            config,
            text,
            metrics,
            _kept(metrics, _json(folder / names.RESULT)),
            summary(*checkpoint.describe(folder / model)) if model in files else None,
            preparation,
            _confusion(_json(folder / names.CONFUSION), len(preparation.classes or ())),
            _predictions(_json(folder / names.PREDICTIONS)),
            _histograms(_json(folder / names.HISTOGRAMS)),
            _notes(_json(folder / names.NOTES)),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, DataError) as error:
        raise ReportError(f"{folder}: expected the files of a run that densefn wrote: {error}") from None


def _config(text: str) -> dict[str, Any]:
    config = tomllib.loads(text)
    for key in ("shows", "expect"):
        if not isinstance(config.get(key, ""), str):
            raise TypeError(f"{names.CONFIG}: {key}: expected a text, got {config[key]!r}")
    return config


def _rows(path: Path) -> list[Row]:
    rows = metrics_file.read(path)
    if not rows:
        raise ValueError(f"{path.name} has no epoch yet")
    return rows


def _kept(metrics: Sequence[Row], result: dict[str, Any] | None) -> Row:
    if result is None:
        return metrics[-1]
    kept = [row for row in metrics if row.epoch == result["epoch"]]
    if not kept:
        raise ValueError(f"{names.METRICS} lacks the row of epoch {result['epoch']}, whose model is saved")
    return kept[0]


def _confusion(given: Any, classes: int) -> list[list[int]] | None:
    if given is None:
        return None
    matrix = np.array(given)
    if matrix.shape != (classes, classes) or matrix.dtype.kind != "i" or (matrix < 0).any():
        raise ValueError(f"{names.CONFUSION}: expected a {classes} x {classes} matrix of counts")
    return matrix.tolist()


def _predictions(given: dict[str, Any] | None) -> Predictions | None:
    if given is None:
        return None
    titles, targets, predictions = given["names"], _floats(given["targets"]), _floats(given["predictions"])
    if not all(isinstance(title, str) for title in titles) or not (
        targets.shape == predictions.shape == (len(targets), len(titles))
    ):
        raise ValueError(f"{names.PREDICTIONS}: expected names, and rows with a target and a prediction for each name")
    return Predictions(list(titles), targets, predictions)


def _histograms(given: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    for kind, each in (given or {}).items():
        for path, histogram in each.items():
            if not histogram:
                continue
            edges, counts = _floats(histogram["edges"]), _floats(histogram["counts"])
            if not (edges.ndim == counts.ndim == 1 and len(edges) == len(counts) + 1 > 1):
                raise ValueError(f"{names.HISTOGRAMS}: {kind}: {path}: expected one more edge than counts")
            if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all() and np.isfinite(counts).all()):
                raise ValueError(f"{names.HISTOGRAMS}: {kind}: {path}: expected increasing edges and finite counts")
    return given or {}


def _floats(given: Any) -> np.ndarray:
    """Lists of numbers as an array, with NaN for null. NumPy alone would also convert strings."""
    array = np.array(given)
    if array.dtype.kind == "U":
        raise TypeError(f"expected numbers, got {given!r:.50}")
    return array.astype(np.float64)


def _notes(given: list[str] | None) -> list[str]:
    if not all(isinstance(note, str) for note in given or ()):
        raise TypeError(f"{names.NOTES}: expected a list of texts")
    return given or []


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
