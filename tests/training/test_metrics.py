"""Metrics beside scikit-learn's."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as theirs

from densefn._values import TableError
from densefn.training import metrics
from densefn.training.metrics import (
    METRICS,
    accuracy,
    auc,
    confusion_matrix,
    f1,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    precision,
    r2,
    recall,
    top_k_accuracy,
)

ROWS, CLASSES = 60, 5


@pytest.fixture
def logits(key):
    # The last class is never predicted.
    return jax.random.normal(key, (ROWS, CLASSES)) - jnp.where(jnp.arange(CLASSES) == CLASSES - 1, 10.0, 0.0)[None]


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


def test_f1_leaves_out_classes_that_are_neither_targets_nor_predictions(logits, classes):
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


def probabilities(outputs):
    """The softmax in float64, rounded so that probabilities which are equal on paper are equal."""
    z = np.asarray(outputs, np.float64)
    z = np.concatenate([np.zeros_like(z), z], axis=1) if z.shape[1] == 1 else z
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return np.round(p / p.sum(axis=1, keepdims=True), 12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_scores_of_classes_are_scikit_learn_s(outputs, dtype):
    rng = np.random.default_rng(outputs)
    logits = jnp.asarray(np.round(rng.normal(size=(ROWS, outputs)), 1), dtype)  # many are equal
    classes = rng.integers(0, max(outputs, 2), ROWS)
    p = probabilities(logits)
    predicted = p.argmax(axis=1)
    area = theirs.roc_auc_score(classes, p[:, 1] if outputs < 3 else p, multi_class="ovr")
    expected = {
        "auc": area,
        "log_loss": theirs.log_loss(classes, p),
        "precision": theirs.precision_score(classes, predicted, average="macro"),
        "recall": theirs.recall_score(classes, predicted, average="macro"),
    }
    order = rng.permutation(ROWS)
    for name, value in expected.items():
        measure = jax.jit(metrics.get(name).measure)
        np.testing.assert_allclose(measure(logits, classes), value, rtol=2e-6, err_msg=name)
        np.testing.assert_allclose(measure(logits[order], classes[order]), value, rtol=2e-6, err_msg=name)


def test_precision_and_recall_leave_out_what_scikit_learn_leaves_out(logits, classes):
    predicted = np.argmax(logits, axis=1)
    options = {"average": "macro", "zero_division": 0}
    np.testing.assert_allclose(
        precision(logits, classes), theirs.precision_score(classes, predicted, **options), rtol=1e-6
    )
    np.testing.assert_allclose(recall(logits, classes), theirs.recall_score(classes, predicted, **options), rtol=1e-6)


def test_the_area_needs_two_kinds_of_rows():
    logits = jnp.array([[0.0, 1.0, 2.0], [1.0, 0.0, 0.5], [2.0, 2.0, 1.0]])
    assert np.isnan(auc(logits, jnp.array([1, 1, 1])))
    # The third class has no rows, and its area is left out.
    p = probabilities(logits)
    expected = np.mean([theirs.roc_auc_score([1, 0, 1], p[:, 0]), theirs.roc_auc_score([0, 1, 0], p[:, 1])])
    np.testing.assert_allclose(auc(logits, jnp.array([0, 1, 0])), expected, rtol=1e-6)


def test_confident_rows_keep_different_scores():
    # The probabilities of the first class are 1 in float32; the wrong row is the least certain.
    margins = np.array([40.0, 30.0, 20.0, 25.0])
    logits = jnp.asarray(np.stack([margins, 0 * margins, -margins], axis=1))
    classes = np.array([0, 0, 1, 0])
    assert theirs.roc_auc_score(classes == 0, margins) == 1
    assert auc(logits, classes) == 1
    np.testing.assert_allclose(log_loss(logits[:1], [0]), np.log1p(np.exp(-40) + np.exp(-80)), rtol=1e-5)


def test_a_model_of_nan_and_an_unknown_class_have_no_score(logits, classes):
    for name, metric in METRICS.items():
        measure = partial(metric.measure, k=1) if name == "top_k_accuracy" else metric.measure
        if metric.classifies:
            assert np.isnan(measure(logits.at[3, 1].set(jnp.nan), classes)), name
            for wrong in (-1, CLASSES):
                assert np.isnan(jax.jit(measure)(logits, classes.at[3].set(wrong))), name
                with pytest.raises(ValueError, match=rf"expected classes from 0 to {CLASSES - 1}, got {wrong}"):
                    measure(logits, classes.at[3].set(wrong))


@pytest.mark.parametrize("name", METRICS)
def test_one_column_is_none(name, logits, classes):
    metric = METRICS[name]
    measure = partial(metric.measure, k=1) if name == "top_k_accuracy" else metric.measure
    if metric.classifies:
        pairs = [(logits[:, :1], classes // 4)] * 2 + [(logits[:, :1], (classes // 4)[:, None])]
    else:
        y = logits[:, 1] + 1
        pairs = [(logits[:, :1], y[:, None]), (logits[:, :1], y), (logits[:, 0], y[:, None]), (logits[:, 0], y)]
    first, *others = (float(measure(*pair)) for pair in pairs)
    assert np.isfinite(first)
    assert others == [first] * len(others)
    with pytest.raises(ValueError, match=r"got outputs \(60, 5\) and targets \(60, 2\)"):
        measure(logits, jnp.zeros((ROWS, 2)))


def test_numbers_of_any_size_have_the_same_r2(logits):
    targets = 2 * logits + 1
    for unit in (1e30, 1e-30):
        np.testing.assert_allclose(r2(logits * unit, targets * unit), r2(logits, targets), rtol=1e-5)


def test_the_mean_squared_error_is_scikit_learn_s(logits):
    expected = theirs.mean_squared_error(2 * np.asarray(logits, np.float64), logits)
    np.testing.assert_allclose(mean_squared_error(logits, 2 * logits), expected, rtol=1e-6)


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
        (
            ("f1",),
            None,
            r"\[0\]: expected a metric for targets that are numbers \(r2, .*\), got 'f1'",
        ),
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


def test_default_metrics():
    assert metrics.choose(None, classes=3) == ("accuracy",)
    assert metrics.choose(None, classes=None) == ("r2",)
    assert metrics.choose(("top_2_accuracy",), classes=3) == ("top_2_accuracy",)
