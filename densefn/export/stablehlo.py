"""StableHLO: the program and its parameters as `jax.export` serializes them, for every platform of JAX.

Sizes that are free are at least 1: `jax.export` takes no empty batch.

Source: https://docs.jax.dev/en/latest/export/export.html
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers  # noqa: F401  # jax.export serializes with it, and has no name for it where it is missing
import jax
import jax.export
import numpy as np

from densefn.export.model import Model

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def write(model: Model, path: Path) -> None:
    """Writes a model to a file."""
    function = jax.jit(lambda x: model.apply(model.params, x))
    path.write_bytes(jax.export.export(function, platforms=PLATFORMS)(model.symbolic).serialize())


def read(path: Path) -> Callable[[np.ndarray], Any]:
    """The function of rows that a file holds."""
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    return lambda x: jax.tree.map(np.asarray, exported.call(x))
