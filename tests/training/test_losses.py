"""Losses beside scikit-learn's, and against the data that they do not go with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics
from sklearn.utils.class_weight import compute_class_weight

from densefn.training import losses
from densefn.training.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, Huber
from densefn.values import TableError

ROWS, CLASSES = 40, 3
# Means of forty terms of order 1 in float32.
CLOSE = {"rtol": 2e-6}


@pytest.fixture
def logits(key):
    return 3 * jax.random.normal(key, (ROWS, CLASSES))


@pytest.fixture
def classes(key):
    return jax.random.randint(jax.random.fold_in(key, 1), (ROWS,), 0, CLASSES)


class TestCrossEntropy:
    def test_is_scikit_learn_s_log_loss(self, logits, classes):
        np.testing.assert_allclose(
            CrossEntropy()(logits, classes), metrics.log_loss(classes, jax.nn.softmax(logits)), **CLOSE
        )

    def test_balanced_weights_are_scikit_learn_s(self, classes):
        expected = compute_class_weight("balanced", classes=np.arange(CLASSES), y=np.asarray(classes))
        fitted = CrossEntropy(0.1, "balanced").fitted(classes, CLASSES)
        assert fitted.label_smoothing == 0.1
        np.testing.assert_allclose(fitted.class_weights, expected, rtol=1e-12)
        assert CrossEntropy(0.1, "balanced").fitted(jax.nn.one_hot(classes, CLASSES), CLASSES) == fitted

    def test_balanced_weights_are_those_of_rows(self, logits, classes):
        with pytest.raises(ValueError, match='expected numbers, got "balanced"'):
            CrossEntropy(class_weights="balanced")(logits, classes)
        with pytest.raises(TableError, match=r"class_weights: expected training rows of every class .* none of 3, 4"):
            CrossEntropy(class_weights="balanced").fitted(classes, 5)

    def test_large_logits_have_finite_gradients(self):
        for loss, logits in ((CrossEntropy(0.1), [[1e4, -1e4]]), (BinaryCrossEntropy(0.1), [[1e4]])):
            assert jnp.all(jnp.isfinite(jax.grad(loss)(jnp.array(logits), jnp.array([1]))))


@pytest.mark.parametrize("loss", sorted(set(LOSSES.values()), key=str), ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_outputs_are_summed_in_float32(loss, dtype, logits, classes):
    outputs = logits.astype(dtype)[:, : 1 if loss is BinaryCrossEntropy else CLASSES]
    targets = jnp.minimum(classes, 1) if loss is BinaryCrossEntropy else classes if loss.classifies else logits
    value = loss()(outputs, targets)
    assert value.dtype == jnp.float32
    with jax.enable_x64(True):
        wide = loss()(jnp.asarray(np.asarray(outputs, np.float64)), targets)
        assert wide.dtype == jnp.float64
    np.testing.assert_allclose(value, wide, rtol=1e-5)


class TestChoice:
    @pytest.mark.parametrize("name", LOSSES)
    def test_every_loss_is_written_and_read(self, name):
        loss = losses.check(name)
        assert losses.check(loss.to_table()) == loss
        assert losses.choose(loss, classifies=loss.classifies) == loss

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("hubber", "unknown loss 'hubber'.*Did you mean 'Huber'"),
            (3, r"expected the name of a loss \(cross_entropy, .*\) or a table with it, got 3"),
            ({"delta": 1}, "missing key 'name'"),
            ({"name": "huber", "delat": 1}, "delat: unknown key 'delat'.*Did you mean 'delta'"),
            ({"name": "huber", "delta": 0}, "delta: expected a finite number above 0, got 0"),
            (
                {"name": "cross_entropy", "label_smoothing": 1},
                "label_smoothing: expected a finite number",
            ),
            ({"name": [1]}, r"name: unknown loss \[1\]; there are: cross_entropy"),
            ({"name": "cross_entropy", "class_weights": [0, 0]}, "class_weights: expected a number above 0 among them"),
            ({"name": "cross_entropy", "class_weights": "even"}, 'class_weights: expected "balanced" or a list'),
            (
                {"name": "cross_entropy", "class_weights": [1, -1]},
                "class_weights: expected a finite number",
            ),
        ],
    )
    def test_mistakes(self, given, message):
        with pytest.raises((TypeError, ValueError), match=message):
            losses.check(given)

    def test_a_loss_of_the_other_task_is_refused(self):
        with pytest.raises(TableError, match=r"are classes \(cross_entropy, binary_cross_entropy\), got Huber"):
            losses.choose(Huber(), classifies=True)
        with pytest.raises(TableError, match=r"numbers \(squared_error, absolute_error, huber\), got CrossEntropy"):
            losses.choose(CrossEntropy(), classifies=False)

    def test_a_loss_of_other_classes_is_refused(self, classes):
        with pytest.raises(TableError, match="class_weights: expected a number for each of the 3 classes, got 2"):
            CrossEntropy(class_weights=(1, 2)).fitted(classes, 3)
        with pytest.raises(TableError, match="expected data of two classes for BinaryCrossEntropy, got 3"):
            BinaryCrossEntropy().fitted(classes, 3)
        with pytest.raises(ValueError, match=r"expected one output a row, got outputs of shape \(40, 3\)"):
            BinaryCrossEntropy()(jnp.zeros((40, 3)), classes)
