"""Values of the wrong kind, unusual parameters and inputs: they work, or the error names the place and the fix."""

import dataclasses
from collections import OrderedDict
from dataclasses import replace
from types import MappingProxyType

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.core import FrozenDict

import densefn
from densefn import (
    L2,
    Activation,
    Dense,
    Einsum,
    Function,
    Group,
    MaxNorm,
    Repeat,
    Residual,
    Sequential,
    activations,
    combine,
    constraints,
    convert,
    from_dict,
    initializers,
    partition,
    regularizers,
    summary,
)
from densefn.forms import LowRank
from densefn.layer import Layer, Output


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Dense(3, kernel_constraint=L2(0.1)),
            "kernel_constraint: .* regularizer .* belongs in kernel_regularizer",
        ),
        (
            lambda: Dense(3, kernel_regularizer=MaxNorm(1.0)),
            "kernel_regularizer: .* constraint .* belongs in kernel_con",
        ),
        (lambda: Dense(3, L2()), "activation: .* regularizer .* belongs in kernel_regularizer"),
        (lambda: Dense(3, L2), "activation: .*got the class L2"),
        (lambda: Dense(3, kernel_initializer=Dense(3)), "kernel_initializer: .* layer .* belongs in a Sequential"),
        (lambda: Dense(3, bias_initializer=Activation("relu")), "bias_initializer: .* belongs in activation"),
        (lambda: Dense(3, kernel_constraint=Activation), "kernel_constraint: .*got the class Activation"),
        (lambda: Einsum("bi,io->bo", 2, bias_regularizer=initializers.Ones()), "bias_regularizer: .* initializer "),
        (lambda: Sequential(Dense(3), initializers.Identity()), r"layers: \[1\]: .* initializer .* kernel_initializer"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_the_field_in_which_it_belongs(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize(
    ("constraint", "got"),
    [(lambda w: w[0], r"\(3,\)"), (lambda w: w.astype("bfloat16"), "bfloat16"), (L2().__call__, r"\(\)")],
)
def test_a_projection_of_another_shape_or_dtype_is_refused(constraint, got, key):
    layer = Dense(3, kernel_constraint=constraint)
    with pytest.raises(ValueError, match=f"kernel: expected the constraint to keep shape and dtype .*{got}"):
        layer.project(layer.init(key, (None, 4)))


def test_a_penalty_that_is_no_number_is_refused(key):
    layer = Repeat(Dense(3, kernel_regularizer=lambda w: w), times=2)
    with pytest.raises(ValueError, match=r"kernel: expected the regularizer to return one number, .*\(3, 3\)"):
        layer.forward(layer.init(key, (None, 3)), jnp.ones((2, 3)))


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (None, "expected an array for 'kernel', got None"),
        ([[1.0]], r"expected an array for 'kernel', got \[\[1.0\]\]"),
        (jax.ShapeDtypeStruct((1, 1), "float32"), "expected an array for 'kernel', got ShapeDtypeStruct"),
        (jnp.ones((1, 1)) * 1j, "expected real numbers for 'kernel', got dtype complex64"),
    ],
)
def test_a_kernel_that_is_no_array_of_real_numbers_is_refused(kernel, message):
    with pytest.raises(TypeError, match=message):
        Dense(1).apply({"kernel": kernel, "bias": jnp.zeros(1)}, jnp.ones((1, 1)))


@pytest.mark.parametrize("mapping", [OrderedDict, MappingProxyType])
def test_parameters_may_be_any_mapping(mapping, key):
    model = Sequential(Dense(3, kernel_regularizer="l2", kernel_constraint="unit_norm"), "relu")
    params = model.init(key, (None, 4))
    mapped = mapping({"0": mapping(params["0"])})
    x = jnp.ones((2, 4))
    assert model.forward(mapped, x).penalty == model.forward(params, x).penalty
    np.testing.assert_array_equal(model.project(mapped)["0"]["kernel"], model.project(params)["0"]["kernel"])


