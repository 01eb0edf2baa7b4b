"""Every activation of Keras, and every argument of one, beside Keras's own."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras.src.activations import ALL_OBJECTS_DICT

from densefn import Activation, activations

# Every kink of an activation, its neighbours, and values that are far out; six rows of eight.
KINKS = np.array([-6, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 6])
GRID = np.concatenate([KINKS, KINKS + 0.07, KINKS - 0.07, [-60, -15, 15, 60], np.linspace(-4, 4, 11)])
X = jnp.asarray(GRID.reshape(6, 8), jnp.float32)

ARGUMENTS = [
    ("celu", {"alpha": 0.3}),
    ("elu", {"alpha": 0.3}),
    ("gelu", {"approximate": True}),
    ("glu", {"axis": 0}),
    ("hard_shrink", {"threshold": 1.0}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("log_softmax", {"axis": 0}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 2.0}),
    ("relu", {"threshold": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 3.0, "threshold": 0.5}),
    ("soft_shrink", {"threshold": 1.0}),
    ("softmax", {"axis": 0}),
    ("squareplus", {"b": 1.0}),
    ("threshold", {"threshold": 0.5, "default_value": -2.0}),
]
# Keras's sparsemax is not that of the paper: tests/test_departures.py has ours. Its threshold needs arguments.
WITHOUT_ARGUMENTS = [(name, {}) for name in activations.NAMES if name not in {"sparsemax", "threshold"}]


def test_all_names_are_keras_s():
    assert sorted(activations.NAMES) == sorted(ALL_OBJECTS_DICT)
    assert {name for name, _ in WITHOUT_ARGUMENTS + ARGUMENTS} == {*ALL_OBJECTS_DICT} - {"sparsemax"}


@pytest.mark.parametrize(("name", "arguments"), WITHOUT_ARGUMENTS + ARGUMENTS, ids=str)
def test_values_and_gradients_are_keras_s(name, arguments):
    ours = Activation(name, **arguments) if arguments else activations.get(name)
    theirs = lambda x: keras.activations.get(name)(x, **arguments)

    @jax.jit
    def both(x):
        def weighted(x, f):
            y = f(x)
            return jnp.vdot(np.random.default_rng(0).uniform(1, 2, y.shape).astype(np.float32), y), y

        return [jax.grad(weighted, has_aux=True)(x, f) for f in (ours, theirs)]

    (our_gradient, our_value), (gradient, value) = both(X)
    # Float32 on both sides, at most a rounding or two apart.
    np.testing.assert_allclose(our_value, value, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(our_gradient, gradient, rtol=2e-6, atol=2e-6)
