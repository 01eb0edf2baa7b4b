"""Differences from Keras where its behaviour is a bug: what is done here, and that the docstring says it."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import densefn
from densefn import (
    L1,
    L1L2,
    L2,
    Activation,
    Dense,
    MaxNorm,
    OrthogonalRegularizer,
    from_dict,
    to_dict,
)
from densefn.activations import sparsemax
from densefn.initializers import (
    Identity,
    Orthogonal,
)


@pytest.mark.parametrize("name", ["l1l2", "l1_l2", "L1L2"])
def test_the_name_l1l2_is_both_penalties(name, key):
    layer = Dense(3, kernel_regularizer=name, use_bias=False)
    kernel = layer.init(key, (4,))["kernel"]
    expected = 0.01 * np.sum(np.abs(np.float64(kernel))) + 0.01 * np.sum(np.float64(kernel) ** 2)
    np.testing.assert_allclose(layer.forward({"kernel": kernel}, jnp.ones(4)).penalty, expected, rtol=1e-6)
    assert densefn.regularizers.get(name) == L1L2(0.01, 0.01)


def test_an_identity_keeps_its_gain_in_a_file(key):
    layer = Dense(3, kernel_initializer=Identity(2.0))
    for same in (from_dict(to_dict(layer)), Dense.from_keras_config(layer.to_keras_config())):
        assert same == layer
        np.testing.assert_array_equal(same.init(key, (3,))["kernel"], 2 * np.eye(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_initializer": "constant"}, "the initializer 'constant' has no value; write initializers.Constant"),
        ({"activation": "threshold"}, "threshold needs both of its arguments"),
        ({"activation": {"name": "threshold", "threshold": 1.0}}, "threshold needs both of its arguments"),
        ({"activation": "glu"}, "glu needs an even number of units"),
        ({"bias_initializer": None}, 'expected an initializer, got None; write "zeros"'),
        ({"kernel_initializer": None}, 'expected an initializer, got None; write "zeros"'),
        ({"units": True}, "expected a whole number of at least 1, got True"),
        ({"use_bias": False, "bias_regularizer": "l2"}, "bias_regularizer has no effect with use_bias=False"),
        ({"use_bias": False, "bias_constraint": "non_neg"}, "bias_constraint has no effect with use_bias=False"),
    ],
)
def test_what_would_fail_later_or_have_no_effect_fails_on_construction(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Dense(**{"units": 3, **arguments})


def test_a_numpy_integer_is_a_number_of_units():
    assert Dense(np.int64(3)) == Dense(3)
    assert type(Dense(np.int64(3)).units) is int


def test_the_output_shape_of_glu_is_that_of_its_output(key):
    layer = Dense(4, "glu")
    y = layer.apply(layer.init(key, (3,)), jnp.ones((2, 3)))
    assert layer.output_shape((None, 3)) == (None, 2)
    assert y.shape == (2, 2)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_a_matrix_of_one_row_is_orthogonal(mode):
    one = jnp.ones((1, 3)) if mode == "rows" else jnp.ones((3, 1))
    regularizer = jax.jit(OrthogonalRegularizer(1.0, mode))
    assert regularizer(one) == 0
    np.testing.assert_array_equal(jax.grad(regularizer)(one), np.zeros_like(one))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_orthogonal_kernels_of_narrow_dtypes_are_the_wide_one_rounded(dtype, key):
    narrow = Dense(5, kernel_initializer=Orthogonal(), dtype=dtype).init(key, (8,))["kernel"]
    wide = Dense(5, kernel_initializer=Orthogonal()).init(key, (8,))["kernel"]
    np.testing.assert_array_equal(narrow, wide.astype(dtype))


def test_an_input_of_rank_1_is_an_example_so_that_examples_can_be_mapped(key):
    layer = Dense(3, "tanh")
    params = layer.init(key, (4,))
    x = jax.random.normal(key, (5, 4))
    assert layer.apply(params, x[0]).shape == (3,)
    mapped = jax.vmap(layer.apply, in_axes=(None, 0))(params, x)
    np.testing.assert_allclose(mapped, layer.apply(params, x), rtol=1e-6, atol=1e-6)  # float32, another order


@pytest.mark.parametrize("regularizer", [L1(1.0), L2(1.0), L1L2(0.5, 0.5)], ids=str)
def test_penalties_of_bfloat16_are_summed_in_float32(regularizer):
    total = regularizer(jnp.ones((100, 101), jnp.bfloat16))
    assert total.dtype == jnp.float32
    assert total == 10_100  # 8 bits cannot hold it


def test_constraints_hold_with_any_optimizer(key):
    layer = Dense(3, kernel_constraint=MaxNorm(0.5))
    params = layer.init(key, (4,))
    optimizer = optax.chain(optax.sgd(1.0), densefn.projection(layer))
    updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, params), optimizer.init(params), params)
    by_hand = layer.project(optax.apply_updates(params, jax.tree.map(lambda w: -jnp.ones_like(w), params)))
    for projected in (optax.apply_updates(params, updates), by_hand):
        norms = np.linalg.norm(projected["kernel"], axis=0)
        np.testing.assert_allclose(norms, 0.5, rtol=1e-6)  # float32


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    x = np.random.default_rng(0).normal(size=(200, 6))
    # The threshold by bisection: the sum of max(x - tau, 0) falls with tau.
    low, high = x.min(axis=1, keepdims=True) - 1, x.max(axis=1, keepdims=True)
    for _ in range(60):
        tau = (low + high) / 2
        above = np.maximum(x - tau, 0).sum(axis=1, keepdims=True) > 1
        low, high = np.where(above, tau, low), np.where(above, high, tau)
    y = jax.jit(sparsemax)(x.astype(np.float32))
    np.testing.assert_allclose(y, np.maximum(x - low, 0), atol=1e-6)  # a few float32 roundings of order one
    assert (np.count_nonzero(y, axis=1) > 1).any()


@pytest.mark.parametrize(
    ("documented", "words"),
    [
        (Dense, "`bias_initializer=None` is an error"),
        (Dense, "a bias regularizer or constraint without a bias"),
        (Dense, '`"glu"`'),
        (Dense, "a NumPy integer but not a bool"),
        (Dense, "inputs of rank 1 are accepted"),
        (Dense, "`densefn.projection`, with any optimizer"),
        (L1L2, '`"l1l2"` and `"l1_l2"` stand for `L1L2(0.01, 0.01)`'),
        (Identity, "a saved initializer keeps its gain"),
        (OrthogonalRegularizer, "(Keras gives NaN)"),
        (Orthogonal, "Difference from Keras: bfloat16 is supported"),
        (densefn.regularizers, "Keras sums a bfloat16 array in bfloat16"),
        (densefn.activations.threshold, "use `Activation`"),
        (Activation, 'Activation("threshold", threshold=1.0'),
        (sparsemax, "Keras's has another tau"),
    ],
)
def test_the_docstring_says_it(documented, words):
    assert " ".join(words.split()) in " ".join((inspect.getdoc(documented) or "").split())
