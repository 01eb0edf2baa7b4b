"""A model in a file: the layer's description and its parameters under their paths (`_archive.py`).

A file from a stranger can be small and its model huge: ten thousand layers, or one repeated a billion times. Parameters
are bounded by the file that holds them; what has none is bounded here.
"""

import math
import textwrap
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from densefn import _archive, _arguments, _disk
from densefn._archive import Archive, ArchiveError
from densefn.layer import InputShape, Layer, Shape, is_shape
from densefn.param import name_of
from densefn.serialize import from_dict, to_dict
from densefn.summary import summary

_IN_RUN = "model.safetensors"

MOST_LAYERS, MOST_NESTED, MOST_TIMES, MOST_NUMBERS = 1000, 32, 10**6, 10**8
"""Of a model: the layers, how deep they are nested, how often one is repeated, and the numbers that one gives for an
example.
"""


def save(path: str | Path, layer: Layer, params: Any, input_shape: InputShape) -> None:
    """Writes a model.

    Args:
      path: of the file, such as `model.safetensors`; an older one is replaced in one go.
      layer: without functions of the user's, which have no name.
      params: its parameters.
      input_shape: for which they were drawn.

    Raises:
      OSError: if the file cannot be written; an older one is then as it was.
      TypeError: if a layer has a function.

    >>> import tempfile
    >>> import jax
    >>> from densefn import Dense
    >>> layer = Dense(3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.safetensors", layer, layer.init(jax.random.key(0), (None, 2)), (None, 2))
    ...     load(folder)[0]
    Dense(units=3)
    """
    _disk.replace(Path(path), pack(layer, params, input_shape))


def pack(layer: Layer, params: Any, input_shape: InputShape) -> bytes:
    """The bytes of the file that `save` writes."""
    description = {"layer": to_dict(layer), "input_shape": list(input_shape)}
    return _archive.pack(description, params)


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
      path: of the file, or of the folder of a run, which has it as `model.safetensors`; `model.npz` of an earlier
        densefn is read as well.

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
    return _archive.opened(_archive.in_folder(path, _IN_RUN) if path.is_dir() else path, expected)


def _described(file: Archive) -> tuple[Layer, Shape]:
    description = file.describe("layer", "input_shape")
    _check_counts(description["layer"])
    layer = from_dict(description["layer"])
    return layer, _check_shapes(layer, _arguments.input_shape(layer, description["input_shape"]))


def check(layer: Layer, input_shape: InputShape) -> None:
    """Checks that a model will be read again: what is written is trained for hours first.

    Raises:
      ValueError: if it is larger than any model that is read.
    """
    _check_counts(to_dict(layer))
    _check_shapes(layer, _arguments.input_shape(layer, input_shape))


def check_finite(path: Path, params: Any) -> None:
    """Checks that the parameters of a model are numbers.

    Raises:
      ArchiveError: names the file and the parameter that is not finite.
    """
    for where, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.all(jnp.isfinite(leaf)):
            raise ArchiveError(f"{path}: expected finite parameters, got nan or inf in {name_of(where)}")


def _check_counts(description: Any) -> None:
    """Checks the table of a layer, before any layer is made of it."""
    layers, pending = 0, [(description, 1, 1)]
    while pending:
        table, nested, times = pending.pop()
        layers += 1
        if layers > MOST_LAYERS:
            raise ValueError(f"expected a model of at most {MOST_LAYERS:,} layers, got more")
        if nested > MOST_NESTED:
            raise ValueError(f"expected layers nested at most {MOST_NESTED} deep, got more")
        if not isinstance(table, Mapping):
            continue
        given = table.get("times", 1)
        times *= given if isinstance(given, int) else 1
        if times > MOST_TIMES:
            raise ValueError(f"expected a layer to be repeated at most {MOST_TIMES:,} times, got {times:,}")
        several = table.get("layers", [])
        # Whatever field a layer is in: a registered group has fields of its own.
        parts = [
            part for key, part in table.items() if isinstance(part, Mapping) and ("layer" in part or key == "body")
        ]
        inner = [*(several if isinstance(several, list) else []), *parts]
        pending += [(each, nested + 1, times) for each in inner]


def _check_shapes(layer: Layer, shape: Shape) -> Shape:
    """Checks what the layers give for an example; returns the shape of the input."""
    given = [row.output_shape for row in summary(layer, shape).rows]
    for each in (shape, *jax.tree.leaves(given, is_leaf=is_shape)):
        if math.prod(size or 1 for size in each) > MOST_NUMBERS:
            got = textwrap.shorten(str(each), 100)
            raise ValueError(f"expected layers that give at most {MOST_NUMBERS:,} numbers, got the shape {got}")
    return shape
