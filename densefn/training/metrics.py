"""Metrics by name: what is reported of the validation rows, beside the loss.

    [train]
    metrics = ["accuracy", "f1", "top_3_accuracy"]

A metric is a function of outputs and targets with a scalar as its value. Those of classes take logits
`[rows, classes]`, or `[rows, 1]` for the second of two classes, and classes `[rows]` or distributions over them
`[rows, classes]`; those of numbers take outputs and targets `[rows, outputs]`.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from densefn import checks
from densefn.precision import widen
from densefn.values import Problem, TableError, find


def accuracy(outputs: Array, targets: Array) -> Array:
    """The part of the rows whose largest logit is that of their class."""
    return jnp.mean(jnp.argmax(_logits(outputs), axis=-1) == _classes(targets))


def top_k_accuracy(outputs: Array, targets: Array, *, k: int) -> Array:
    """The part of the rows whose class has one of the `k` largest logits; of equal ones the first counts as larger.

    >>> top_k_accuracy(jnp.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), jnp.array([1, 2]), k=2)
    Array(0.5, dtype=float32)
    """
    _, largest = lax.top_k(_logits(outputs), k)
    return jnp.mean(jnp.any(largest == _classes(targets)[:, None], axis=-1))


def confusion_matrix(outputs: Array, targets: Array) -> Array:
    """How many rows of each class (the first axis) are taken for each class (the second), `[classes, classes]`.

    >>> confusion_matrix(jnp.array([[2.0, 1.0], [1.0, 2.0], [2.0, 1.0]]), jnp.array([0, 1, 1])).tolist()
    [[1, 0], [1, 1]]
    """
    logits = _logits(outputs)
    count = logits.shape[-1]
    return jnp.zeros((count, count), jnp.int32).at[_classes(targets), jnp.argmax(logits, axis=-1)].add(1)


def f1(outputs: Array, targets: Array) -> Array:
    """The F1 score of each class, `2 * tp / (2 * tp + fp + fn)`, averaged over those among targets or predictions."""
    matrix = confusion_matrix(outputs, targets).astype(jnp.float32)
    there = matrix.sum(axis=0) + matrix.sum(axis=1)  # 2 * tp + fp + fn
    scores = 2 * jnp.diagonal(matrix) / jnp.where(there > 0, there, 1)
    return jnp.sum(scores) / jnp.sum(there > 0)


def r2(outputs: Array, targets: Array) -> Array:
    """The coefficient of determination, averaged over outputs: 1 is exact, 0 as good as the mean of the targets.

    Where the targets of an output are all the same it is, as in scikit-learn, 1 if exact and else 0.

    >>> r2(jnp.array([[1.0, 3.0], [2.0, 3.0]]), jnp.array([[1.0, 4.0], [2.0, 4.0]]))
    Array(0.5, dtype=float32)
    """
    targets = widen(targets)
    residual = jnp.sum(jnp.square(widen(outputs) - targets), axis=0)
    total = jnp.sum(jnp.square(targets - jnp.mean(targets, axis=0, keepdims=True)), axis=0)
    constant = jnp.all(targets == targets[:1], axis=0)
    unexplained = jnp.where(constant, residual > 0, residual / jnp.where(constant, 1, total))
    return jnp.mean(1 - unexplained)


def mean_absolute_error(outputs: Array, targets: Array) -> Array:
    """The mean of the absolute differences of outputs and targets."""
    return jnp.mean(jnp.abs(widen(outputs) - targets))


class Metric(NamedTuple):
    """A metric as a config knows it.

    Attributes:
      measure: of outputs and targets; `top_k_accuracy` takes `k` as well.
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
    _TOP_K: Metric(top_k_accuracy, classifies=True, larger=True),
    "r2": Metric(r2, classifies=False, larger=True),
    "mean_absolute_error": Metric(mean_absolute_error, classifies=False, larger=False),
}


def get(name: str) -> Metric:
    """The metric of a name; `top_3_accuracy` is `top_k_accuracy` with `k = 3`.

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
    """The direction of what a run reports: of a loss, or of a metric after `val_`.

    >>> is_larger_better("val_loss"), is_larger_better("val_top_3_accuracy")
    (False, True)
    """
    return not reported.endswith("_loss") and get(reported.removeprefix("val_")).larger


def _top(name: str) -> int | None:
    match = re.fullmatch(r"top_([1-9]\d{0,8})_accuracy", name)
    return int(match[1]) if match else None


def _name(given: Any) -> str:
    get(checks.text(given))
    return given


def check(given: Any) -> tuple[str, ...]:
    """The check of a field: names of metrics, at least one, each once."""
    if not isinstance(given, list | tuple) or not given:
        raise TypeError(f"expected a list of names of metrics ({', '.join(METRICS)}), got {given!r}")
    problems = []
    for index, name in enumerate(given):
        try:
            _name(name)
        except (TypeError, ValueError) as error:
            problems.append(Problem((index,), str(error)))
        else:
            problems += [Problem((index,), f"expected each metric once, got {name!r} again")] * (name in given[:index])
    if problems:
        raise TableError(problems)
    return tuple(given)


Names = Annotated[tuple[str, ...] | None, checks.optional(check)]


def choose(given: Names, *, classes: int | None) -> tuple[str, ...]:
    """What is reported: what was given or, if that is None, the accuracy or R2.

    Args:
      given: names or None.
      classes: the number of classes, or None for a regression.

    Raises:
      TableError: if a metric does not go with the targets.
    """
    if given is None:
        return ("accuracy",) if classes else ("r2",)
    problems = []
    for index, name in enumerate(given):
        if get(name).classifies != bool(classes):
            fitting = [known for known, metric in METRICS.items() if metric.classifies == bool(classes)]
            kind = "classes" if classes else "numbers"
            message = f"expected a metric for targets that are {kind} ({', '.join(fitting)}), got {name!r}"
            problems.append(Problem((index,), message))
        elif classes and (_top(name) or 1) > classes:
            problems.append(
                Problem((index,), f"expected at most the {classes} classes in the place of k, got {name!r}")
            )
    if problems:
        raise TableError(problems)
    return given


def _logits(outputs: Array) -> Array:
    """Logits of all classes: a single one is that of the second of two, whose first has the logit 0."""
    return outputs if outputs.shape[-1] > 1 else jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=-1)


def _classes(targets: Array) -> Array:
    return targets if targets.ndim == 1 else jnp.argmax(targets, axis=-1)
