"""Outputs of a model beside the targets of the same rows: shapes that fit each other, and classes that exist.

Numbers are `[rows, outputs]` on both sides. Where a row has one, `[rows]` and `[rows, 1]` are the same.

Classes are whole numbers `[rows]` or `[rows, 1]`, or distributions over the classes `[rows, classes]`, such as one-hot
ones. A class that is not among the outputs is refused where its value is known. Under `jit` no value is known, so the
result is NaN there.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from densefn._jax import Tracer
from densefn.precision import representable, widen


def numbers(name: str, outputs: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Outputs and targets of one shape, in float32 at least.

    Args:
      name: of the loss or metric, for messages.
      outputs: `[rows, outputs]`, or `[rows]`.
      targets: of the same shape; `[rows]` beside `[rows, 1]` will do on either side.

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
    """The class of each row; of a distribution the likeliest.

    Args:
      name: of the loss or metric, for messages.
      logits: `[rows, classes]`.
      targets: classes `[rows]` or `[rows, 1]`, or distributions `[rows, classes]`.

    Returns:
      `[rows]`, of integers. Under `jit`, a class that does not exist is the number of the classes.

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
    whole = target.astype(jnp.int8) if target.dtype == bool else target
    exists = _known(name, (whole >= 0) & (whole < count) & (whole == whole // 1), target, f"0 to {count - 1}")
    return jnp.where(exists, whole, count).astype(jnp.int32)


def distributions(name: str, logits: Array, targets: ArrayLike) -> Array:
    """The distribution over the classes of each row, one-hot for a class: arguments and errors of `classes`.

    Returns:
      `[rows, classes]`. Under `jit`, that of a class that does not exist is NaN.
    """
    target = _array(targets)
    if target.shape == logits.shape:
        return jnp.asarray(target, logits.dtype)
    chosen, count = classes(name, logits, target)[..., None], logits.shape[-1]
    return jnp.where(chosen < count, jax.nn.one_hot(chosen[..., 0], count, dtype=logits.dtype), jnp.nan)


def second_class(name: str, logits: Array, targets: ArrayLike) -> Array:
    """The probability of the second of two classes of each row.

    Args:
      name: of the loss, for messages.
      logits: `[rows]`, of the second class.
      targets: classes or probabilities of the second, `[rows]` or `[rows, 1]`, or distributions `[rows, 2]`.

    Returns:
      `[rows]`. Under `jit`, one that is not between 0 and 1 is NaN.

    Raises:
      ValueError: if the shapes do not fit, or a probability is not one.
    """
    target = _array(targets)
    if target.shape in ((*logits.shape, 1), (*logits.shape, 2)):
        target = target[..., -1]
    if target.shape != logits.shape:
        expected = "expected classes 0 and 1 [rows], or distributions [rows, 2]"
        raise ValueError(f"{name}: {expected}, got outputs {(*logits.shape, 1)} and targets {target.shape}")
    p = target.astype(logits.dtype)
    return jnp.where(_known(name, (p >= 0) & (p <= 1), target, "0 to 1"), p, jnp.nan)


def _known(name: str, exists: Array | np.ndarray, target: Array | np.ndarray, expected: str) -> Array | np.ndarray:
    """Whether each target exists; raises where that is known, and one does not."""
    if not isinstance(exists, Tracer) and not np.all(exists):
        wrong = np.asarray(target)[~np.asarray(exists)][0]
        raise ValueError(f"{name}: expected classes from {expected}, got {wrong}")
    return exists


def _array(given: ArrayLike) -> Array | np.ndarray:
    """An array, NumPy's with its own integers: JAX's would take wide ones modulo 2^32."""
    return given if isinstance(given, jax.Array) else representable(np.asarray(given))
