"""Losses beside Keras's."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from densefn.training.losses import AbsoluteError, BinaryCrossEntropy, CrossEntropy, Huber, SquaredError

ROWS, CLASSES = 40, 3
WEIGHTS = (0.5, 2.0, 3.0)
# Means of forty terms of order 1 in float32.
CLOSE = {"rtol": 2e-6}


@pytest.fixture
def logits(key):
    return 3 * jax.random.normal(key, (ROWS, CLASSES))


@pytest.fixture
def classes(key):
    return jax.random.randint(jax.random.fold_in(key, 1), (ROWS,), 0, CLASSES)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("one_hot", [False, True])
def test_cross_entropy_is_keras_s(smoothing, weights, one_hot, logits, classes):
    labels = np.eye(CLASSES, dtype=np.float32)[classes]
    keras_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    expected = keras_loss(labels, logits, sample_weight=None if weights is None else np.array(weights)[classes])
    value = CrossEntropy(smoothing, weights)(logits, jnp.asarray(labels) if one_hot else classes)
    np.testing.assert_allclose(value, expected, **CLOSE)


def test_soft_labels_are_keras_s(logits, key):
    labels = jax.nn.softmax(jax.random.normal(jax.random.fold_in(key, 2), (ROWS, CLASSES)))
    expected = keras.losses.CategoricalCrossentropy(from_logits=True)(labels, logits)
    np.testing.assert_allclose(CrossEntropy()(logits, labels), expected, **CLOSE)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS[:2]])
def test_binary_cross_entropy_is_keras_s_and_that_of_two_logits(smoothing, weights, logits, classes):
    z, y = logits[:, :1], jnp.minimum(classes, 1)
    keras_loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
    expected = keras_loss(y[:, None], z, sample_weight=None if weights is None else np.array(weights)[y])
    loss = BinaryCrossEntropy(smoothing, weights)
    np.testing.assert_allclose(loss(z, y), expected, **CLOSE)
    np.testing.assert_allclose(loss(z, jax.nn.one_hot(y, 2)), expected, **CLOSE)
    two = jnp.concatenate([jnp.zeros_like(z), z], axis=1)
    np.testing.assert_allclose(CrossEntropy(smoothing, weights)(two, y), expected, **CLOSE)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (SquaredError(), keras.losses.MeanSquaredError()),
        (AbsoluteError(), keras.losses.MeanAbsoluteError()),
        (Huber(), keras.losses.Huber()),
        (Huber(0.3), keras.losses.Huber(delta=0.3)),
    ],
    ids=["squared", "absolute", "huber", "huber of 0.3"],
)
def test_regression_losses_are_keras_s(loss, expected, logits, key):
    targets = jax.random.normal(jax.random.fold_in(key, 3), logits.shape)
    np.testing.assert_allclose(loss(logits, targets), expected(targets, logits), **CLOSE)
