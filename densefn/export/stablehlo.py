"""Exports to StableHLO: `jax.export` serializes the program with its parameters, for all platforms of JAX.

A free size is at least 1, because `jax.export` does not accept empty batches.

Source: https://docs.jax.dev/en/latest/export/export.html
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers  # noqa: F401  # jax.export needs it, and its own error does not name the package
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
    """Reads a file as a function of rows."""
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    return lambda x: jax.tree.map(np.asarray, exported.call(x))
