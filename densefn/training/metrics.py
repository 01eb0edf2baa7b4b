"""Metrics, which a config names; a run reports them for the validation rows, besides the loss.

    [train]
    metrics = ["accuracy", "f1", "top_3_accuracy"]

A metric is a function of outputs and targets that returns a scalar.
  - For classes: logits `[rows, classes]`, or `[rows, 1]` for the second of two classes, and classes `[rows]` or
    distributions over them `[rows, classes]`. The value is NaN if a logit is NaN.
  - For numbers: outputs and targets `[rows, outputs]`.
Other shapes, and classes without an output, raise an error (`outputs_and_targets.py`). Under `jit`, where the classes
are not known, the value is NaN instead.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from densefn import _checks
from densefn._values import Mistakes, find
from densefn.precision import widen
from densefn.training import outputs_and_targets as pairs


def accuracy(outputs: Array, targets: Array) -> Array:
    """The fraction of the rows whose class has the largest logit."""
    logits, classes = _of_classes("accuracy", outputs, targets)
    return _known(logits, classes, jnp.mean(jnp.argmax(logits, axis=-1) == classes))


def top_k_accuracy(outputs: Array, targets: Array, *, k: int) -> Array:
    """The fraction of the rows whose class has one of the `k` largest logits; ties go to the first class.

    >>> top_k_accuracy(jnp.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), jnp.array([1, 2]), k=2)
    Array(0.5, dtype=float32)
    """
    logits, classes = _of_classes("top_k_accuracy", outputs, targets)
    _, largest = lax.top_k(logits, k)
    return _known(logits, classes, jnp.mean(jnp.any(largest == classes[..., None], axis=-1)))


def confusion_matrix(outputs: Array, targets: Array) -> Array:
    """Counts of rows by class (first axis) and predicted class (second axis), `[classes, classes]`.

    >>> confusion_matrix(jnp.array([[2.0, 1.0], [1.0, 2.0], [2.0, 1.0]]), jnp.array([0, 1, 1])).tolist()
    [[1, 0], [1, 1]]
    """
    return _confusion(*_of_classes("confusion_matrix", outputs, targets))


def f1(outputs: Array, targets: Array) -> Array:
    """The F1 score of each class, `2 * tp / (2 * tp + fp + fn)`, averaged over classes.

    Classes that are neither among the targets nor among the predictions are left out, as in scikit-learn.
    """
    return _averaged("f1", outputs, targets, lambda predicted, actual: (predicted + actual) / 2)


def precision(outputs: Array, targets: Array) -> Array:
    """The precision of each class, `tp / (tp + fp)`, averaged over the classes as for `f1`.

    A class that is never predicted has precision 0, as in scikit-learn.
    """
    return _averaged("precision", outputs, targets, lambda predicted, _: predicted)


def recall(outputs: Array, targets: Array) -> Array:
    """The recall of each class, `tp / (tp + fn)`, averaged over the classes as for `f1`.

    A class that is predicted but never a target has recall 0, as in scikit-learn.
    """
    return _averaged("recall", outputs, targets, lambda _, actual: actual)


def auc(outputs: Array, targets: Array) -> Array:
    """The area under the ROC curve: how often a row of a class has a higher score than a row of another class.

    Equal scores count half. The score of a row is the probability of the class. For more than two classes, the areas of
    each class against the rest are averaged. A class with no rows, or with all rows, is left out. The value is NaN if
    no class is left.

    >>> auc(jnp.array([[0.1], [0.4], [0.4], [0.8]]), jnp.array([0, 0, 1, 1]))
    Array(0.875, dtype=float32)

    Source: `sklearn.metrics.roc_auc_score` with `multi_class="ovr"`.
    """
    logits, classes = _of_classes("auc", outputs, targets)
    if logits.shape[-1] == 2:
        scores, columns = (logits[..., 1] - logits[..., 0])[..., None], jnp.array([1])
    else:
        scores, columns = _log_probabilities(logits), jnp.arange(logits.shape[-1])
    areas = jax.vmap(_area)(scores.reshape(-1, len(columns)).T, classes.ravel()[None] == columns[:, None])
    return _known(logits, classes, jnp.nanmean(areas))


def log_loss(outputs: Array, targets: Array) -> Array:
    """The mean of `-log(p)` of each row's class, in nats: the cross entropy without weights and smoothing."""
    logits, classes = _of_classes("log_loss", outputs, targets)
    chosen = jnp.take_along_axis(_log_probabilities(logits), classes[..., None], axis=-1)
    return _known(logits, classes, -jnp.mean(chosen))


