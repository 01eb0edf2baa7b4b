"""Keras loads what is written for Keras."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from densefn import Dense, Einsum, Policy, Residual, Sequential
from densefn.export import Affine, ExportError
from densefn.export.keras import write
from tests.export.cases import LAYERS, NARROW, model, rows

# Keras's variables are arrays in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

EXPRESSED = [name for name in LAYERS if name != "sparsemax"]


def loaded(made, tmp_path):
    write(made, tmp_path / "model.keras")
    return keras.models.load_model(tmp_path / "model.keras")


@pytest.mark.parametrize("name", EXPRESSED)
def test_keras_gives_the_same_outputs(name, tmp_path):
    layer, shape = LAYERS[name]
    made = model(layer, shape)
    network = loaded(made, tmp_path)
    inputs = [rows(shape, batch) for batch in (0, 1, 7)]
    expected = jax.jit(lambda params, inputs: [layer.apply(params, x) for x in inputs])(made.params, inputs)
    for x, outputs in zip(inputs, expected, strict=True):
        # A few roundings of float32 of values of order 1, in other places.
        np.testing.assert_allclose(network(x), outputs, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("name", NARROW)
def test_layers_have_keras_s_policies(name, tmp_path):
    layer, shape = NARROW[name]
    made, x = model(layer, shape), rows(shape, 50)
    network = loaded(made, tmp_path)
    first = next(layer for layer in network.layers if isinstance(layer, keras.layers.Dense))
    assert first.dtype_policy.name == name
    y = np.asarray(network(x))
    assert y.dtype == np.float32
    expected = layer.apply(made.params, x)
    # Keras rounds before the bias and the activation of each of three layers too: some roundings of values up to 4.
    np.testing.assert_allclose(y, expected.astype(jnp.float32), rtol=0, atol=16 * float(jnp.finfo(expected.dtype).eps))


def test_a_model_is_one_of_dense_layers_with_their_weights(tmp_path):
    layer = Sequential(Dense(8, "relu", kernel_regularizer="l2"), Dense(3, "softmax"))
    made = model(layer, (None, 4))
    _, first, second = loaded(made, tmp_path).layers[:3]
    assert (first.name, first.units, first.activation) == ("dense_0", 8, keras.activations.relu)
    assert (second.name, second.units, second.activation) == ("dense_1", 3, keras.activations.softmax)
    np.testing.assert_array_equal(first.kernel, made.params["0"]["kernel"])
    np.testing.assert_array_equal(second.bias, made.params["1"]["bias"])


def test_rows_are_in_their_own_units_and_so_are_targets(tmp_path):
    made = model(Dense(2), (None, 3), inputs=Affine((5, -1, 0), (2, 0.5, 1)), outputs=Affine((100, -7), (10, 0.1)))
    x = rows((None, 3), 7)
    kernel, bias = (np.asarray(made.params[name], np.float64) for name in ("kernel", "bias"))
    expected = ((x - [5.0, -1, 0]) / [2, 0.5, 1] @ kernel + bias) * [10, 0.1] + [100, -7]
    np.testing.assert_allclose(loaded(made, tmp_path).predict(x, verbose=0), expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "named"),
    [
        (Sequential(Dense(3), Dense(4, "sparsemax")), (None, 4), r"Dense\(units=4, activation='sparsemax'\) at '1'"),
        (Sequential(Dense(3), Residual(jnp.sin)), (None, 4), r"Function\(function=sin\) at '1'"),
        (Dense(3, dtype=Policy("float32", "bfloat16", "float32")), (None, 4), "Dense.*Policy"),
        (Einsum("bi,io->ob", 3), (None, 4), "Einsum"),
        (Dense(3), (4,), r"Dense\(units=3\)"),
    ],
)
def test_what_keras_cannot_express_is_named(layer, shape, named, tmp_path):
    with pytest.raises(ExportError, match=f"Keras cannot express {named}"):
        write(model(layer, shape), tmp_path / "model.keras")
    assert list(tmp_path.iterdir()) == []


def test_the_backend_is_jax_unless_another_is_asked_for():
    code = "import densefn.export.keras, keras; print(keras.backend.backend())"
    bare = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    for chosen, backend in ({}, "jax"), ({"KERAS_BACKEND": "numpy"}, "numpy"):
        done = subprocess.run([sys.executable, "-c", code], env=bare | chosen, capture_output=True, text=True)
        assert done.stdout.split()[-1:] == [backend], done.stderr
