"""A model in a file: the layer's description, `layer.json`, and its parameters under their paths (`archive.py`).

A file is replaced only once its successor is on the disk.
"""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax

from densefn import archive
from densefn.archive import Archive
from densefn.layer import InputShape, Layer, Shape
from densefn.serialize import from_dict, to_dict

_DESCRIPTION = "layer.json"
_IN_RUN = "model.npz"


def save(path: str | Path, layer: Layer, params: Any, input_shape: InputShape) -> None:
    """Writes a model.

    Args:
      path: of the file, such as `model.npz`; an older one is replaced in one go.
      layer: without functions of the user's, which have no name.
      params: its parameters.
      input_shape: for which they were drawn.
    """
    description = {"format": 1, "layer": to_dict(layer), "input_shape": list(input_shape)}
    write(Path(path), archive.pack((_DESCRIPTION, description), params))


def describe(path: str | Path) -> tuple[Layer, Shape]:
    """Reads which model a file holds, without its parameters.

    Args:
      path: as of `load`.

    Returns:
      The layer and the shape of its input.

    Raises:
      ArchiveError: if the file holds no model.
    """
    with _opened(path) as file:
        return _described(file)


def load(path: str | Path) -> tuple[Layer, Any]:
    """Reads a model.

    Args:
      path: of the file, or of the folder of a run, which has it as `model.npz`.

    Returns:
      The layer and its parameters.

    Raises:
      ArchiveError: if the file is not whole, or its parameters are not those of its layer.
    """
    with _opened(path) as file:
        layer, input_shape = _described(file)
        declared = layer.declare(input_shape)
        return layer, file.read(jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.full_shape, p.dtype), declared))


def _opened(path: str | Path) -> AbstractContextManager[Archive]:
    path = Path(path)
    expected = "a model written by densefn, or the folder of a run"
    return archive.opened(path / _IN_RUN if path.is_dir() else path, _DESCRIPTION, expected)


def _described(file: Archive) -> tuple[Layer, Shape]:
    description = file.describe()
    layer = from_dict(description["layer"])
    return layer, layer.shape(description["input_shape"])


def write(path: Path, content: bytes) -> None:
    """Writes a file so that after a crash at any moment it is either the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
