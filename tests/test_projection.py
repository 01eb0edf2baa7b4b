"""The optax link does what `project` does after a step, in every wrapper that optax has for a chain."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from densefn import Dense, MaxNorm, Repeat, Residual, Sequential, UnitNorm, projection

MODEL = Sequential(
    Dense(6, "tanh", kernel_constraint=MaxNorm(0.5), bias_constraint="non_neg"),
    Repeat(Residual(Dense(6, kernel_constraint=UnitNorm(axis=-1))), times=2),
    Dense(2, kernel_constraint="non_neg"),
)
SHAPE = (None, 3)

# The link gives a difference that optax adds to the parameters again: two roundings of float32 numbers of order one.
CLOSE = {"rtol": 1e-6, "atol": 3e-7}


PROJECT = jax.jit(MODEL.project)
INIT = jax.jit(lambda key: MODEL.init(key, SHAPE))


@pytest.fixture
def params(key):
    return INIT(key)


@pytest.fixture
def gradients(params):
    return jax.tree.map(lambda w: np.float32(np.random.default_rng(w.size).normal(size=w.shape)), params)


def stepped(optimizer, params, gradients):
    @jax.jit
    def step(params, gradients):
        updates, _ = optimizer.update(gradients, optimizer.init(params), params)
        return optax.apply_updates(params, updates)

    return step(params, gradients)


def test_the_last_link_of_a_chain_gives_projected_parameters(params, gradients):
    linked = stepped(optax.chain(optax.sgd(0.3), projection(MODEL)), params, gradients)
    plain = stepped(optax.sgd(0.3), params, gradients)
    chex.assert_trees_all_close(linked, PROJECT(plain), **CLOSE)
    assert np.abs(np.asarray(plain["0"]["kernel"]) - linked["0"]["kernel"]).max() > 0.1
    for w in (linked["0"]["bias"], linked["2"]["kernel"]):
        assert np.min(w) == 0  # the bound itself, not a rounding away from it


def test_accumulated_gradients_are_projected_when_they_are_applied(params, gradients):
    optimizer = optax.MultiSteps(optax.chain(optax.sgd(0.3), projection(MODEL)), every_k_schedule=2)
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    updates, state = update(gradients, state, params)
    chex.assert_trees_all_equal(updates, jax.tree.map(jnp.zeros_like, params))
    updates, _ = update(gradients, state, params)
    expected = PROJECT(stepped(optax.sgd(0.3), params, gradients))
    chex.assert_trees_all_close(optax.apply_updates(params, updates), expected, **CLOSE)


def test_a_step_that_is_not_finite_is_left_out(params, gradients):
    optimizer = optax.apply_if_finite(optax.chain(optax.sgd(0.3), projection(MODEL)), max_consecutive_errors=3)
    expected = PROJECT(stepped(optax.sgd(0.3), params, gradients))
    chex.assert_trees_all_close(stepped(optimizer, params, gradients), expected, **CLOSE)
    broken = jax.tree.map(lambda g: np.concatenate([np.full_like(g[:1], np.nan), g[1:]]), gradients)
    chex.assert_trees_all_equal(stepped(optimizer, params, broken), params)


@pytest.mark.parametrize(
    "mask",
    [
        {
            "0": {"kernel": True, "bias": False},
            "1": {"kernel": False, "bias": True},
            "2": {"kernel": True, "bias": True},
        },
        {"0": True, "1": False, "2": False},
    ],
    ids=["of parameters", "of layers"],
)
def test_masked_parameters_are_left_as_they_are(mask, params, gradients):
    plain = stepped(optax.sgd(0.3), params, gradients)
    linked = stepped(optax.chain(optax.sgd(0.3), optax.masked(projection(MODEL), mask)), params, gradients)
    whole = PROJECT(plain)
    chosen = jax.tree.map(lambda m, p, w: jax.tree.map(lambda a, b: a if m else b, p, w), mask, whole, plain)
    chex.assert_trees_all_close(linked, chosen, **CLOSE)


def test_each_member_of_an_ensemble_is_projected_alone(gradients):
    members = [INIT(jax.random.key(seed)) for seed in range(3)]
    stack = lambda trees: jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
    optimizer = optax.chain(optax.sgd(0.3), projection(MODEL))
    expected = stack([stepped(optimizer, member, gradients) for member in members])
    ensemble, repeated = stack(members), stack([gradients] * 3)
    mapped = jax.vmap(lambda p, g: stepped(optimizer, p, g))(ensemble, repeated)
    chex.assert_trees_all_close(mapped, expected, **CLOSE)
    chex.assert_trees_all_close(stepped(optimizer, ensemble, repeated), expected, **CLOSE)


def test_narrow_parameters_keep_their_dtype(key):
    layer = Dense(4, kernel_constraint=MaxNorm(0.5), dtype="bfloat16")
    params = layer.init(key, SHAPE)
    linked = stepped(optax.chain(optax.sgd(1.0), projection(layer)), params, jax.tree.map(jnp.ones_like, params))
    assert linked["kernel"].dtype == jnp.bfloat16
    # bfloat16 has 8 bits: a rounding of the difference, one of the sum.
    assert np.linalg.norm(np.asarray(linked["kernel"], np.float64), axis=0).max() < 0.5 * (1 + 2**-7)


def test_without_parameters_it_says_what_is_missing(params, gradients):
    optimizer = projection(MODEL)
    with pytest.raises(ValueError, match=r"expected params in update\(updates, state, params\)"):
        optimizer.update(gradients, optimizer.init(params))


class Factors(NamedTuple):
    """A kernel `a @ b` that is kept as its factors."""

    a: jax.Array
    b: jax.Array

    @property
    def shape(self):
        return (self.a.shape[0], self.b.shape[1])


def test_what_stands_for_a_kernel_without_a_constraint_is_left_as_it_is(key):
    layer = Dense(2, bias_constraint="non_neg")
    params = {"kernel": Factors(jnp.ones((3, 1)), jnp.ones((1, 2))), "bias": jnp.array([0.5, 2.0])}
    updates = jax.tree.map(lambda w: -jnp.ones_like(w), params)
    projected, _ = projection(layer).update(updates, optax.EmptyState(), params)
    chex.assert_trees_all_equal(projected["kernel"], updates["kernel"])
    chex.assert_trees_all_close(projected["bias"], jnp.array([-0.5, -1.0]))