def test_flax_s_frozen_dicts_are_trained_as_dicts_are(key):
    class Heads(Group):
        torso: Layer
        mean: Layer
        scale: Layer

        def run(self, parts, x):
            hidden = parts.torso(x)
            return parts.mean(hidden) * jnp.exp(parts.scale(hidden))

    torso = Sequential(Dense(4, "tanh", kernel_regularizer="l2", kernel_constraint="unit_norm"), Repeat(Dense(4), 2))
    model = Heads(torso, Residual(Dense(4)), Dense(4, kernel_form=LowRank(1)))
    plain, x = model.init(key, (None, 3)), jnp.ones((2, 3))
    optimizer = optax.chain(optax.adam(0.1), densefn.projection(model))

    @jax.jit
    def step(params, state):
        grads = jax.grad(lambda p: sum(map(jnp.sum, model.forward(p, x))))(params)
        with jax.numpy_dtype_promotion("standard"):  # Adam raises a float to a power of int32
            updates, state = optimizer.update(grads, state, params)
        return model.project(optax.apply_updates(params, updates)), state

    def trained(params):
        once, state = step(params, optimizer.init(params))
        return step(once, state)[0]

    expected, frozen = trained(plain), trained(FrozenDict(plain))
    assert isinstance(frozen, FrozenDict)
    chex.assert_trees_all_equal(frozen.unfreeze(), expected)
    chex.assert_trees_all_equal(combine(*partition(model, frozen)), expected)
    full = replace(model, scale=Dense(4))
    chex.assert_trees_all_equal(convert(frozen, model, full), convert(expected, model, full))


class TestInputs:
    ONES = MappingProxyType({"kernel": np.ones((1, 1), np.float32), "bias": np.zeros(1, np.float32)})

    @pytest.mark.parametrize(
        "x",
        [
            np.array([[1_700_000_000_000]]),
            [[1_700_000_000_000]],
            np.array([[2**63]], np.uint64),
            np.array([[-3e9]]).astype(np.int64),
            np.full((1, 1), 1.5, ">f4"),
            np.full((1, 1), 1.5, np.longdouble),
            np.array([[7]], np.int8),
        ],
    )
    @pytest.mark.parametrize("model", [Dense(1), Sequential(Dense(1)), Einsum("bi,io->bo", 1), Residual(Dense(1))])
    def test_numbers_that_jax_has_no_dtype_for_keep_their_value(self, model, x):
        params = {"0": self.ONES} if isinstance(model, Sequential) else self.ONES
        times = 2 if isinstance(model, Residual) else 1
        np.testing.assert_allclose(model.apply(params, x), times * np.asarray(x, np.float64), rtol=2**-23)

    @pytest.mark.parametrize(
        ("x", "got"),
        [
            (np.array([["2020-01-01"]], "M8[D]"), "datetime64"),
            (jax.random.key(0), "key"),
            ([[10**30]], "object"),
            ((np.ones((2, 1)), np.ones((2, 1))), "a tuple of arrays; stack them first"),
        ],
    )
    def test_what_is_no_array_of_real_numbers_is_refused(self, x, got):
        with pytest.raises(TypeError, match=got):
            Dense(1).apply(self.ONES, x)


class TestActivations:
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
    def test_sparsemax_of_large_entries_is_that_of_their_differences(self, dtype):
        large = {"float32": 3e7, "bfloat16": 512.0, "float16": 8192.0}[dtype]
        both = jax.jit(lambda *rows: [activations.sparsemax(z) for z in rows])
        apart, equal = both(jnp.asarray(np.array([large, 0.0]), dtype), jnp.asarray(np.full(300, large), dtype))
        np.testing.assert_array_equal(apart, np.array([1, 0], dtype))
        np.testing.assert_allclose(np.asarray(equal).astype("float32"), 1 / 300, rtol=2**-8)

    def test_the_slope_of_a_bounded_relu_is_zero_at_its_bound(self):
        slope = jax.grad(lambda x: activations.relu(x, max_value=6.0))
        assert [float(slope(x)) for x in (5.9, 6.0, 6.1, -1.0)] == [1.0, 0.0, 0.0, 0.0]
        assert jnp.isnan(activations.relu(jnp.nan, max_value=6.0))

    def test_glu_of_an_odd_axis_is_refused(self):
        with pytest.raises(ValueError, match="glu: expected an even size along axis 0"):
            Activation("glu", axis=0)(jnp.ones((3, 4)))


def test_shapes_are_told_of_axes_that_are_not_features():
    mixes = Einsum("bct,cd->bdt", 4)
    for model in (mixes, Sequential(mixes)):
        assert model.output_shape((None, 3, None)) == (None, 4, None)
    with pytest.raises(ValueError, match="expected the sizes of all axes of kernel cd"):
        mixes.init(jax.random.key(0), (None, None, 3))


