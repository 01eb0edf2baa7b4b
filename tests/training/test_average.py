"""The average of the parameters, compared with optax and float64, and in steps."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from densefn import Dense, Sequential
from densefn.data import Rows
from densefn.training import average
from densefn.training.config import Train
from densefn.training.losses import SquaredError
from densefn.training.step import make_state, make_step, trained_params

MODEL = Sequential(Dense(5, "tanh"), Dense(1, kernel_constraint="unit_norm"))
OPTIMIZER = optax.adam(0.05)


@pytest.fixture
def rows(key):
    x = jax.random.normal(key, (16, 4))
    return Rows(x, x[:, :1] - 0.5 * x[:, 1:2])


def by_hand(decay, history):
    """The average after each of some values, in float64."""
    total = np.zeros(history.shape[1:])
    for count, value in enumerate(np.asarray(history, np.float64), 1):
        total = decay * total + (1 - decay) * value
        yield total / (1 - decay**count)


@pytest.mark.parametrize("decay", [0.5, 0.99, 0.9999])
def test_equals_optax_and_float64(decay):
    history = np.float32(1 + np.random.default_rng(0).normal(size=(300, 7)))
    ema = optax.ema(decay)

    @jax.jit
    def update(ours, theirs, value):
        ours, (expected, theirs) = average.update(ours, value), ema.update(value, theirs)
        return ours, theirs, average.read(ours, value), expected

    theirs, ours = ema.init(history[0]), average.start(decay, history[0])
    for value, exact in zip(history, by_hand(decay, history), strict=True):
        ours, theirs, read, expected = update(ours, theirs, value)
        # Some hundred roundings of float32; optax subtracts a power near 1 from 1, which loses up to four digits.
        np.testing.assert_allclose(read, exact, rtol=1e-4)
        np.testing.assert_allclose(read, expected, rtol=2e-3 if decay > 0.999 else 1e-4)


@pytest.mark.parametrize("decay", [0.5, 0.9999, 0.999999, 1 - 2.0**-24])
def test_the_average_of_a_constant_is_that_constant(decay):
    ours = average.start(decay, jnp.ones(2))
    for _ in range(5):
        ours = average.update(ours, jnp.ones(2))
        np.testing.assert_allclose(average.read(ours, jnp.zeros(2)), 1, rtol=1e-6)
    # After 10^6 updates the sum is (1 - decay^n), which float64 says.
    power = np.float64(np.float32(decay)) ** 10**6
    ours = ours._replace(updates=jnp.int32(10**6), sums=jnp.float32([1 - power, 2 * (1 - power)]))
    np.testing.assert_allclose(average.read(ours, jnp.zeros(2)), [1, 2], rtol=1e-6)


@pytest.mark.parametrize("decay", [1 - 2.0**-26, 0.99999999, 1.0, 0.0, float("nan")])
def test_a_decay_that_is_one_in_float32_is_refused(decay):
    with pytest.raises(ValueError, match="expected a (finite )?number"):
        average.start(decay, jnp.ones(2))
    with pytest.raises(ValueError, match="ema: expected a (finite )?number"):
        Train(epochs=1, ema=decay)


def test_bfloat16_parameters_are_summed_in_float32():
    history = jnp.asarray(np.random.default_rng(0).normal(size=(500, 3)) + 2, jnp.bfloat16)
    ours, update = average.start(0.99, history[0]), jax.jit(average.update)
    for value in np.asarray(history):
        ours = update(ours, value)
    *_, exact = by_hand(0.99, history)
    assert ours.sums.dtype == jnp.float32
    read = average.read(ours, history[-1])
    assert read.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(read, np.float64), exact, rtol=2**-8)


def test_steps_average_the_updated_parameters_and_train_the_same(rows, key):
    step = jax.jit(make_step(MODEL, OPTIMIZER, SquaredError()))
    state, plain = make_state(MODEL, OPTIMIZER, key, 4, ema=0.9), make_state(MODEL, OPTIMIZER, key, 4)
    chex.assert_trees_all_equal(trained_params(MODEL, state), MODEL.project(state.params))
    history = []
    for _ in range(20):
        (state, _), (plain, _) = step(state, rows), step(plain, rows)
        history.append(state.params["0"]["kernel"])
    chex.assert_trees_all_close(state.params, plain.params, rtol=1e-5)
    *_, exact = by_hand(0.9, np.stack(history))
    trained = trained_params(MODEL, state)
    np.testing.assert_allclose(trained["0"]["kernel"], exact, rtol=1e-5, atol=1e-6)
    assert not np.allclose(trained["0"]["kernel"], state.params["0"]["kernel"], rtol=1e-3)
    chex.assert_trees_all_equal(trained_params(MODEL, plain), plain.params)


def test_the_average_meets_the_constraints(rows, key):
    state = make_state(MODEL, OPTIMIZER, key, 4, ema=0.9)
    step = jax.jit(make_step(MODEL, OPTIMIZER, SquaredError()))
    for _ in range(20):
        state, _ = step(state, rows)
    read = average.read(state.average, state.params)["1"]["kernel"]
    assert np.linalg.norm(read) < 1 - 1e-4  # between points of a sphere
    np.testing.assert_allclose(np.linalg.norm(trained_params(MODEL, state)["1"]["kernel"]), 1, rtol=1e-5)


def test_a_step_that_is_skipped_is_not_averaged(rows, key):
    model = Dense(1, dtype="mixed_float16")
    loss = lambda outputs, targets: 1e3 * SquaredError()(outputs, targets)
    step = jax.jit(make_step(model, OPTIMIZER, loss))
    state = make_state(model, OPTIMIZER, key, 4, ema=0.9)
    after, _ = step(state, rows)
    assert after.loss_scale.scale < state.loss_scale.scale
    chex.assert_trees_all_equal(after.average, state.average)
    chex.assert_trees_all_equal(trained_params(model, after), state.params)
    for _ in range(20):
        after, _ = step(after, rows)
    assert 0 < after.average.updates == after.step < 21
