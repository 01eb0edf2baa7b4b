"""Checks that a model's outputs and the targets have shapes that fit, and that the classes exist.

Numbers are `[rows, outputs]`, for outputs and targets. With one output, `[rows]` and `[rows, 1]` mean the same.

Classes are whole numbers `[rows]` or `[rows, 1]`, or distributions over the classes `[rows, classes]`, such as one-hot
vectors. A class without an output raises an error. Under `jit` the class is not known, and the result is NaN instead.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from densefn._jax import Tracer
from densefn.precision import representable, widen


def numbers(name: str, outputs: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Returns outputs and targets in the same shape, in float32 at least.

    Args:
      name: the name of the loss or metric, for messages.
      outputs: `[rows, outputs]`, or `[rows]`.
      targets: of the same shape. One of the two may be `[rows]` and the other `[rows, 1]`.

    Raises:
      ValueError: if the shapes do not fit.

    >>> [x.shape for x in numbers("SquaredError", jnp.ones((4, 1)), jnp.ones(4))]
    [(4,), (4,)]
    """
    y, target = widen(jnp.asarray(_array(outputs))), jnp.asarray(_array(targets))
    wide = jnp.float64 if target.dtype == jnp.float64 else y.dtype
    y, target = y.astype(wide), target.astype(wide)
    if y.shape == (*target.shape, 1):
        return y[..., 0], target
    if target.shape == (*y.shape, 1):
        return y, target[..., 0]
    if y.shape != target.shape:
        expected = "expected targets of the shape of the outputs, or [rows] beside [rows, 1]"
        raise ValueError(f"{name}: {expected}, got outputs {y.shape} and targets {target.shape}")
    return y, target


def classes(name: str, logits: Array, targets: ArrayLike) -> Array:
    """Returns the class of each row; for a distribution, its most probable class.

    Args:
      name: the name of the loss or metric, for messages.
      logits: `[rows, classes]`.
      targets: classes `[rows]` or `[rows, 1]`, or distributions `[rows, classes]`.

    Returns:
      Integers `[rows]`. Under `jit`, a class that does not exist becomes the number of classes.

    Raises:
      ValueError: if the shapes do not fit, or a class does not exist.

    >>> classes("accuracy", jnp.zeros((2, 3)), jnp.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])).tolist()
    [2, 0]
    """
    target = _array(targets)
    if target.shape == logits.shape:
        return jnp.argmax(jnp.asarray(target), axis=-1)
    if target.shape == (*logits.shape[:-1], 1):
        target = target[..., 0]
    if target.shape != logits.shape[:-1]:
        expected = "expected classes [rows] or distributions over them [rows, classes]"
        raise ValueError(f"{name}: {expected}, got outputs {logits.shape} and targets {target.shape}")
    count = logits.shape[-1]
    number = target.astype(jnp.int8) if target.dtype == bool else target
    exists = _checked(name, (number >= 0) & (number < count) & (number == number // 1), target, f"0 to {count - 1}")
    return jnp.where(exists, number, count).astype(jnp.int32)


def distributions(name: str, logits: Array, targets: ArrayLike) -> Array:
    """Returns the distribution over the classes of each row, one-hot for a class; arguments as for `classes`.

    Returns:
      `[rows, classes]`. Under `jit`, the row of a class that does not exist becomes NaN.
    """
    target = _array(targets)
    if target.shape == logits.shape:
        return jnp.asarray(target, logits.dtype)
    chosen, count = classes(name, logits, target)[..., None], logits.shape[-1]
    return jnp.where(chosen < count, jax.nn.one_hot(chosen[..., 0], count, dtype=logits.dtype), jnp.nan)


def second_class(name: str, logits: Array, targets: ArrayLike) -> Array:
    """Returns each row's probability of the second of two classes.

    Args:
      name: the name of the loss, for messages.
      logits: those of the second class, `[rows]`.
      targets: classes or probabilities of the second, `[rows]` or `[rows, 1]`, or distributions `[rows, 2]`.

    Returns:
      `[rows]`. Under `jit`, a probability outside 0 to 1 becomes NaN.

    Raises:
      ValueError: if the shapes do not fit, or a probability is outside 0 to 1.
    """
    target = _array(targets)
    if target.shape in ((*logits.shape, 1), (*logits.shape, 2)):
        target = target[..., -1]
    if target.shape != logits.shape:
        expected = "expected classes 0 and 1 [rows], or distributions [rows, 2]"
        raise ValueError(f"{name}: {expected}, got outputs {(*logits.shape, 1)} and targets {target.shape}")
    p = target.astype(logits.dtype)
    return jnp.where(_checked(name, (p >= 0) & (p <= 1), target, "0 to 1"), p, jnp.nan)


def _checked(name: str, exists: Array | np.ndarray, target: Array | np.ndarray, expected: str) -> Array | np.ndarray:
    """Returns which targets exist; outside `jit`, raises an error if one does not."""
    if not isinstance(exists, Tracer) and not np.all(exists):
        wrong = np.asarray(target)[~np.asarray(exists)][0]
        raise ValueError(f"{name}: expected classes from {expected}, got {wrong}")
    return exists


def _array(given: ArrayLike) -> Array | np.ndarray:
    """An array. NumPy's integers keep 64 bits here: as an array of JAX they would be taken modulo 2^32."""
    return given if isinstance(given, jax.Array) else representable(np.asarray(given))
