"""Writes a TensorBoard event file: the metrics of each epoch, and histograms at the end.

Tags are the names of `metrics.jsonl`, `gradient_norms/<parameter>`, `weights/<parameter>` and `outputs/<layer>`; the
step is the number of updates.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from densefn.training.metrics_file import Row

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


class Events:
    """The event file of a run."""

    def __init__(self, writer: "SummaryWriter"):
        self._writer = writer

    def row(self, row: Row) -> None:
        """Writes the metrics of an epoch, and flushes them to the file."""
        norms = {f"gradient_norms/{path}": norm for path, norm in (row.gradient_norms or {}).items()}
        for name, value in {**row.metrics, **norms}.items():
            self._writer.add_scalar(name, value, row.step)
        self._writer.flush()

    def histograms(self, arrays: Mapping[str, Mapping[str, Any]], counted: Mapping[str, Mapping[str, Any]], step: int):
        """Writes the histograms of arrays, by kind and path, with the bins of `counted`."""
        for kind, by_path in counted.items():
            for path, histogram in by_path.items():
                if histogram:  # tensorboardX's own bins end at 1e20
                    values = np.asarray(arrays[kind][path], np.float64)
                    edges: Any = histogram["edges"]  # declared as a string, but passed on to numpy.histogram
                    self._writer.add_histogram(f"{kind}/{path}", values[np.isfinite(values)], step, bins=edges)


@contextmanager
def events(folder: Path) -> Iterator[Events]:
    """Opens an event file in a folder."""
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        yield Events(writer)
