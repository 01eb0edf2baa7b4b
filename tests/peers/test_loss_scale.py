"""Dynamic loss scaling beside Keras's own, over 4600 steps of which some overflow."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax

from densefn import Dense
from densefn.data import Rows
from densefn.training.losses import SquaredError
from densefn.training.step import make_state, make_step

STEPS = 4600
OUTLIERS = [3, 4, 5, 2500, 2501, 2502]


def with_outliers(residual):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, 4, 3)).astype(np.float32)
    y = x @ np.array([[0.5], [-1.0], [0.25]], np.float32)
    y[OUTLIERS] += residual
    return Rows(jnp.asarray(x), jnp.asarray(y))


def keras_run(model, inner, kernel, rows):
    """The kernels and scales after each step, by Keras's optimizers on the gradients of the same objective."""
    optimizer = keras.optimizers.LossScaleOptimizer(inner)
    optimizer.build([keras.Variable(kernel)])
    at = [variable is optimizer.dynamic_scale for variable in optimizer.variables].index(True)

    def step(carry, batch):
        kernel, variables = carry
        scaled = lambda w: variables[at] * SquaredError()(model.apply({"kernel": w}, batch.x), batch.y)
        [kernel], variables = optimizer.stateless_apply(variables, [jax.grad(scaled)(kernel)], [kernel])
        return (kernel, variables), (kernel, variables[at])

    return jax.jit(lambda *start: jax.lax.scan(step, start, rows)[1])(kernel, [v.value for v in optimizer.variables])


def our_run(model, state, optimizer, rows):
    step = make_step(model, optimizer, SquaredError())

    def recorded(state, batch):
        state, _ = step(state, batch)
        return state, state

    return jax.jit(lambda state: jax.lax.scan(recorded, state, rows)[1])(state)


def check(dtype, residual, optimizers, key):
    """Runs both, compares scales and skipped steps, and returns the steps that were skipped and both kernels."""
    model, rows = Dense(1, use_bias=False, dtype=dtype), with_outliers(residual)
    state = make_state(model, optimizers[0], key, 3, scale="dynamic")
    kernels, scales = keras_run(model, optimizers[1], state.params["kernel"], rows)
    states = our_run(model, state, optimizers[0], rows)
    np.testing.assert_array_equal(states.loss_scale.scale, scales)
    assert np.diff(scales).max() > 0  # doubled after 2000 steps
    skipped = np.flatnonzero(np.diff(states.step) == 0) + 1
    assert set(skipped) <= set(np.flatnonzero((np.diff(kernels, axis=0) == 0).all(axis=(1, 2))) + 1)
    return skipped.tolist(), states.params["kernel"], kernels


def test_gradients_that_overflow_until_the_scale_is_2_to_13(key):
    optimizers = optax.sgd(0.01, momentum=0.9), keras.optimizers.SGD(0.01, momentum=0.9)
    skipped, kernels, expected = check("mixed_float16", 10, optimizers, key)
    assert skipped == [3, 4, 2500]
    # Kernels that differ by one bit of float32 may round to float16 kernels that differ by 5e-4.
    np.testing.assert_allclose(kernels, expected, atol=1e-2)


def test_gradients_that_are_never_finite_under_a_schedule(key):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, decay_steps=500, decay_rate=0.5)
    optimizers = optax.sgd(optax.exponential_decay(0.01, 500, 0.5)), keras.optimizers.SGD(schedule)
    skipped, kernels, expected = check("float32", np.inf, optimizers, key)
    assert skipped == OUTLIERS
    # Thousands of float32 steps, compiled in two ways.
    np.testing.assert_allclose(kernels, expected, rtol=1e-5, atol=1e-7)
