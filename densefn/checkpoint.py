"""A model in a file: the layer's description and its parameters under their paths (`_archive.py`).

A small file that is not trusted can describe a huge model: ten thousand layers, or one repeated a billion times. The
size of the file limits the parameters. This module limits the rest.
"""

import math
import textwrap
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from densefn import _archive, _arguments, _disk, _registry
from densefn._archive import Archive, ArchiveError
from densefn.layer import InputShape, Layer, Shape, is_shape
from densefn.param import name_of
from densefn.serialize import from_dict, to_dict
from densefn.summary import summary
from densefn.walk import walk

_IN_RUN = "model.safetensors"

MOST_LAYERS, MOST_NESTED, MOST_TIMES, MOST_NUMBERS = 1000, 32, 10**6, 10**8
"""The limits of a model: its layers, the depth of their nesting, the repetitions of one layer, and the numbers in its
output for one example.
"""


def save(path: str | Path, layer: Layer, params: Any, input_shape: InputShape) -> None:
    """Writes a model.

    Args:
      path: the path of the file, such as `model.safetensors`. An older file is replaced atomically.
      layer: a layer without user-defined functions, which have no name in a file.
      params: its parameters.
      input_shape: the input shape for which they were drawn.

    Raises:
      OSError: if the file cannot be written; an older file then does not change.
      TypeError: if a layer has a user-defined function, or if its class is not registered.

    >>> import tempfile
    >>> import jax
    >>> from densefn import Dense
    >>> layer = Dense(3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.safetensors", layer, layer.init(jax.random.key(0), (None, 2)), (None, 2))
    ...     load(folder)[0]
    Dense(units=3)
    """
    for place in walk(layer):
        if (cls := type(place.layer)) not in _registry.NAMES.values():
            raise TypeError(f"{cls.__name__}: expected a class that load finds by its name: write @register above it")
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
      path: the path of the file, or of a run folder with a `model.safetensors`. A `model.npz` of an earlier version of
        densefn can be read too.

    Returns:
      The layer and its parameters.

    Raises:
      ArchiveError: if the file is damaged, or its parameters are not those of its layer.
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
    """Checks before a training that `load` will accept the model that it saves.

    Raises:
      ValueError: if the model exceeds a limit.
    """
    _check_counts(to_dict(layer))
    _check_shapes(layer, _arguments.input_shape(layer, input_shape))


def check_finite(path: Path, params: Any) -> None:
    """Checks that the parameters of a model are finite.

    Raises:
      ArchiveError: names the file and the parameter that is not finite.
    """
    for where, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.all(jnp.isfinite(leaf)):
            raise ArchiveError(f"{path}: expected finite parameters, got nan or inf in {name_of(where)}")


def _check_counts(description: Any) -> None:
    """Checks the counts of layers in a table before any layer is made. Not recursive: the nesting may be deep."""
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
        # A layer may be in any field: a registered group has fields of any name.
        parts = [
            part for key, part in table.items() if isinstance(part, Mapping) and ("layer" in part or key == "body")
        ]
        inner = [*(several if isinstance(several, list) else []), *parts]
        pending += [(each, nested + 1, times) for each in inner]


def _check_shapes(layer: Layer, shape: Shape) -> Shape:
    """Checks the size of each layer's output for one example; returns the shape of the input."""
    given = [row.output_shape for row in summary(layer, shape).rows]
    for each in (shape, *jax.tree.leaves(given, is_leaf=is_shape)):
        if math.prod(size or 1 for size in each) > MOST_NUMBERS:
            got = textwrap.shorten(str(each), 100)
            raise ValueError(f"expected layers that return at most {MOST_NUMBERS:,} numbers, got the shape {got}")
    return shape
