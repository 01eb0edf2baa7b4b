"""Losses beside scikit-learn's, and against the data that they do not go with."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics
from sklearn.utils.class_weight import compute_class_weight

from densefn._values import TableError
from densefn.training import losses
from densefn.training.losses import LOSSES, AbsoluteError, BinaryCrossEntropy, CrossEntropy, Huber, SquaredError

ROWS, CLASSES = 40, 3
# Means of forty terms of order 1 in float32.
CLOSE = {"rtol": 2e-6}


@pytest.fixture(scope="module")
def logits():
    return jnp.asarray(3 * np.random.default_rng(0).normal(size=(ROWS, CLASSES)), jnp.float32)


@pytest.fixture(scope="module")
def classes():
    return jnp.asarray(np.random.default_rng(1).integers(CLASSES, size=ROWS), jnp.int32)


@functools.cache
def differentiated(loss):
    return jax.jit(jax.value_and_grad(loss))


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
            _, gradient = differentiated(loss)(np.float32(logits), np.int32([1]))
            assert np.all(np.isfinite(gradient))


REGRESSIONS = [SquaredError(), AbsoluteError(), Huber(0.5)]


class TestShapes:
    @pytest.mark.parametrize("loss", REGRESSIONS, ids=str)
    def test_rows_beside_a_column_are_paired_row_by_row(self, loss):
        y, target = jnp.arange(4.0), jnp.array([0.0, 1.0, 2.0, 5.0])
        # e = [0, 0, 0, 2]: a fourth of 4, of 2, and of 0.5 (2 - 0.25).
        expected = {"SquaredError": 1.0, "AbsoluteError": 0.5, "Huber": 0.21875}[type(loss).__name__]
        for outputs in (y, y[:, None]):
            for targets in (target, target[:, None], np.asarray(target), target.astype(int), np.int64(target)):
                assert loss(outputs, targets) == expected
        assert SquaredError()(y[:, None], y) == 0

    @pytest.mark.parametrize("loss", REGRESSIONS, ids=str)
    @pytest.mark.parametrize("shape", [(4,), (3,), (4, 1), (1, 3), (4, 2), (1,), (), (4, 3, 1, 1)], ids=str)
    def test_others_are_refused(self, loss, shape):
        message = f"{type(loss).__name__}: expected targets .*, got outputs (4, 3) and targets {shape}"
        with pytest.raises(ValueError, match=re.escape(message).replace(r"\.\*", ".*")):
            loss(np.zeros((4, 3), np.float32), np.zeros(shape, np.float32))

    def test_wide_integers_are_not_wrapped(self):
        assert AbsoluteError()(jnp.zeros(1), np.array([1_700_000_000_000])) == np.float32(1.7e12)

    @pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"class_weights": (0.5, 2.0)}], ids=str)
    @pytest.mark.parametrize("kind", [CrossEntropy, BinaryCrossEntropy])
    def test_a_column_of_classes_is_classes(self, kind, options, logits, classes):
        loss, y = kind(**options), np.minimum(classes, 1)
        z = logits[:, : 1 if kind is BinaryCrossEntropy else 2]
        forms = (
            y,
            y[:, None],
            y.astype(bool),
            y.astype(np.float32),
            np.asarray(y, np.int64),
            np.eye(2, dtype=np.float32)[y],
        )
        expected = loss(z, jnp.asarray(y))
        for targets in forms:
            np.testing.assert_allclose(
                loss(z, jnp.asarray(targets) if targets.dtype != np.int64 else targets), expected, **CLOSE
            )
        for shape in ((ROWS, 3), (ROWS - 1,), (1,), ()):
            with pytest.raises(
                ValueError, match=rf"{kind.__name__}: expected classes .*targets {re.escape(str(shape))}"
            ):
                loss(z, np.zeros(shape, np.int32))


class TestUnknownClasses:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    @pytest.mark.parametrize("weights", [None, (1.0, 2.0)])
    @pytest.mark.parametrize("kind", [CrossEntropy, BinaryCrossEntropy])
    def test_are_refused_or_nan(self, kind, weights, smoothing):
        loss, z = kind(smoothing, weights), jnp.zeros((2, 1 if kind is BinaryCrossEntropy else 2))
        for wrong in (-1, 2):
            with pytest.raises(ValueError, match=f"{kind.__name__}: expected classes from 0 to 1, got {wrong}"):
                loss(z, [0, wrong])
            assert np.isnan(jax.jit(loss)(z, jnp.array([0, wrong])))
        assert np.isfinite(jax.jit(loss)(z, jnp.array([0, 1])))

    def test_weights_of_other_classes_are_refused(self, logits, classes):
        with pytest.raises(ValueError, match="class_weights: expected a number for each of the 3 classes, got 2"):
            CrossEntropy(class_weights=(1, 2))(logits, classes)


class TestExtremeNumbers:
    """Against float64: equal to a rounding where float32 holds the value; a finite loss has a finite gradient."""

    LARGE = (0.0, 1e-40, -1e-40, 1e-20, 1.0, -80.0, 1e4, -1e4, 1e38, -1e38)

    def check(self, loss, exact, outputs, targets, atol=1e-37):
        value, gradient = differentiated(loss)(outputs, targets)
        with np.errstate(over="ignore"):
            np.testing.assert_allclose(value, np.float32(exact), rtol=1e-6, atol=atol)
        if np.isfinite(value):
            assert np.all(np.isfinite(gradient)), (outputs, targets)

    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    def test_binary_cross_entropy(self, smoothing):
        loss = BinaryCrossEntropy(smoothing)
        for z in self.LARGE:
            for y in (0, 1):
                p = y * (1 - smoothing) + smoothing / 2
                wide = np.float64(np.float32(z))
                exact = p * np.logaddexp(0, -wide) + (1 - p) * np.logaddexp(0, wide)
                self.check(loss, exact, np.float32([[z]]), np.int32([y]))
        assert loss(jnp.array([[jnp.inf]]), jnp.array([0])) == jnp.inf
        if not smoothing:
            self.check(loss, 0.0, np.float32([[np.inf], [-np.inf]]), np.int32([1, 0]))

    @pytest.mark.parametrize("one_hot", [False, True])
    @pytest.mark.parametrize("smoothing", [0.0, 0.3])
    def test_cross_entropy(self, smoothing, one_hot):
        loss = CrossEntropy(smoothing)
        for z in self.LARGE:
            for y in (0, 1, 2):
                logits = np.float64(np.float32([z, 0.5, -z / 4]))
                below = logits - logits.max()
                p = np.eye(3)[y] * (1 - smoothing) + smoothing / 3
                exact = -p @ (below - np.log(np.exp(below).sum()))
                targets = np.eye(3, dtype=np.float32)[None, y] if one_hot else np.int32([y])
                # The difference of two logarithms is as exact as the larger.
                self.check(loss, exact, np.float32([logits]), targets, atol=2e-7 * max(1, abs(exact)))
        if not smoothing:  # a class that is ruled out
            targets = np.float32([[0, 1, 0]]) if one_hot else np.int32([1])
            self.check(loss, np.log(2), np.float32([[0.0, 0.0, -np.inf]]), targets)

    @pytest.mark.parametrize("loss", [SquaredError(), AbsoluteError(), *map(Huber, (1e-30, 1.0, 1e30))], ids=str)
    def test_regressions(self, loss):
        delta = getattr(loss, "delta", None)
        for e in self.LARGE:
            size = abs(np.float64(np.float32(e)))
            exact = {
                "SquaredError": size**2,
                "AbsoluteError": size,
                "Huber": size**2 / 2 if delta and size <= delta else (delta or 0) * (size - (delta or 0) / 2),
            }
            self.check(loss, exact[type(loss).__name__], np.float32([[e]]), np.zeros((1, 1), np.float32))

    def test_a_delta_that_float32_lacks_is_refused(self):
        for delta in (1e-50, 1e39):
            with pytest.raises(ValueError, match="Huber: delta: expected a finite number of at least"):
                Huber(delta)


@pytest.mark.parametrize("loss", sorted(set(LOSSES.values()), key=str), ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_outputs_are_summed_in_float32(loss, dtype, logits, classes):
    outputs = logits.astype(dtype)[:, : 1 if loss is BinaryCrossEntropy else CLASSES]
    targets = jnp.minimum(classes, 1) if loss is BinaryCrossEntropy else classes if loss.classifies else logits
    value = jax.jit(loss())(outputs, targets)
    assert value.dtype == jnp.float32
    with jax.enable_x64(True):
        wide = jax.jit(loss())(np.asarray(outputs, np.float64), targets)
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
            ({"name": "huber", "delta": 0}, "delta: expected a finite number of at least 1.17549e-38.*, got 0"),
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
        with pytest.raises(
            TableError, match=r"numbers \(squared_error, absolute_error, huber, mse, mae\), got CrossEntropy"
        ):
            losses.choose(CrossEntropy(), classifies=False)

    def test_a_loss_of_other_classes_is_refused(self, classes):
        with pytest.raises(TableError, match="class_weights: expected a number for each of the 3 classes, got 2"):
            CrossEntropy(class_weights=(1, 2)).fitted(classes, 3)
        with pytest.raises(TableError, match="expected data of two classes for BinaryCrossEntropy, got 3"):
            BinaryCrossEntropy().fitted(classes, 3)
        with pytest.raises(ValueError, match=r"expected one output per row, got outputs of shape \(40, 3\)"):
            BinaryCrossEntropy()(jnp.zeros((40, 3)), classes)
