"""Rows that stay in their file beside the same rows on the device."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from densefn import Dense, Sequential
from densefn.data import ArrayFile
from densefn.training.config import Config, Train
from densefn.training.loop import prepare
from densefn.training.optimizer import as_optimizer
from tests.benchmarks.clock import Case, medians
from tests.benchmarks.record import Settings, Table, compared
from tests.benchmarks.tables.throughput import seconds_of_epoch

FEATURES, BATCH = 784, 128
STREAMED, HELD = "streamed", "on the device"


def table(settings: Settings) -> Table:
    """Training rows a second of nets of several widths."""
    rows, widths = (2_000, (32,)) if settings.quick else (20_480, (128, 512, 1024))
    effort = settings.effort._replace(rounds=1 if settings.quick else 5)
    optimizer = as_optimizer({"name": "adam", "learning_rate": 1e-3})
    train = Train(2 if settings.quick else 4)
    with TemporaryDirectory() as folder:
        section = _write(Path(folder), rows)
        measurements = {
            Case(f"{FEATURES}-{width}-{width}-10, batch {BATCH}", "float32", peer): seconds_of_epoch(
                prepare(Config(replace(section, stream=peer == STREAMED), _net(width), optimizer, train))
            )
            for width in widths
            for peer in (STREAMED, HELD)
        }
        seconds = medians(measurements, effort)
    return Table(
        "streaming",
        f"Training on {rows:,} rows of a .npy file",
        "rows/s",
        HELD,
        compared({case: rows / each for case, each in seconds.items()}, lambda case: case._replace(peer=HELD)),
        "More is better. Float32 rows of a file in the page cache, evaluated on a quarter as many as are trained on. "
        "Where the device is the processor, preparing the next rows takes cores from computing with these.",
    )


def _write(folder: Path, rows: int) -> ArrayFile:
    draw = np.random.default_rng(0)
    np.save(folder / "x.npy", draw.random((rows, FEATURES), np.float32))
    np.save(folder / "y.npy", draw.integers(0, 10, rows))
    return ArrayFile(str(folder / "x.npy"), target=str(folder / "y.npy"), batch_size=BATCH)


def _net(width: int) -> Sequential:
    return Sequential(Dense(width, "relu"), Dense(width, "relu"), Dense(10))
