"""Files of arrays with a description: the models and the states of runs.

They are written in the safetensors layout (`_safetensors.py`), an array a leaf of a tree under its path, `0/kernel`.
Files in the layout before it (`_zipped.py`) are read as well. Nothing is pickled, and no array is read that is not of
the declared size and all in the file.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from densefn import _disk, _safetensors
from densefn._zipped import Zipped
from densefn.param import name_of

SUFFIX = ".safetensors"

_LONGEST = 2000

FORMAT = 1
"""The format of all descriptions; a file of a later one is refused."""


class ArchiveError(ValueError):
    """A file that does not hold what was expected, or not all of it."""


def pack(description: Mapping[str, Any], tree: Any) -> bytes:
    """The bytes of an archive.

    Args:
      description: what JSON can say; its `format` is added.
      tree: of arrays.
    """
    arrays = {path: np.asarray(leaf) for path, leaf in _named(tree)}
    return _safetensors.pack(arrays, {"format": FORMAT, **description})


class Archive:
    """An archive that is open.

    Args:
      layout: the reader of its file.
    """

    def __init__(self, layout: _safetensors.Reader | Zipped):
        self._layout = layout

    def describe(self, *fields: str) -> dict[str, Any]:
        """What the description says, in which these fields are.

        Raises:
          ValueError, TypeError: if it is of another format, or lacks one.
        """
        table = _checked(self._layout.description)
        if missing := [field for field in fields if field not in table]:
            raise ValueError(f"expected a description with {', '.join(missing)}, got one with {', '.join(table)}")
        return table

    def read(self, declared: Any) -> Any:
        """The arrays, in a tree like one of leaves with `shape` and `dtype`: no file decides on sizes.

        Raises:
          ValueError: if they are not those of the tree.
        """
        named = dict(_named(declared))
        if sorted(self._layout.names) != sorted(named):
            raise ValueError(f"expected the arrays {sorted(named)}, got {sorted(self._layout.names)}")
        size = sum(math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in named.values())
        if size > self._layout.size:
            raise ValueError(f"expected {size:,} bytes of arrays, got a file of {self._layout.size:,}")
        arrays = [jnp.asarray(self._array(name, leaf)) for name, leaf in named.items()]
        return jax.tree.unflatten(jax.tree.structure(declared), arrays)

    def _array(self, name: str, declared: Any) -> np.ndarray:
        shape, dtype = tuple(declared.shape), np.dtype(declared.dtype)
        # NumPy's files have no bfloat16; they hold its bits.
        stored = np.dtype(np.uint16) if isinstance(self._layout, Zipped) and dtype == jnp.bfloat16 else dtype
        if (got := self._layout.header(name)) != (shape, stored):
            raise ValueError(f"expected {name} of shape {shape} and {stored}, got {got[0]} and {got[1]}")
        return self._layout.array(name).view(dtype)


def former(name: str) -> str:
    """The name that an earlier densefn gave to the file of a name: `model.npz` for `model.safetensors`."""
    return name.removesuffix(SUFFIX) + ".npz" if name.endswith(SUFFIX) else name


def in_folder(folder: Path, name: str) -> Path:
    """The file of a name in a folder, or the one of its former name: that goes away where the other is written."""
    return path if (path := folder / former(name)).exists() else folder / name


@contextmanager
def opened(path: Path, expected: str) -> Iterator[Archive]:
    """Opens an archive.

    Args:
      path: of the file.
      expected: what the file should be, for the message.

    Raises:
      ArchiveError: for whatever is found wrong with it while it is open.
    """
    try:
        with _disk.open_file(path) as file:
            is_zip = file.peek(2)[:2] == b"PK"
            yield Archive(Zipped(file) if is_zip else _safetensors.Reader(file))
    except Exception as error:  # the readers of zip, JSON and NumPy's headers raise anything at a damaged file
        reason = error.strerror if isinstance(error, OSError) else error
        said = str(reason) or type(error).__name__
        shown = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."  # a file's own names may be in it
        raise ArchiveError(f"{path}: expected {expected}: {shown}") from None


def parse(content: bytes) -> dict[str, Any]:
    """The table that a JSON text holds, of the format that is written here.

    Raises:
      ValueError, TypeError, RecursionError: if it holds none, or one of another format, or a number that is not finite.
    """
    return _checked(json.loads(content, parse_constant=_safetensors.refuse))


def _checked(table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise TypeError(f"expected a JSON object, got {type(table).__name__}")
    if (given := table.get("format")) != FORMAT:
        later = isinstance(given, int) and given > FORMAT
        raise ValueError(f"expected format {FORMAT}, got {given!r}{', which a later densefn has written' * later}")
    return table


def _named(tree: Any) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield name_of(path), leaf