def r2(outputs: Array, targets: Array) -> Array:
    """The coefficient of determination, averaged over outputs: 1 is exact, 0 as good as the mean of the targets.

    If all targets of an output are equal, its R2 is 1 for exact outputs and 0 otherwise, as in scikit-learn.

    >>> r2(jnp.array([[1.0, 3.0], [2.0, 3.0]]), jnp.array([[1.0, 4.0], [2.0, 4.0]]))
    Array(0.5, dtype=float32)
    """
    y, target = pairs.numbers("r2", outputs, targets)
    spread = target - jnp.mean(target, axis=0, keepdims=True)
    constant = jnp.all(target == target[:1], axis=0)
    # Without a unit, squares of 1e30 or 1e-30 would be infinite or zero in float32. The quotient does not depend on it.
    unit = jnp.where(constant, 1, jnp.max(jnp.abs(spread), axis=0))[None]
    residual = jnp.sum(jnp.square((y - target) / unit), axis=0)
    total = jnp.sum(jnp.square(spread / unit), axis=0)
    unexplained = jnp.where(
        constant, jnp.any(y != target, axis=0).astype(y.dtype), residual / jnp.where(constant, 1, total)
    )
    return jnp.mean(1 - unexplained)


def mean_absolute_error(outputs: Array, targets: Array) -> Array:
    """The mean of the absolute differences of outputs and targets."""
    y, target = pairs.numbers("mean_absolute_error", outputs, targets)
    return jnp.mean(jnp.abs(y - target))


def mean_squared_error(outputs: Array, targets: Array) -> Array:
    """The mean of the squared differences of outputs and targets."""
    y, target = pairs.numbers("mean_squared_error", outputs, targets)
    return jnp.mean(jnp.square(y - target))


class Metric(NamedTuple):
    """A metric of a config.

    Attributes:
      measure: a function of outputs and targets; `top_k_accuracy` also takes `k`.
      classifies: whether the targets are classes.
      larger: whether more is better.
    """

    measure: Callable[..., Array]
    classifies: bool
    larger: bool


_TOP_K = "top_k_accuracy"
METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, classifies=True, larger=True),
    "f1": Metric(f1, classifies=True, larger=True),
    "precision": Metric(precision, classifies=True, larger=True),
    "recall": Metric(recall, classifies=True, larger=True),
    "auc": Metric(auc, classifies=True, larger=True),
    "log_loss": Metric(log_loss, classifies=True, larger=False),
    _TOP_K: Metric(top_k_accuracy, classifies=True, larger=True),
    "r2": Metric(r2, classifies=False, larger=True),
    "mean_absolute_error": Metric(mean_absolute_error, classifies=False, larger=False),
    "mean_squared_error": Metric(mean_squared_error, classifies=False, larger=False),
    "mae": Metric(mean_absolute_error, classifies=False, larger=False),
    "mse": Metric(mean_squared_error, classifies=False, larger=False),
}


def get(name: str) -> Metric:
    """The metric with a name; `top_3_accuracy` is `top_k_accuracy` with `k = 3`.

    Raises:
      ValueError: if there is none.
    """
    top = _top(name)
    if top is not None:
        return METRICS[_TOP_K]._replace(measure=partial(top_k_accuracy, k=top))
    if name == _TOP_K:
        raise ValueError("expected a number in the place of k, such as top_3_accuracy")
    return find(METRICS, name, "metric")


def is_larger_better(reported: str) -> bool:
    """Whether larger is better, for a loss or for a metric after `val_`.

    >>> is_larger_better("val_loss"), is_larger_better("val_top_3_accuracy")
    (False, True)
    """
    return not reported.endswith("_loss") and get(reported.removeprefix("val_")).larger


def _top(name: str) -> int | None:
    match = re.fullmatch(r"top_([1-9]\d{0,8})_accuracy", name)
    return int(match[1]) if match else None


def _name(given: Any) -> str:
    get(_checks.text(given))
    return given


