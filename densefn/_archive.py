"""Files of arrays with a description: models, and the states of runs.

They are written in the safetensors layout (`_safetensors.py`). Each leaf of a tree is an array under its path, such as
`0/kernel`. Files in the former layout (`_zipped.py`) can be read too. Nothing is pickled. An array is read only if it
has the declared size and the file contains all of it.
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
"""The format number of all descriptions. A file with a later one is refused."""


class ArchiveError(ValueError):
    """A file does not contain what was expected, or is not complete."""


def pack(description: Mapping[str, Any], tree: Any) -> bytes:
    """The bytes of an archive.

    Args:
      description: objects by name that JSON can express; `format` is added.
      tree: a tree of arrays.
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
        """The description, after a check that it has these fields.

        Raises:
          ValueError, TypeError: if it has another format or lacks a field.
        """
        table = _checked(self._layout.description)
        if missing := [field for field in fields if field not in table]:
            raise ValueError(f"expected a description with {', '.join(missing)}, got one with {', '.join(table)}")
        return table

    def read(self, declared: Any) -> Any:
        """Reads the arrays.

        Args:
          declared: a tree of leaves with `shape` and `dtype`. It decides on the sizes, not the file.

        Raises:
          ValueError: if the file has arrays of other names, shapes or dtypes.
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
        # NumPy's files have no bfloat16: they have its bits as uint16.
        stored = np.dtype(np.uint16) if isinstance(self._layout, Zipped) and dtype == jnp.bfloat16 else dtype
        if (got := self._layout.header(name)) != (shape, stored):
            raise ValueError(f"expected {name} of shape {shape} and {stored}, got {got[0]} and {got[1]}")
        return self._layout.array(name).view(dtype)


def former(name: str) -> str:
    """The file's name in earlier versions of densefn: `model.npz` for `model.safetensors`."""
    return name.removesuffix(SUFFIX) + ".npz" if name.endswith(SUFFIX) else name


def in_folder(folder: Path, name: str) -> Path:
    """The path of a file in a folder, or of the one with its former name. Writing the new one removes that."""
    return path if (path := folder / former(name)).exists() else folder / name


@contextmanager
def opened(path: Path, expected: str) -> Iterator[Archive]:
    """Opens an archive.

    Args:
      path: of the file.
      expected: what the file should be, for the message.

    Raises:
      ArchiveError: for any error while it is open.
    """
    try:
        with _disk.open_file(path) as file:
            is_zip = file.peek(2)[:2] == b"PK"
            yield Archive(Zipped(file) if is_zip else _safetensors.Reader(file))
    except Exception as error:  # a damaged file makes the readers of zip, JSON and NumPy's headers raise any error
        reason = error.strerror if isinstance(error, OSError) else error
        said = str(reason) or type(error).__name__
        shown = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."  # it may quote names from the file
        raise ArchiveError(f"{path}: expected {expected}: {shown}") from None


def parse(content: bytes) -> dict[str, Any]:
    """Parses a JSON text, a table with the `format` of this version.

    Raises:
      ValueError, TypeError, RecursionError: if it is not such a table, or has a number that is not finite.
    """
    return _checked(json.loads(content, parse_constant=_safetensors.refuse))


def _checked(table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise TypeError(f"expected a JSON object, got {type(table).__name__}")
    if (given := table.get("format")) != FORMAT:
        later = isinstance(given, int) and given > FORMAT
        raise ValueError(f"expected format {FORMAT}, got {given!r}{' of a later version of densefn' * later}")
    return table


def _named(tree: Any) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield name_of(path), leaf
