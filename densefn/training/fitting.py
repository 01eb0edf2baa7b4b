"""Runs a training from Python: `prepare` turns a config into a plan, `fit` trains and writes the run's folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from densefn._values import build
from densefn.data import with_absolute_paths
from densefn.training import loop, runs
from densefn.training.config import Config, read
from densefn.training.loop import Plan
from densefn.training.metrics_file import Row
from densefn.training.runs import Result

AnyConfig = str | Path | Config | Mapping[str, Any]


def prepare(config: AnyConfig) -> Plan:
    """Loads the data of a config and checks that model and optimizer fit it. Nothing is trained or written.

    Args:
      config: the path of a TOML file; a `Config`; or a table with the sections of such a file, in which the paths of
        data are relative to the current folder.

    Raises:
      ConfigError: with the mistakes of a file, each with its line.
      TableError: with those of a table or of a `Config`. Both errors are ValueErrors.

    >>> plan = prepare({
    ...     "data": {"name": "iris"},
    ...     "model": {"layers": [{"units": 3}]},
    ...     "optimizer": {"name": "adam", "learning_rate": 0.1},
    ...     "train": {"epochs": 5},
    ... })
    >>> list(plan.metrics)
    ['val_accuracy']
    """
    if isinstance(config, str | Path):
        file = read(config)
        settings = file.decode()
        with file.locating():
            return loop.prepare(settings)
    table = config.to_table() if isinstance(config, Config) else config
    if not isinstance(table, Mapping):
        raise TypeError(f"config: expected the path of a TOML file, a Config or a table, got {config!r}")
    if isinstance(table.get("data"), Mapping):
        table = {**table, "data": with_absolute_paths(table["data"], Path.cwd())}
    return loop.prepare(build(Config, table))


def fit(config: AnyConfig, run_dir: str | Path, show: Callable[[Row], Any] | None = None) -> Result:
    """Trains, and writes the folder of a run as `densefn train` does, without the report.

    `densefn.report.write_report` adds the report.

    Args:
      config: as for `prepare`.
      run_dir: a new folder, or an empty one.
      show: is called with the `Row` of each epoch; None shows nothing.

    Returns:
      How the run ended: `metrics` has a row for each epoch, `kept` is the row of the epoch whose model is saved.

    Raises:
      ValueError: as `prepare` does.
      RunError: if the folder is not empty or cannot be made, or if a loss is not finite.
      LockedError: if another process trains in it.

    >>> import tempfile
    >>> table = {
    ...     "data": {"name": "iris"},
    ...     "model": {"layers": [{"units": 3}]},
    ...     "optimizer": {"name": "adam", "learning_rate": 0.1},
    ...     "train": {"epochs": 5},
    ... }
    >>> with tempfile.TemporaryDirectory() as run_dir:
    ...     result = fit(table, run_dir)
    >>> [row["epoch"] for row in result.metrics]
    [1, 2, 3, 4, 5]
    """
    return runs.start(prepare(config), Path(run_dir), show or _nothing)


def _nothing(row: Row) -> None:
    del row
