"""onnxruntime runs what is written for ONNX."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from jax import lax

from densefn import Dense, Repeat, Sequential
from densefn.export import Affine, ExportError
from densefn.export.onnx import write
from densefn.export.operations import ELEMENTWISE, OTHERS
from tests.export.cases import LAYERS, NARROW, model, rows


def session(made, tmp_path):
    write(made, tmp_path / "model.onnx")
    return onnxruntime.InferenceSession(tmp_path / "model.onnx")


def graph(layer, tmp_path):
    write(model(layer, (None, 4)), tmp_path / "model.onnx")
    return onnx.load(tmp_path / "model.onnx").graph


@pytest.mark.parametrize("name", LAYERS)
def test_onnxruntime_gives_the_same_outputs(name, tmp_path):
    layer, shape = LAYERS[name]
    made = model(layer, shape)
    runtime, inputs = session(made, tmp_path), [rows(shape, batch) for batch in (0, 1, 7)]
    expected = jax.jit(lambda params, inputs: [layer.apply(params, x) for x in inputs])(made.params, inputs)
    for x, outputs in zip(inputs, expected, strict=True):
        (y,) = runtime.run(None, {"x": x})
        # A few roundings of float32 of values of order 1, in other places.
        np.testing.assert_allclose(y, outputs, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("name", NARROW)
def test_narrow_dtypes_are_rounded_where_jax_rounds(name, tmp_path):
    layer, shape = NARROW[name]
    made, x = model(layer, shape), rows(shape, 50)
    (y,) = session(made, tmp_path).run(None, {"x": x})
    narrow = layer.apply(made.params, x).dtype
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, y.astype(narrow))
    # Sums of float32 in another order fall to the other side of a rounding here and there.
    assert np.mean(y == np.asarray(layer.apply(made.params, x), np.float32)) > 0.95


def test_rows_are_in_their_own_units_and_so_are_targets(tmp_path):
    layer = Dense(2)
    made = model(layer, (None, 3), inputs=Affine((5, -1, 0), (2, 0.5, 1)), outputs=Affine((100, -7), (10, 0.1)))
    x = rows((None, 3), 7)
    kernel, bias = (np.asarray(made.params[name], np.float64) for name in ("kernel", "bias"))
    expected = ((x - [5.0, -1, 0]) / [2, 0.5, 1] @ kernel + bias) * [10, 0.1] + [100, -7]
    (y,) = session(made, tmp_path).run(None, {"x": x})
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-5)


def test_what_the_file_says(tmp_path):
    made = session(model(*LAYERS["rank 3"]), tmp_path)
    (x,), (y,) = made.get_inputs(), made.get_outputs()
    assert (x.name, x.shape, x.type) == ("x", ["batch", "n1", 4], "tensor(float)")
    assert (y.name, y.shape, y.type) == ("y", ["batch", "n1", 3], "tensor(float)")


def test_parameters_have_their_paths_and_dtypes(tmp_path):
    layer = Sequential(Dense(3, dtype="bfloat16"), Dense(2))
    stored = {tensor.name: tensor for tensor in graph(layer, tmp_path).initializer}
    assert {"0/kernel", "0/bias", "1/kernel", "1/bias"} <= set(stored)
    assert stored["0/kernel"].data_type == onnx.TensorProto.BFLOAT16
    params = model(layer, (None, 4)).params
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(stored["1/kernel"]), params["1"]["kernel"])


def test_a_dense_is_a_product_and_a_sum_and_penalties_are_left_out(tmp_path):
    layer = Dense(3, "tanh", kernel_regularizer=lambda w: jnp.sum(lax.erf_inv(w)), activity_regularizer="l2")
    assert [node.op_type for node in graph(layer, tmp_path).node] == ["MatMul", "Unsqueeze", "Add", "Tanh", "Identity"]


def test_an_operation_that_onnx_lacks_is_named(tmp_path):
    with pytest.raises(ExportError, match="'erf_inv'"):
        write(model(Sequential(Dense(2), lax.erf_inv), (None, 4)), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("function", [jnp.log1p, jnp.expm1])
def test_digits_of_small_numbers_are_kept(function, tmp_path):
    x = np.concatenate([10.0 ** np.arange(-30, 2), -(10.0 ** np.arange(-30, 0)), [-100, 1e30, np.inf, -np.inf, 0]])
    x = x[x > -1] if function is jnp.log1p else x
    x = x.astype("float32")[:, None]
    with np.errstate(over="ignore"):
        expected = getattr(np, function.__name__)(x.astype("float64")).astype("float32")
    (y,) = session(model(Sequential(function), (None, 1)), tmp_path).run(None, {"x": x})
    np.testing.assert_allclose(y, expected, rtol=1e-6)  # a few roundings of float32, of 6e-8 each


FUNCTIONS = [
    lambda x: lax.convert_element_type(jnp.ceil(x) > jnp.floor(x), jnp.float32),
    lambda x: jnp.where((x >= 0.1) & ~(x == lax.slice_in_dim(x, 0, 1, axis=1)) | lax.ne(x, x), jnp.sin(x), jnp.cos(x)),
    lambda x: jnp.where((x <= 0.5) & (x < 0.2), lax.stop_gradient(x), jnp.sign(x)),
    lambda x: lax.rsqrt(1 + x**2) * lax.erf(x) + lax.erfc(x) - lax.expm1(x) / lax.log1p(x * x),
    lambda x: jnp.log(jnp.abs(x)) ** 2 + lax.pow(jnp.exp(x), x) + lax.logistic(x) * lax.square(-x),
    lambda x: jnp.maximum(x, 0.3) * jnp.minimum(x, 0.2) - jnp.tanh(jnp.sqrt(x * x)),
    lambda x: jnp.concatenate([x, jnp.zeros_like(x)], axis=-1),
    lambda x: jnp.cumsum(x, axis=0) + lax.cumsum(jnp.ones_like(x), axis=1, reverse=True),
    lambda x: jnp.sum(jnp.ones_like(x), -1, keepdims=True) + x,
    lambda x: jnp.prod(x, -1, keepdims=True) - jnp.max(x, 0, keepdims=True) + jnp.min(x, (0, 1), keepdims=True),
    lambda x: jnp.full_like(x, 3.0),
    lambda x: jnp.exp(jnp.full_like(x, 3.0)),
    lambda x: lax.squeeze(lax.slice_in_dim(x.reshape(x.shape[0], 2, 2), 1, 2, axis=1), [1]).T @ x,
    lambda x: lax.slice_in_dim(x, 0, 4, 2, axis=1) + lax.slice_in_dim(x, 1, 4, 2, axis=1),
    lambda x: jnp.sort(x, axis=0) + jnp.arange(4.0),
    lambda x: jnp.concatenate(jnp.split(x, [1, 2], axis=1)[::-1], axis=1),
    lambda x: lax.scan(lambda c, w: (c * w, None), x, jnp.arange(1.0, 4.0))[0],
    lambda x: lax.scan(lambda c, w: (c * 2 + w, None), x, jnp.arange(3.0), reverse=True)[0],
    lambda x: jax.checkpoint(jnp.copy)(x.astype(jnp.int32).astype(jnp.float32)),
    lambda x: jnp.einsum("bi,bj->bij", x, x),
    lambda x: x[..., 0, None] + x[:, 1:] * x[:, None, -1],
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_of_the_user_go_along(function, tmp_path):
    runtime = session(model(Sequential(function), (None, 4)), tmp_path)
    inputs = [rows((None, 4), batch) for batch in (1, 7)]
    for x, expected in zip(inputs, jax.jit(lambda inputs: list(map(function, inputs)))(inputs), strict=True):
        (y,) = runtime.run(None, {"x": x})
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-6)


def primitives(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn.primitive.name
        for inner in eqn.params.values():
            if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                yield from primitives(getattr(inner, "jaxpr", inner))


def test_every_operation_that_the_export_knows_is_tried_here():
    layers = [*LAYERS.values(), *NARROW.values(), *((Sequential(function), (None, 4)) for function in FUNCTIONS)]
    made = [model(layer, shape) for layer, shape in layers]
    used = {name for each in made for name in primitives(jax.make_jaxpr(each.apply)(each.params, each.symbolic).jaxpr)}
    assert {*ELEMENTWISE, *OTHERS} <= used


def test_an_index_of_arrays_is_refused(tmp_path):
    with pytest.raises(ExportError, match="index of numbers"):
        write(model(Sequential(lambda x: x[:, np.array([0, 2])]), (None, 4)), tmp_path / "model.onnx")


@pytest.mark.parametrize("times", [1, 4])
def test_a_scan_whose_stacked_outputs_are_used_is_refused(times, tmp_path):
    def running(x):
        return lax.scan(lambda c, _: (c + 1, c), x, length=times)[1].sum(0)

    with pytest.raises(ExportError, match="stacked outputs"):
        write(model(Repeat(running, 2), (None, 4)), tmp_path / "model.onnx")
