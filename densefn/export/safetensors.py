"""safetensors: the parameters under their paths, `0/kernel`, each in its dtype; the layer is in the metadata.

The file holds no program: `densefn.from_dict(json.loads(metadata["layer"]))` is the layer. Means and scales of inputs
and outputs are tensors of their own, `inputs/mean`, `inputs/scale`, `outputs/mean` and `outputs/scale`, of float64.

Source: https://huggingface.co/docs/safetensors
"""

import json
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from densefn.export.model import Affine, ExportError, Model
from densefn.param import name_of
from densefn.serialize import from_dict, to_dict

_AFFINES = ("inputs", "outputs")


def write(model: Model, path: Path) -> None:
    """Writes a model to a file.

    Raises:
      ExportError: names a layer that cannot be written down.
    """
    try:
        layer = json.dumps(to_dict(model.layer))
    except TypeError as error:
        raise ExportError(f"safetensors: {error}") from None
    leaves = jax.tree_util.tree_leaves_with_path(model.params)
    tensors = {name_of(path): np.ascontiguousarray(w) for path, w in leaves}
    for name in _AFFINES:
        if affine := getattr(model, name):
            tensors[f"{name}/mean"], tensors[f"{name}/scale"] = affine.arrays(np.float64)
    save_file(tensors, path, {"layer": layer, "input_shape": json.dumps(model.input_shape)})


def read(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The function of rows that a file holds, with the layer of its metadata."""
    with safe_open(path, "numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    layer, shape = from_dict(json.loads(metadata["layer"])), tuple(json.loads(metadata["input_shape"]))
    declared = layer.declare(shape)
    params = jax.tree_util.tree_map_with_path(lambda path, _: jnp.asarray(tensors[name_of(path)]), declared)
    inputs, outputs = (
        Affine(tensors[f"{name}/mean"], tensors[f"{name}/scale"]) if f"{name}/mean" in tensors else None
        for name in _AFFINES
    )
    return Model(layer, params, shape, inputs, outputs).predict