def check(given: Any) -> tuple[str, ...]:
    """Checks names of metrics: at least one, and each only once."""
    if not isinstance(given, list | tuple) or not given:
        raise TypeError(f"expected a list of names of metrics ({', '.join(METRICS)}), got {given!r}")
    mistakes = Mistakes()
    for index, name in enumerate(given):
        with mistakes.at(index):
            _name(name)
            if name in given[:index]:
                raise ValueError(f"expected each metric once, got {name!r} again")
    mistakes.raise_any()
    return tuple(given)


Names = Annotated[tuple[str, ...] | None, _checks.optional(check)]


def choose(given: Names, *, classes: int | None) -> tuple[str, ...]:
    """Chooses the metrics: those given or, for None, the accuracy or R2.

    Args:
      given: names or None.
      classes: the number of classes, or None for a regression.

    Raises:
      TableError: if a metric does not fit the targets.
    """
    if given is None:
        return ("accuracy",) if classes else ("r2",)
    mistakes = Mistakes()
    for index, name in enumerate(given):
        if get(name).classifies != bool(classes):
            fitting = [known for known, metric in METRICS.items() if metric.classifies == bool(classes)]
            kind = "classes" if classes else "numbers"
            mistakes.add(f"expected a metric for targets that are {kind} ({', '.join(fitting)}), got {name!r}", index)
        elif classes and (_top(name) or 1) > classes:
            mistakes.add(f"expected at most the {classes} classes in the place of k, got {name!r}", index)
    mistakes.raise_any()
    return given


def _of_classes(name: str, outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Logits of all classes, and the class of each row.

    A single logit is that of the second of two classes; the first then has the logit 0.
    """
    z = widen(jnp.asarray(outputs))
    logits = z if z.shape[-1] > 1 else jnp.concatenate([jnp.zeros_like(z), z], axis=-1)
    return logits, pairs.classes(name, logits, targets)


def _known(logits: Array, classes: Array, value: Array) -> Array:
    """The value of a metric, or NaN if a logit is NaN or a class has no logit."""
    unknown = jnp.any(jnp.isnan(logits)) | jnp.any(classes >= logits.shape[-1])
    return jnp.where(unknown, jnp.nan, value)


def _confusion(logits: Array, classes: Array) -> Array:
    count = logits.shape[-1]
    return jnp.zeros((count, count), jnp.int32).at[classes, jnp.argmax(logits, axis=-1)].add(1)


def _averaged(name: str, outputs: Array, targets: Array, divisor: Callable[[Array, Array], Array]) -> Array:
    """The mean over classes of `true positives / divisor(predicted, actual)`, from counts of rows per class."""
    logits, classes = _of_classes(name, outputs, targets)
    matrix = _confusion(logits, classes).astype(jnp.float32)
    predicted, actual = matrix.sum(axis=0), matrix.sum(axis=1)
    of = divisor(predicted, actual)
    scores = jnp.diagonal(matrix) / jnp.where(of > 0, of, 1)
    return _known(logits, classes, jnp.sum(scores) / jnp.sum(predicted + actual > 0, dtype=scores.dtype))


def _log_probabilities(logits: Array) -> Array:
    """The logarithms of the softmax, exact to a rounding near 0 too.

    `log(1 + e)` is 0 in float32 for `e` below 6e-8, so rows of which the model is certain would have equal scores.
    `log1p(e)` tells them apart.
    """
    below = logits - jnp.max(logits, axis=-1, keepdims=True)
    first = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1], dtype=bool)
    return below - jnp.log1p(jnp.sum(jnp.where(first, 0, jnp.exp(below)), axis=-1, keepdims=True))


def _area(scores: Array, positive: Array) -> Array:
    """The mean over positive rows of the fraction of the other rows with a lower score; equal scores count half."""
    order = jnp.argsort(scores)
    ranked = scores[order]
    # others[k] is the number of other rows among the k rows with the lowest scores.
    others = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(~positive[order], dtype=jnp.int32)])
    lower, upto = (others[jnp.searchsorted(ranked, scores, side=side)] for side in ("left", "right"))
    lower, upto, count = (each.astype(scores.dtype) for each in (lower, upto, others[-1]))
    part = (lower + (upto - lower) / 2) / count
    return jnp.sum(jnp.where(positive, part, 0)) / jnp.sum(positive, dtype=part.dtype)
