"""safetensors reads what is written for it."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.flax import load_file

from densefn import Dense, Sequential, from_dict
from densefn.export import Affine, ExportError
from densefn.export.safetensors import read, write
from tests.export.cases import LAYERS, NARROW, model, rows


@pytest.mark.parametrize("name", [*LAYERS, *NARROW])
def test_layer_and_parameters_come_back(name, tmp_path):
    layer, shape = (LAYERS | NARROW)[name]
    made = model(layer, shape)
    write(made, tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        metadata = file.metadata()
    assert from_dict(json.loads(metadata["layer"])) == layer
    assert tuple(json.loads(metadata["input_shape"])) == shape
    x = rows(shape, 7)
    np.testing.assert_array_equal(read(tmp_path / "model.safetensors")(x), jax.jit(layer.apply)(made.params, x))


def test_tensors_have_their_paths_and_dtypes(tmp_path):
    layer = Sequential(Dense(3, dtype="bfloat16"), Dense(2, dtype="float16"), Dense(1, use_bias=False))
    made = model(layer, (None, 4), inputs=Affine((1, 2, 3, 4), (5, 6, 7, 0.1)))
    write(made, tmp_path / "model.safetensors")
    tensors = load_file(tmp_path / "model.safetensors")
    assert sorted(tensors) == [
        *("0/bias", "0/kernel", "1/bias", "1/kernel", "2/kernel"),
        *("inputs/mean", "inputs/scale"),
    ]
    assert [tensors[f"{i}/kernel"].dtype for i in range(3)] == [jnp.bfloat16, jnp.float16, jnp.float32]
    np.testing.assert_array_equal(tensors["0/kernel"], made.params["0"]["kernel"])
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("inputs/scale"), [5, 6, 7, 0.1])


def test_a_function_without_a_name_is_refused(tmp_path):
    with pytest.raises(ExportError, match="function sin"):
        write(model(Sequential(Dense(3), jnp.sin), (None, 4)), tmp_path / "model.safetensors")
