"""Einsum against NumPy's einsum, and the scale that each of its kernels should have."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from densefn import Dense, Einsum
from densefn._errors import LayerError


class Case(NamedTuple):
    """An equation and the shapes it should lead to; `spread` is the bias's shape where NumPy adds it."""

    equation: str
    units: int | tuple[int, ...]
    x: tuple[int, ...]
    kernel: tuple[int, ...]
    bias: tuple[int, ...]
    spread: tuple[int, ...]
    y: tuple[int, ...]


CASES = [
    Case("ab,bc->ac", 5, (4, 3), (3, 5), (5,), (1, 5), (4, 5)),
    Case("... i, i h d -> ... h d", (2, 5), (4, 6, 3), (3, 2, 5), (2, 5), (1, 1, 2, 5), (4, 6, 2, 5)),
    Case("...hd,hdo->...o", 5, (4, 2, 3), (2, 3, 5), (5,), (1, 5), (4, 5)),
    Case("ebi,eio->ebo", 5, (2, 4, 3), (2, 3, 5), (2, 5), (2, 1, 5), (2, 4, 5)),
    Case("bei,oie->beo", 5, (4, 2, 3), (5, 3, 2), (2, 5), (1, 2, 5), (4, 2, 5)),
    Case("bi...,io->bo...", 5, (4, 3, 2, 6), (3, 5), (5,), (1, 5, 1, 1), (4, 5, 2, 6)),
    Case("...i,i->...i", (), (4, 3), (3,), (3,), (1, 3), (4, 3)),
    Case("...i,i->...", (), (4, 3), (3,), (), (1,), (4,)),
    Case("i,ijk->kj", (6, 5), (3,), (3, 5, 6), (6, 5), (6, 5), (6, 5)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.equation)
def test_is_numpy_s_einsum_and_a_bias(case, key):
    layer = Einsum(case.equation, case.units, "relu", bias_initializer="random_normal")
    params = layer.init(key, case.x)
    assert jax.tree.map(jnp.shape, params) == {"kernel": case.kernel, "bias": case.bias}
    x = jax.random.normal(jax.random.key(1), case.x)
    product = np.einsum(case.equation, np.asarray(x, np.float64), np.asarray(params["kernel"], np.float64))
    expected = np.maximum(product + np.asarray(params["bias"], np.float64).reshape(case.spread), 0)
    # float32 sums of at most six products of order one.
    np.testing.assert_allclose(layer.apply(params, x), expected, atol=2e-6)
    assert layer.output_shape(case.x) == case.y


def test_over_the_last_axis_it_is_dense_value_for_value(key):
    x = jax.random.normal(jax.random.key(1), (2, 4, 3))
    for options in ({}, {"kernel_initializer": "orthogonal"}, {"bias_initializer": "torch_default"}):
        dense, layer = Dense(5, **options), Einsum("...i,io->...o", 5, **options)
        params = dense.init(key, (None, 3))
        chex.assert_trees_all_equal(layer.init(key, (None, 3)), params)
        # Two compilations of one product: a rounding of float32.
        chex.assert_trees_all_close(layer.forward(params, x), dense.forward(params, x), rtol=1e-6)


SCALES = [
    ("ebi,eio->ebo", 600, (8, None, 300)),
    ("bei,oei->beo", 600, (None, 8, 300)),
    ("...i,ihd->...hd", (20, 30), (None, 300)),
    ("...hd,hdo->...o", 600, (None, 20, 15)),
]


@pytest.mark.parametrize(("equation", "units", "shape"), SCALES)
def test_every_kernel_has_the_scale_of_one(equation, units, shape, key):
    layer = Einsum(equation, units, kernel_initializer="glorot_normal", bias_initializer="torch_default")
    params = layer.init(key, shape)
    # 300 inputs and 600 outputs. At least 180,000 draws: the standard error of a variance is at most 0.33 % of it.
    np.testing.assert_allclose(np.var(params["kernel"]), 2 / 900, rtol=0.015)
    # The greatest of 600 uniform draws is below 0.98 of the bound with a chance of 5e-6.
    assert 0.98 < np.abs(params["bias"]).max() * np.sqrt(300) <= 1


def test_each_expert_is_drawn_on_its_own(key):
    layer = Einsum("bei,oie->beo", 5, kernel_initializer="orthogonal")
    kernel = np.asarray(layer.init(key, (None, 2, 3))["kernel"])
    for expert in (kernel[:, :, 0], kernel[:, :, 1]):
        np.testing.assert_allclose(expert.T @ expert, np.eye(3), atol=1e-6)  # float32
    assert np.abs(kernel[:, :, 0] - kernel[:, :, 1]).max() > 0.1


def test_bias_axes_choose_what_the_bias_has(key):
    layer = Einsum("bti,ihd->bthd", (2, 5), bias_axes="td", bias_initializer="random_normal")
    params = layer.init(key, (None, 4, 3))
    assert params["bias"].shape == (4, 5)
    y = layer.apply(params, jnp.zeros((6, 4, 3)))
    np.testing.assert_array_equal(y, np.broadcast_to(np.asarray(params["bias"])[:, None, :], (6, 4, 2, 5)))
    assert "bias" not in Einsum("bi,io->bo", 2, use_bias=False).init(key, (1, 3))


def test_the_activity_s_penalty_is_divided_by_the_examples_and_not_by_the_experts(key):
    for equation, units, x, examples in [
        ("ebi,eio->ebo", 5, (2, 4, 3), 4),
        ("...i,ihd->...hd", (2, 5), (4, 6, 3), 4),
        ("...i,ihd->...hd", (2, 5), (3,), 1),
    ]:
        layer = Einsum(equation, units, activity_regularizer="l2")
        value, penalty = layer.forward(layer.init(key, x), jnp.ones(x))
        np.testing.assert_allclose(penalty, 0.01 * np.sum(np.square(value)) / examples, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bi,io", 3), "expected an equation x,kernel->y"),
        (("bi,jo->bo", 3), "the kernel's axis 'j'"),
        (("bi,io->boz", 3), "the output's axis 'z'"),
        (("...i,io->o", 3), "expected an ellipsis in both"),
        (("bii,io->bo", 3), "expected each axis once in 'bii'"),
        (("bi,io->bo", (3, 4)), r"expected a size for each of the output's new axes 'o', got \(3, 4\)"),
        (("bi,io->bo", 0), "expected a whole number of at least 1"),
        ((7, 3), "expected a string"),
    ],
)
def test_a_wrong_equation_is_refused_on_construction(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Einsum(*arguments)


def test_arguments_that_have_no_effect_are_refused():
    with pytest.raises(ValueError, match="bias_axes has no effect"):
        Einsum("bi,io->bo", 3, use_bias=False, bias_axes="o")
    with pytest.raises(ValueError, match="bias_axes: expected axes of the output 'bo', got 'i'"):
        Einsum("bi,io->bo", 3, bias_axes="i")


def test_shapes_that_do_not_fit_are_named(key):
    layer = Einsum("ebi,eio->ebo", 5)
    params = layer.init(key, (2, None, 3))
    for x, message in [
        ((2, 3), "expected x of axes ebi, got shape"),
        ((2, 4, 7), r"expected a kernel of axes eio, \[2, 7, 5\] for x of shape \(2, 4, 7\), got \[2, 3, 5\]"),
        ((1, 4, 3), r"expected a kernel of axes eio, \[1, 3, 5\]"),
    ]:
        with pytest.raises(LayerError, match=message):
            layer.apply(params, jnp.ones(x))
    with pytest.raises(LayerError, match=r"all axes of kernel eio and bias eo, got \[None, 3, 5\] and \[None, 5\]"):
        layer.init(key, (None, 4, 3))
    with pytest.raises(LayerError, match="expected params with the keys"):
        layer.apply({"kernel": params["kernel"]}, jnp.ones((2, 4, 3)))
