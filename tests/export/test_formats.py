"""A file is made only of an export that reproduces the model."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from densefn import Dense, Sequential, _registry
from densefn.export import FORMATS, Affine, CheckError, ExportError, Model, export, onnx, safetensors
from tests.export.cases import GROUP, NARROW, ActorCritic, model, rows

# Keras's variables are arrays in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", [None, *NARROW])
def test_every_format_passes(name, dtype):
    layer, shape = NARROW[dtype] if dtype else (Sequential(Dense(64, "gelu"), Dense(3)), (None, 4))
    made = export(model(layer, shape), name)
    assert made.rows == 8
    assert made.difference <= (0.1 if dtype else 1e-5)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("inside", [False, True])
def test_a_group_is_exported_with_the_names_of_its_outputs(name, inside, monkeypatch, tmp_path):
    monkeypatch.setitem(_registry.NAMES, "ActorCritic", ActorCritic)
    made = model(Sequential(Dense(4), GROUP) if inside else GROUP, (None, 4))
    content, difference, _, _ = export(made, name)
    assert difference < 1e-6
    path = tmp_path / f"model{FORMATS[name].suffix}"
    path.write_bytes(content)
    x = rows((None, 4), 5)
    outputs = importlib.import_module(f"densefn.export.{name}").read(path)(x)
    for output, expected in made.layer.apply(made.params, x).items():
        np.testing.assert_allclose(outputs.pop(output), expected, rtol=1e-5, atol=1e-6)
    assert not outputs


class Squashed(ActorCritic):
    """A group that computes with more than its parts."""

    def run(self, parts, x):
        hidden = jnp.tanh(parts.torso(x))
        return parts.actor(hidden), (parts.critic(hidden), 0.5)


def test_outputs_without_names_have_their_places_and_a_part_may_be_exported_alone():
    made = model(Squashed(Dense(4), Dense(3), Dense(1)), (None, 4))
    assert export(made, "onnx").difference < 1e-6
    assert list(made.predict(made.example(2))) == ["0", "1/0", "1/1"]
    with pytest.raises(ExportError, match="run of Squashed, .* export a part by itself: torso, actor"):
        export(made, "keras")
    torso = Model(made.layer.torso, made.params["torso"], (None, 4))
    assert export(torso, "keras").difference < 1e-6


def test_an_output_with_the_name_of_another_tensor_is_refused():
    class Named(ActorCritic):
        def run(self, parts, x):
            return {"x": parts.critic(parts.actor(parts.torso(x)))}

    with pytest.raises(ExportError, match="expected outputs with names that no other tensor has, got 'x'"):
        export(model(Named(Dense(4), Dense(3), Dense(1)), (None, 4)), "onnx")
    with pytest.raises(ExportError, match="no mean and scale for a model with several outputs"):
        model(GROUP, (None, 4), outputs=Affine((0,), (1,)))


def wrong_output(made):
    critic = jax.tree.map(jnp.zeros_like, made.params["critic"])
    return dataclasses.replace(made, params={**made.params, "critic": critic})


def no_output(made):
    return dataclasses.replace(made, layer=made.layer.torso, params=made.params["torso"])


@pytest.mark.parametrize("wrong", [wrong_output, no_output])
def test_each_output_is_compared(wrong, monkeypatch):
    write = onnx.write
    monkeypatch.setattr(onnx, "write", lambda made, path: write(wrong(made), path))
    with pytest.raises(CheckError, match="the exported model"):
        export(model(GROUP, (None, 4)), "onnx")


def wrong_kernel(made):
    return dataclasses.replace(made, params=jax.tree.map(lambda w: w * 1.001, made.params))


def wrong_activation(made):
    return dataclasses.replace(made, layer=Sequential(Dense(64, jax.nn.gelu), Dense(3)))


def wrong_units(made):
    return dataclasses.replace(made, outputs=None)


def wrong_width(made):
    return dataclasses.replace(made, layer=made.layer.layers[0], params=made.params["0"], outputs=None)


def not_a_number(made):
    return dataclasses.replace(made, params={**made.params, "1": {**made.params["1"], "bias": jnp.full(3, jnp.nan)}})


@pytest.mark.parametrize("wrong", [wrong_kernel, wrong_activation, wrong_units, wrong_width, not_a_number])
def test_a_wrong_export_is_an_error(wrong, monkeypatch):
    write = onnx.write
    monkeypatch.setattr(onnx, "write", lambda made, path: write(wrong(made), path))
    layer = Sequential(Dense(64, "gelu"), Dense(3))
    made = model(layer, (None, 4), outputs=Affine((1e3, 0, 0), (1, 1, 1)))
    with pytest.raises(CheckError, match="the exported model"):
        export(made, "onnx")


def test_outputs_that_are_not_finite_are_compared_as_well(monkeypatch):
    made, finite = (model(Dense(3, lambda x, most=most: jnp.maximum(x, x * most)), (None, 4)) for most in (np.inf, 1))
    assert export(made, "onnx").difference < 1e-6
    write = onnx.write
    monkeypatch.setattr(onnx, "write", lambda _, path: write(finite, path))
    with pytest.raises(CheckError):
        export(made, "onnx")


def test_a_model_without_a_finite_output_is_not_exported():
    with pytest.raises(CheckError, match="none of the model's outputs for 8 rows is finite"):
        export(model(Dense(3, lambda x: x * np.inf), (None, 4)), "stablehlo")


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        ({"inputs": Affine((1, 2), (1, 2))}, "each of the 4 features, got 2 and 2"),
        ({"inputs": Affine((1,) * 4, (1,) * 3)}, "each of the 4 features, got 4 and 3"),
        ({"outputs": Affine((1,), (1,))}, "each of the 3 outputs, got 1 and 1"),
    ],
)
def test_means_and_scales_go_with_the_shape(affine, message):
    layer = Dense(3)
    with pytest.raises(ExportError, match=message):
        Model(layer, layer.init(jax.random.key(0), (None, 4)), (None, 4), **affine)


@pytest.mark.parametrize("name", ["keras", "onnx", "stablehlo"])
@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("inputs", r"column .seconds.: float32, .* a mean of 1\.7e\+09 and a standard deviation of 25;"),
        ("outputs", r"target 'seconds': .* a mean of 1\.7e\+09"),
    ],
)
def test_a_column_that_float32_rounds_away_is_refused(name, side, message):
    affine = Affine((0, 1.7e9), (1, 25.0), ("one", "seconds"))
    with pytest.raises(ExportError, match=message):
        export(model(Dense(2), (None, 2), **{side: affine}), name)


@pytest.mark.parametrize(("mean", "scale"), [(1e39, 1e38), (0, 1e-40), (1e300, 1e-300)])
def test_a_column_beyond_float32_is_refused(mean, scale):
    with pytest.raises(ExportError, match="column 0: "):
        export(model(Dense(2), (None, 1), inputs=Affine((mean,), (scale,))), "onnx")


def test_safetensors_keeps_what_float32_rounds_away(tmp_path):
    made = model(Dense(1), (None, 1), inputs=Affine((1.7e9,), (25.0,)), outputs=Affine((1.7e9,), (25.0,)))
    assert export(made, "safetensors").difference == 0
    safetensors.write(made, tmp_path / "model.safetensors")
    rows = np.array([[1.7e9 - 25], [1.7e9 + 50]])
    kernel = np.asarray(made.params["kernel"], np.float64)
    expected = 1.7e9 + 25 * (np.array([[-1.0], [2.0]]) @ kernel)
    # A rounding of float32 in the kernel's product, of some units of 25.
    np.testing.assert_allclose(safetensors.read(tmp_path / "model.safetensors")(rows), expected, rtol=0, atol=1e-4)


def test_the_difference_is_that_of_rows_which_are_not_rounded():
    made = model(Dense(1), (None, 1), inputs=Affine((2008.0,), (1.3,)))
    x = np.concatenate([made.example(1), made.example(7)])
    lost = (x.astype(np.float32) - x) / 1.3 @ np.asarray(made.params["kernel"], np.float64)
    # The mean is exact in float32; what follows the difference rounds less than 1e-6.
    assert export(made, "onnx").difference == pytest.approx(np.abs(lost).max(), abs=1e-6)
