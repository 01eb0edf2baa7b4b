"""Losses, which a config names; a training minimises the mean over the rows of a batch.

    [loss]
    name = "cross_entropy"
    label_smoothing = 0.1

A loss is a value that is called as `loss(outputs, targets)`. It computes in float32 at least, whatever the outputs are.
Classes are whole numbers `[rows]`, or distributions over the classes `[rows, classes]` such as one-hot vectors; the
outputs for them are logits. Other shapes, and classes without an output, raise an error (`outputs_and_targets.py`).
Under `jit`, where the classes are not known, the loss is NaN instead.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from densefn import _checks
from densefn._values import Problem, TableError, Value, find
from densefn.precision import widen
from densefn.training import outputs_and_targets as pairs

BALANCED = "balanced"


class Loss(Value):
    """Base of the losses."""

    tag = "name"
    classifies: ClassVar[bool]
    """Whether the targets are classes."""

    @abstractmethod
    def __call__(self, outputs: Array, targets: Array) -> Array:
        """The mean over the rows, a scalar of float32 at least."""

    def outputs(self, columns: int) -> int:
        """The number of outputs of a model.

        Args:
          columns: the number of classes, or the number of targets per row.
        """
        return columns

    def fitted(self, targets: Array, columns: int) -> "Loss":
        """The loss with the quantities that it fits to the training rows, such as balanced class weights.

        Args:
          targets: the targets of all training rows.
          columns: as for `outputs`.

        Raises:
          TableError: if the loss does not fit them.
        """
        return self


def _weights(given: Any) -> tuple[float, ...] | str:
    if given == BALANCED:
        return BALANCED
    if not isinstance(given, list | tuple) or not given:
        raise TypeError(f'expected "{BALANCED}" or a list with a number for each class, got {given!r}')
    weights = tuple(_checks.in_float32(_checks.number(minimum=0))(weight) for weight in given)
    if not any(weights):
        raise ValueError("expected a number above 0 among them, got none")
    return weights


ClassWeights = Annotated[tuple[float, ...] | str | None, _checks.optional(_weights)]
Smoothing = Annotated[float, _checks.in_float32(_checks.number(minimum=0, below=1))]


class CrossEntropy(Loss):
    """The cross entropy of the softmax of logits, in nats.

    `loss = mean(-weight[class] * sum(p * log_softmax(logits)))`, `p = (1 - label_smoothing) * onehot(class) +
    label_smoothing / classes`

    Args:
      label_smoothing: the fraction of each target that is spread over all classes.
      class_weights: the weight of each class; "balanced" is `rows / (classes * rows of the class)` on the training
        rows, as in scikit-learn. As in Keras, the weighted sum is divided by the number of rows, not by the sum of the
        weights. The mean over the batches is then the loss of the epoch.

    >>> print(CrossEntropy()(jnp.zeros((5, 2)), jnp.array([0, 1, 1, 0, 1])))  # log(2)
    0.6931472

    Source: `keras.losses.CategoricalCrossentropy` with `from_logits=True`.
    """

    label_smoothing: Smoothing = 0.0
    class_weights: ClassWeights = None
    classifies = True

    def __call__(self, outputs: Array, targets: Array) -> Array:
        logits = widen(outputs)
        distributions = partial(pairs.distributions, "CrossEntropy", logits, targets)
        if np.shape(targets) != logits.shape and not self.label_smoothing:  # needs no array of one-hot targets
            classes = pairs.classes("CrossEntropy", logits, targets)
            losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, classes)
        else:
            labels = optax.losses.smooth_labels(distributions(), self.label_smoothing)
            losses = -jnp.sum(_times(labels, jax.nn.log_softmax(logits)), axis=-1)
        return _weighted_mean(losses, self.class_weights, distributions)

    def fitted(self, targets: Array, columns: int) -> "CrossEntropy":
        return CrossEntropy(self.label_smoothing, _resolved(self.class_weights, targets, columns))


class BinaryCrossEntropy(Loss):
    """The cross entropy of the sigmoid of one logit per row, `[rows, 1]`, for two classes, in nats.

    `loss = mean(-weight[class] * (p * log(sigmoid(z)) + (1 - p) * log(sigmoid(-z))))`, `p = (1 - label_smoothing) *
    class + label_smoothing / 2`

    Args:
      label_smoothing: the fraction of each target that is spread over both classes.
      class_weights: the weights of classes 0 and 1, as for `CrossEntropy`.

    >>> print(BinaryCrossEntropy()(jnp.zeros((4, 1)), jnp.array([0, 1, 1, 0])))  # log(2)
    0.6931472

    Source: `keras.losses.BinaryCrossentropy` with `from_logits=True`.
    """

    label_smoothing: Smoothing = 0.0
    class_weights: ClassWeights = None
    classifies = True

    def __call__(self, outputs: Array, targets: Array) -> Array:
        if outputs.shape[-1] != 1:
            raise ValueError(f"BinaryCrossEntropy: expected one output per row, got outputs of shape {outputs.shape}")
        z = widen(outputs)[..., 0]
        second = pairs.second_class("BinaryCrossEntropy", z, targets)
        p = second * (1 - self.label_smoothing) + self.label_smoothing / 2
        # -log(sigmoid(z)) = softplus(-z), which stays finite where the sigmoid rounds to 0.
        losses = _times(p, jax.nn.softplus(-z)) + _times(1 - p, jax.nn.softplus(z))
        return _weighted_mean(losses, self.class_weights, lambda: jnp.stack([1 - second, second], -1))

    def outputs(self, columns: int) -> int:
        return 1

    def fitted(self, targets: Array, columns: int) -> "BinaryCrossEntropy":
        if columns != 2:
            raise TableError(
                [Problem((), f"expected data of two classes for BinaryCrossEntropy, got {columns} classes")]
            )
        return BinaryCrossEntropy(self.label_smoothing, _resolved(self.class_weights, targets, columns))


class SquaredError(Loss):
    """The mean of the squared differences of outputs and targets, both `[rows, outputs]`."""

    classifies = False

    def __call__(self, outputs: Array, targets: Array) -> Array:
        y, target = pairs.numbers("SquaredError", outputs, targets)
        return jnp.mean(jnp.square(y - target))


class AbsoluteError(Loss):
    """The mean of the absolute differences of outputs and targets, both `[rows, outputs]`."""

    classifies = False

    def __call__(self, outputs: Array, targets: Array) -> Array:
        y, target = pairs.numbers("AbsoluteError", outputs, targets)
        return jnp.mean(jnp.abs(y - target))


class Huber(Loss):
    """Half the squared difference near zero, and linear beyond: the gradient of an outlier is at most `delta`.

    `loss = mean(e**2 / 2 if |e| <= delta else delta * (|e| - delta / 2))`, `e = outputs - targets`

    Args:
      delta: the difference at which the loss becomes linear, in units of the standardised targets; from 2**-126 to
        2**127, the range of float32.

    >>> print(Huber(delta=1.0)(jnp.array([[0.5], [3.0]]), jnp.zeros((2, 1))))  # (0.125 + 2.5) / 2
    1.3125

    Source: Huber, "Robust Estimation of a Location Parameter", 1964; `keras.losses.Huber`.
    """

    delta: Annotated[float, _checks.number(minimum=2.0**-126, maximum=2.0**127)] = 1.0
    classifies = False

    def __call__(self, outputs: Array, targets: Array) -> Array:
        y, target = pairs.numbers("Huber", outputs, targets)
        return jnp.mean(optax.losses.huber_loss(y, target, delta=self.delta))


LOSSES = {
    **_checks.both_cases(CrossEntropy, BinaryCrossEntropy, SquaredError, AbsoluteError, Huber),
    "mse": SquaredError,
    "mae": AbsoluteError,
}


def check(given: Any) -> Loss:
    """Checks a loss: a `Loss`, the name of one, or a table of its fields.

    >>> check("huber"), check({"name": "Huber", "delta": 2})
    (Huber(), Huber(delta=2.0))
    """
    if isinstance(given, Loss):
        return given
    if isinstance(given, str):
        return find(LOSSES, given, "loss")()
    if not isinstance(given, Mapping):
        raise TypeError(f"expected the name of a loss ({', '.join(LOSSES)}) or a table with it, got {given!r}")
    return _checks.described("loss", LOSSES, given, "name")


AnyLoss = Annotated[Loss | None, _checks.optional(check)]


def choose(given: Loss | None, *, classifies: bool) -> Loss:
    """Chooses the loss: the one given or, for None, the usual one of the task.

    Args:
      given: a loss or None.
      classifies: whether the targets are classes.

    Raises:
      TableError: if the loss is for the other task.

    >>> choose(None, classifies=True), choose(None, classifies=False)
    (CrossEntropy(), SquaredError())
    """
    if given is None:
        return CrossEntropy() if classifies else SquaredError()
    if given.classifies != classifies:
        fitting = [name for name, cls in LOSSES.items() if cls.classifies == classifies and name.islower()]
        targets = "classes" if classifies else "numbers"
        message = f"expected a loss for targets that are {targets} ({', '.join(fitting)}), got {given!r}"
        raise TableError([Problem((), message)])
    return given


def _times(p: Array, log: Array) -> Array:
    """`p * log`, which is 0 for `p = 0` even where the logarithm is infinite."""
    return jnp.where(p == 0, jnp.zeros_like(log), p * log)


def _weighted_mean(losses: Array, weights: Any, distributions: Callable[[], Array]) -> Array:
    if weights is None:
        return jnp.mean(losses)
    if weights == BALANCED:
        raise ValueError(
            'class_weights: expected numbers, got "balanced"; `fitted` computes them from the training rows'
        )
    p = distributions()
    if len(weights) != p.shape[-1]:
        raise ValueError(f"class_weights: expected a number for each of the {p.shape[-1]} classes, got {len(weights)}")
    return jnp.mean(losses * (p @ jnp.array(weights, losses.dtype)))


def _resolved(weights: Any, targets: Array, classes: int) -> Any:
    """Class weights as numbers, one for each class."""
    if weights is None:
        return None
    if weights != BALANCED:
        if len(weights) != classes:
            message = f"expected a number for each of the {classes} classes, got {len(weights)}"
            raise TableError([Problem(("class_weights",), message)])
        return weights
    y = np.asarray(targets)
    counts = np.bincount(y, minlength=classes) if y.ndim == 1 else y.sum(axis=0, dtype=np.float64)
    if not counts.all():
        missing = ", ".join(map(str, np.flatnonzero(counts == 0)))
        message = f'expected training rows of every class for "{BALANCED}", found none of {missing}'
        raise TableError([Problem(("class_weights",), message)])
    return tuple((len(y) / (classes * counts)).tolist())
