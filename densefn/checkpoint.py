"""A model in a file: the layer's description and its parameters, as a NumPy `.npz` archive.

The archive holds `layer.json` and one array a parameter under its path, `0/kernel.npy`. NumPy reads it; a bfloat16
array is stored as its bits, uint16. The zip format keeps a checksum of every member, so a flipped bit is an error on
loading. Nothing is pickled. A file is replaced only once its successor is on the disk.
"""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from densefn.layer import InputShape, Layer, Shape
from densefn.param import Param, name_of
from densefn.serialize import from_dict, to_dict

_DESCRIPTION = "layer.json"
_IN_RUN = "model.npz"

# What reading a file that is not one of ours, or not whole, may raise.
_BROKEN = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, NotImplementedError)


class CheckpointError(ValueError):
    """A file that does not hold a model, or not a whole one."""


def save(path: str | Path, layer: Layer, params: Any, input_shape: InputShape) -> None:
    """Writes a model.

    Args:
      path: of the file, such as `model.npz`; an older one is replaced in one go.
      layer: without functions of the user's, which have no name.
      params: its parameters.
      input_shape: for which they were drawn.
    """
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        description = {"format": 1, "layer": to_dict(layer), "input_shape": list(input_shape)}
        archive.writestr(zipfile.ZipInfo(_DESCRIPTION), json.dumps(description, indent=2))
        for name, leaf in _named(params):
            array = np.asarray(leaf)
            bits = array.view(np.uint16) if array.dtype == jnp.bfloat16 else array
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                np.lib.format.write_array(member, bits, version=(1, 0), allow_pickle=False)
    write(Path(path), memory.getvalue())


def describe(path: str | Path) -> tuple[Layer, Shape]:
    """Reads which model a file holds, without its parameters.

    Args:
      path: as of `load`.

    Returns:
      The layer and the shape of its input.

    Raises:
      CheckpointError: if the file holds no model.
    """
    with _opened(path) as archive:
        return _described(archive)


def load(path: str | Path) -> tuple[Layer, Any]:
    """Reads a model.

    Args:
      path: of the file, or of the folder of a run, which has it as `model.npz`.

    Returns:
      The layer and its parameters.

    Raises:
      CheckpointError: if the file is not whole, or its parameters are not those of its layer.
    """
    with _opened(path) as archive:
        layer, input_shape = _described(archive)
        declared = layer.declare(input_shape)
        expected = {f"{name}.npy" for name, _ in _named(declared)}
        if set(archive.namelist()) - {_DESCRIPTION} != expected:
            raise ValueError(f"expected the arrays {sorted(expected)}, got {sorted(archive.namelist())}")
        arrays = {name: _read(archive, name, p) for name, p in _named(declared)}
    return layer, jax.tree.unflatten(jax.tree.structure(declared), [arrays[name] for name, _ in _named(declared)])


@contextmanager
def _opened(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """The archive of a model; whatever is found wrong with it becomes a `CheckpointError`."""
    path = Path(path)
    path = path / _IN_RUN if path.is_dir() else path
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError as error:
        expected = "expected a model written by densefn, or the folder of a run"
        raise CheckpointError(f"{path}: {expected}: {error.strerror}") from None
    except _BROKEN as error:
        raise CheckpointError(f"{path}: expected a model written by densefn: {error}") from None


def _described(archive: zipfile.ZipFile) -> tuple[Layer, Shape]:
    if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
        raise ValueError("expected members that are not compressed")
    description = json.loads(archive.read(_DESCRIPTION))
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


def _named(tree: Any) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield name_of(path), leaf


def _read(archive: zipfile.ZipFile, name: str, p: Param) -> Array:
    """Reads one array, after its header was found to announce what the layer declares: no file decides on sizes."""
    dtype = np.dtype(p.dtype)
    stored = np.dtype(np.uint16) if dtype == jnp.bfloat16 else dtype
    with archive.open(f"{name}.npy") as member:
        np.lib.format.read_magic(member)
        shape, fortran, written = np.lib.format.read_array_header_1_0(member)
        if (shape, fortran, written) != (p.full_shape, False, stored):
            raise ValueError(f"expected {name} of shape {p.full_shape} and {stored}, got {shape} and {written}")
        # Reading to the end makes zipfile compare the checksum.
        return jnp.asarray(np.frombuffer(member.read(), stored).reshape(shape).view(dtype))
