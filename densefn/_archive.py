"""Arrays with a description, as the bytes of a NumPy `.npz` archive.

The archive holds the description as JSON and one array a leaf of a tree under its path, `0/kernel.npy`. NumPy reads it;
a bfloat16 array is stored as its bits, uint16. The zip format keeps a checksum of every member, so a flipped bit is an
error on reading. Nothing is pickled, and no array is read that is not of the declared size and all in the file.
"""

import io
import json
import math
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

from densefn import _disk, _npz
from densefn.param import name_of

FORMAT = 1
"""The format of all descriptions; a file of a later one is refused."""


class ArchiveError(ValueError):
    """A file that does not hold what was expected, or not all of it."""


def pack(description: tuple[str, dict[str, Any]], tree: Any) -> bytes:
    """The bytes of an archive.

    Args:
      description: the name of its member, such as `layer.json`, and what it says; its `format` is added.
      tree: of arrays.
    """
    memory = io.BytesIO()
    name, content = description
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), json.dumps({"format": FORMAT, **content}, indent=2))
        for path, leaf in _named(tree):
            array = np.asarray(leaf)
            bits = array.view(np.uint16) if array.dtype == jnp.bfloat16 else array
            with archive.open(zipfile.ZipInfo(f"{path}.npy"), "w") as member:
                np.lib.format.write_array(member, bits, version=(1, 0), allow_pickle=False)
    return memory.getvalue()


class Archive:
    """An archive that is open.

    Args:
      file: the archive.
      size: of the file, in bytes.
      name: of the member that describes it.
    """

    def __init__(self, file: zipfile.ZipFile, size: int, name: str):
        if any(member.compress_type != zipfile.ZIP_STORED for member in _npz.members(file)):
            raise ValueError("expected members that are not compressed")
        self._file, self._size, self._name = file, size, name

    def describe(self) -> dict[str, Any]:
        """What the description says."""
        return parse(self._file.read(self._name))

    def read(self, declared: Any) -> Any:
        """The arrays, in a tree like one of leaves with `shape` and `dtype`: no file decides on sizes.

        Raises:
          ValueError: if they are not those of the tree.
        """
        named = dict(_named(declared))
        expected = sorted(f"{name}.npy" for name in named)
        got = sorted(set(self._file.namelist()) - {self._name})
        if got != expected:
            raise ValueError(f"expected the arrays {expected}, got {got}")
        size = sum(math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in named.values())
        if size > self._size:
            raise ValueError(f"expected {size:,} bytes of arrays, got a file of {self._size:,}")
        arrays = [self._array(name, leaf) for name, leaf in named.items()]
        return jax.tree.unflatten(jax.tree.structure(declared), arrays)

    def _array(self, name: str, declared: Any) -> Array:
        shape, dtype = tuple(declared.shape), np.dtype(declared.dtype)
        stored = np.dtype(np.uint16) if dtype == jnp.bfloat16 else dtype
        with self._file.open(f"{name}.npy") as member:
            got = _npz.header(member)
            if got != (shape, "C", stored):
                raise ValueError(f"expected {name} of shape {shape} and {stored}, got {got[0]} and {got[2]}")
            # Reading to the end makes zipfile compare the checksum.
            return jnp.asarray(np.frombuffer(member.read(), stored).reshape(shape).view(dtype))


@contextmanager
def opened(path: Path, name: str, expected: str) -> Iterator[Archive]:
    """Opens an archive.

    Args:
      path: of the file.
      name: of the member that describes it.
      expected: what the file should be, for the message.

    Raises:
      ArchiveError: for whatever is found wrong with it while it is open.
    """
    try:
        with _disk.open_file(path) as whole, zipfile.ZipFile(whole) as file:
            yield Archive(file, os.fstat(whole.fileno()).st_size, name)
    except Exception as error:  # the readers of zip, JSON and NumPy's headers raise anything at a damaged file
        reason = error.strerror if isinstance(error, OSError) else error
        raise ArchiveError(f"{path}: expected {expected}: {reason or type(error).__name__}") from None


def parse(content: bytes) -> dict[str, Any]:
    """The table that a JSON text holds, of the format that is written here.

    Raises:
      ValueError, TypeError, RecursionError: if it holds none, or one of another format, or a number that is not finite.
    """
    table = json.loads(content, parse_constant=_refuse)
    if not isinstance(table, dict):
        raise TypeError(f"expected a JSON object, got {type(table).__name__}")
    if (given := table.get("format")) != FORMAT:
        later = isinstance(given, int) and given > FORMAT
        raise ValueError(f"expected format {FORMAT}, got {given!r}{', which a later densefn has written' * later}")
    return table


def _refuse(constant: str) -> None:
    raise ValueError(f"expected finite numbers, got {constant}")


def _named(tree: Any) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield name_of(path), leaf