@pytest.mark.parametrize(
    ("function", "shape"),
    [(lambda x: x[: len(x) // 2], (None, 3)), (lambda x: x[:1], (1, 3)), (lambda x: x.T, (3, None)), (jnp.sum, ())],
)
def test_the_output_shape_of_a_function_follows_every_unknown_axis(function, shape):
    assert Function(function).output_shape((None, 3)) == shape


class Own(Layer):
    """A user-defined layer: a field without a check, and nested parameters."""

    size: int

    def declare(self, input_shape=None):
        return {"a": {"b": Dense(self.size).declare(input_shape)["kernel"]}}

    def forward(self, params, x):
        return Output(x @ params["a"]["b"], jnp.zeros(()))

    def output_shape(self, input_shape):
        return (*input_shape[:-1], self.size)


def test_a_user_defined_layer_needs_no_checks_and_may_nest_its_parameters(key):
    assert Own(3).init(key, (None, 4))["a"]["b"].shape == (4, 3)
    assert summary(Own(3), (None, 4)).rows[0].params == {"a/b": (4, 3)}


def test_dataclasses_replace_makes_values_of_any_class():
    assert dataclasses.replace(Sequential(Dense(3)), layers=[Dense(4)]) == Sequential(Dense(4))
    assert dataclasses.replace(Activation("relu", max_value=6.0)) == Activation("relu", max_value=6.0)


def test_numbers_and_nests_beyond_every_bound_are_refused(key):
    with pytest.raises(ValueError, match="l2: expected a finite number of at least 0"):
        L2(10**400)
    with pytest.raises(ValueError, match="units: expected .* at most 2147483647, got a number of more than 30 digits"):
        Dense(10**400)
    with pytest.raises(ValueError, match=r"kernel: expected a parameter that fits into memory, .* of 4e\+18 bytes"):
        Dense(10**6).init(key, (None, 10**12))
    nested = {"units": 3}
    for _ in range(3000):
        nested = {"layer": "Residual", "body": nested}
    with pytest.raises(ValueError, match="nested less deeply"):
        from_dict(nested)


def test_an_unknown_initializer_is_named_beside_the_nearest():
    with pytest.raises(ValueError, match="unknown initializer 'he_norml'.*Did you mean 'he_normal'"):
        initializers.get("he_norml")


def test_apply_computes_no_penalty(key):
    def fails(w):
        raise AssertionError("the penalty was computed")

    layers = Dense(3, kernel_regularizer=fails), Einsum("...i,io->...o", 3, kernel_regularizer=fails)
    model = Sequential(*layers, Repeat(layers[0], times=2))
    assert model.apply(model.init(key, (None, 3)), jnp.ones((2, 3))).shape == (2, 3)


def named(name):
    return constraints.get(name) if name in constraints.NAMES else regularizers.get(name)


@pytest.mark.parametrize("name", ["max_norm", "unit_norm", "min_max_norm", "orthogonal_regularizer"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_at_a_column_of_zeros_are_finite_and_those_of_the_formula(name, dtype):
    value = named(name)
    w = np.random.default_rng(0).normal(size=(4, 3))
    w[:, 1] = 0
    w = jnp.asarray(w.T if name == "orthogonal_regularizer" else w, dtype)
    total = lambda w: jnp.sum(jnp.square(value(w).astype("float32")))
    both = jax.jit(lambda w: (jax.grad(total)(w), jax.jacfwd(total)(w)))
    reverse, forward = (np.asarray(gradient).astype("float32") for gradient in both(w))
    zero = reverse[1] if name == "orthogonal_regularizer" else reverse[:, 1]
    np.testing.assert_array_equal(zero, np.zeros_like(zero))  # the square of a norm has no slope at zero
    assert np.all(np.isfinite(reverse))
    np.testing.assert_allclose(forward, reverse, rtol=2**-6, atol=2**-6)


@pytest.mark.parametrize(("name", "slope"), [("max_norm", 0.0), ("unit_norm", 1e7), ("min_max_norm", 0.0)])
def test_the_slope_of_a_projection_at_zero_is_the_limit_of_its_formula(name, slope):
    """`w * target(|w|) / (1e-7 + |w|)` for one number w, by differences in float64."""
    value = named(name)
    ours = jax.jit(jax.grad(lambda w: value(w)[0]))(np.zeros(1, np.float32))
    np.testing.assert_allclose(ours, [slope], rtol=1e-6)
