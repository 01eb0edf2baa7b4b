"""Metrics beside scikit-learn's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as theirs

from densefn.training import metrics
from densefn.training.metrics import METRICS, accuracy, confusion_matrix, f1, mean_absolute_error, r2, top_k_accuracy
from densefn.values import TableError

ROWS, CLASSES = 60, 5


@pytest.fixture
def logits(key):
    # The last class is never predicted.
    return jax.random.normal(key, (ROWS, CLASSES)) - 10 * (jnp.arange(CLASSES) == CLASSES - 1)[None]


@pytest.fixture
def classes(key):
    # The first class is never right.
    return jax.random.randint(jax.random.fold_in(key, 1), (ROWS,), 1, CLASSES)


def test_classification_is_scikit_learn_s(logits, classes):
    predicted = np.argmax(logits, axis=1)
    np.testing.assert_array_equal(confusion_matrix(logits, classes), theirs.confusion_matrix(classes, predicted))
    np.testing.assert_allclose(accuracy(logits, classes), theirs.accuracy_score(classes, predicted), rtol=1e-6)
    np.testing.assert_allclose(f1(logits, classes), theirs.f1_score(classes, predicted, average="macro"), rtol=1e-6)
    for k in range(1, CLASSES):
        expected = theirs.top_k_accuracy_score(classes, logits, k=k, labels=range(CLASSES))
        np.testing.assert_allclose(top_k_accuracy(logits, classes, k=k), expected, rtol=1e-6)


def test_f1_leaves_out_classes_that_are_neither_there_nor_predicted(logits, classes):
    wide = jnp.concatenate([logits, jnp.full((ROWS, 2), -99.0)], axis=1)
    np.testing.assert_allclose(f1(wide, classes), f1(logits, classes), rtol=1e-6)


def test_a_binary_logit_is_that_of_the_second_class(logits, classes):
    z, y = logits[:, :1], (classes > 2).astype(int)
    predicted = np.asarray(jax.nn.sigmoid(z[:, 0]) > 0.5).astype(int)
    np.testing.assert_array_equal(confusion_matrix(z, y), theirs.confusion_matrix(y, predicted))
    np.testing.assert_allclose(accuracy(z, y), theirs.accuracy_score(y, predicted), rtol=1e-6)
    np.testing.assert_allclose(f1(z, y), theirs.f1_score(y, predicted, average="macro"), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].classifies and "_k_" not in name])
def test_one_hot_targets_are_their_classes(name, logits, classes):
    measure = metrics.get(name).measure
    assert measure(logits, jax.nn.one_hot(classes, CLASSES)) == measure(logits, classes)


def test_the_mean_absolute_error_is_scikit_learn_s(logits, key):
    targets = jax.random.normal(jax.random.fold_in(key, 2), logits.shape)
    expected = theirs.mean_absolute_error(targets, logits)
    np.testing.assert_allclose(mean_absolute_error(logits, targets), expected, rtol=1e-6)


def test_r2_is_scikit_learn_s(logits, key):
    targets = logits + jax.random.normal(jax.random.fold_in(key, 2), logits.shape)
    np.testing.assert_allclose(r2(logits, targets), theirs.r2_score(targets, logits), rtol=1e-5)
    # Outputs whose targets are all the same: one that is exact, and one that is not.
    targets = targets.at[:, 0].set(2.0).at[:, 1].set(3.0)
    outputs = logits.at[:, 0].set(2.0)
    np.testing.assert_allclose(r2(outputs, targets), theirs.r2_score(targets, outputs), rtol=1e-5)
    assert r2(logits[:1], targets[:1]) == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["acuracy"], r"\[0\]: unknown metric 'acuracy'.*Did you mean 'accuracy'"),
        (["f1", "top_k_accuracy"], r"\[1\]: expected a number in the place of k, such as top_3_accuracy"),
        (["top_0_accuracy"], r"\[0\]: unknown metric 'top_0_accuracy'"),
        (["f1", 3], r"\[1\]: expected a string, got 3"),
        (["f1", "f1"], r"\[1\]: expected each metric once, got 'f1' again"),
        ([], r"expected a list of names of metrics"),
        ("f1", r"expected a list of names of metrics \(accuracy, f1, .*\), got 'f1'"),
    ],
)
def test_mistakes_in_names(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        metrics.check(given)


@pytest.mark.parametrize(
    ("given", "classes", "message"),
    [
        (
            ("accuracy", "r2"),
            3,
            r"\[1\]: expected a metric for targets that are classes \(accuracy, .*\), got 'r2'",
        ),
        (("f1",), None, r"\[0\]: expected a metric for targets that are numbers \(r2, mean_absolute_error\), got 'f1'"),
        (("top_4_accuracy",), 3, r"\[0\]: expected at most the 3 classes in the place of k, got 'top_4_accuracy'"),
    ],
)
def test_metrics_that_do_not_go_with_the_data(given, classes, message):
    with pytest.raises(TableError, match=message):
        metrics.choose(given, classes=classes)


@pytest.mark.parametrize("name", METRICS)
def test_exact_outputs_are_better_than_wrong_ones(name, logits):
    metric = METRICS[name]
    targets = jnp.argmax(logits, axis=1) if metric.classifies else logits
    k = {"k": 1} if name == "top_k_accuracy" else {}
    exact, wrong = (float(metric.measure(outputs, targets, **k)) for outputs in (logits, -logits))
    assert exact != wrong
    assert (exact > wrong) is metric.larger


def test_what_is_usual():
    assert metrics.choose(None, classes=3) == ("accuracy",)
    assert metrics.choose(None, classes=None) == ("r2",)
    assert metrics.choose(("top_2_accuracy",), classes=3) == ("top_2_accuracy",)
