"""Exports to safetensors: each parameter is a tensor whose name is its path, such as `0/kernel`, in its dtype.

The metadata describes the layer, which is `densefn.from_dict(json.loads(metadata["layer"]))`. The file holds no
program. The float64 tensors `inputs/mean`, `inputs/scale`, `outputs/mean` and `outputs/scale` hold means and scales.
`densefn.load` reads files that have none of these four.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from densefn import _archive, _disk, _safetensors
from densefn.export.model import Affine, ExportError, Model
from densefn.param import name_of
from densefn.serialize import from_dict, to_dict

_AFFINES = ("inputs", "outputs")


def write(model: Model, path: Path) -> None:
    """Writes a model to a file.

    Raises:
      ExportError: if a layer cannot be described as plain data.
    """
    try:
        description = {"layer": to_dict(model.layer), "input_shape": list(model.input_shape)}
    except TypeError as error:
        raise ExportError(f"safetensors: {error}") from None
    tensors = {name_of(path): w for path, w in jax.tree_util.tree_leaves_with_path(model.params)}
    for name in _AFFINES:
        if affine := getattr(model, name):
            tensors[f"{name}/mean"], tensors[f"{name}/scale"] = affine.arrays(np.float64)
    _disk.replace(path, _archive.pack(description, tensors))


def read(path: Path) -> Callable[[np.ndarray], Any]:
    """Reads a file as a function of rows, with the layer that its metadata describes."""
    with _disk.open_file(path) as file:
        held = _safetensors.Reader(file)
        tensors = {name: held.array(name) for name in held.names}
    layer, shape = from_dict(held.description["layer"]), tuple(held.description["input_shape"])
    declared = layer.declare(shape)
    params = jax.tree_util.tree_map_with_path(lambda path, _: jnp.asarray(tensors[name_of(path)]), declared)
    numbers = {name: tensors[name].tolist() for name in tensors if name.startswith(_AFFINES)}
    inputs, outputs = (
        Affine(numbers[f"{name}/mean"], numbers[f"{name}/scale"]) if f"{name}/mean" in numbers else None
        for name in _AFFINES
    )
    return Model(layer, params, shape, inputs, outputs).predict
