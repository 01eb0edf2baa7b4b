"""Opens the folder of a run, to predict and to evaluate raw rows with the trained model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl

from densefn import checkpoint, data
from densefn.data import DataError, Decoded, Preparation, Rows, Stream, Table
from densefn.layer import Layer
from densefn.training import config, folder, losses, metrics
from densefn.training.config import Config, ConfigFile
from densefn.training.epochs import make_evaluate


@dataclass(frozen=True)
class Trained:
    """A trained model, with its config and its preparation.

    Attributes:
      file: the config file of the run, with every choice made.
      config: the config in the file.
      preparation: turns raw rows into inputs, and outputs into classes or numbers.
      model: the layer.
      params: the parameters that the run kept.
      fingerprint: the fingerprint of the rows of the run.
    """

    file: ConfigFile
    config: Config
    preparation: Preparation
    model: Layer
    params: Any
    fingerprint: str

    def predict(self, table: Table) -> Decoded:
        """Predicts raw rows, which need no target.

        Raises:
          DataError: names the row and the column of a cell that cannot be used, or the row of an output that is not
            finite.
        """
        apply = jax.jit(self.model.apply)
        parts = (part for _, part in table.chunks(len(self.preparation.features)))
        outputs = [np.asarray(apply(self.params, self.preparation.inputs(part))) for part in parts]
        whole = np.concatenate(outputs)
        if len(wrong := np.flatnonzero(~np.isfinite(whole.reshape(len(whole), -1)).all(axis=1))):
            raise table.error(f"the model's output for {table.places(wrong[:1].tolist())} is not finite")
        return self.preparation.decode(whole)

    def evaluate(self, table: Table | None = None) -> dict[str, float]:
        """The loss, with the penalties of the layers, and the metrics of the run.

        Args:
          table: raw rows with targets; None takes the rows that the run held out.

        Raises:
          DataError: if a cell cannot be used, the loss is not finite, or the data of the run has changed since.
          ConfigError: if the data of the run can no longer be read.
        """
        rows = self._held_out() if table is None else self._rows(table)
        loss = losses.choose(self.config.loss, classifies=self.preparation.classes is not None)
        measures = {name: metrics.get(name).measure for name in self.config.train.metrics or ()}
        value, measured = make_evaluate(self.model, loss, measures)(self.params, rows)
        if not np.isfinite(value):
            place = table.path if table else self.config.data.title
            raise DataError(
                f"{place}: the model's loss for these rows is {float(value)}; train anew, or correct the rows"
            )
        return {"loss": float(value), **{name: float(number) for name, number in measured.items()}}

    def _rows(self, table: Table) -> Stream:
        return Stream(table, np.arange(len(table)), self.preparation.labels(table), self.preparation)

    def _held_out(self) -> Rows | Stream:
        with self.file.locating():
            dataset = data.load(self.config.data)
        if dataset.fingerprint != self.fingerprint or dataset.preparation != self.preparation:
            raise DataError(f"{self.config.data.title}: has changed since the run; name a file of rows to evaluate")
        return dataset.validation


def open_run(run_dir: str | Path) -> Trained:
    """Opens the folder of a run.

    Raises:
      ValueError: names the file that is missing or not as the run wrote it, or the parameter that is not finite.
    """
    run_dir = Path(run_dir)
    manifest, files = folder.check(run_dir, folder.CONFIG, folder.PREPARATION, folder.MODEL)
    path = run_dir / folder.listed_name(folder.MODEL, files)
    model, params = checkpoint.load(path)
    checkpoint.check_finite(path, params)
    file = config.read(run_dir / folder.CONFIG)
    preparation = data.read_preparation(run_dir / folder.PREPARATION)
    return Trained(file, file.decode(), preparation, model, params, manifest.facts["data"])


def as_frame(table: Table, preparation: Preparation, predicted: Decoded) -> pl.DataFrame:
    """Predictions as a table: the rows' columns, then `predicted <target>` and, for classes, `probability <class>`.

    A column of predictions replaces a column of the rows with the same name. Rows from arrays have no columns here.
    """
    values = predicted.values.reshape(len(table), -1)
    columns = {f"predicted {title}": values[:, i] for i, title in enumerate(preparation.targets)}
    if predicted.probabilities is not None:
        columns |= {
            f"probability {name}": predicted.probabilities[:, i] for i, name in enumerate(preparation.classes or ())
        }
    given = {} if table.has_arrays else table.columns
    return pl.DataFrame({**given, **columns})
