"""Scales the loss, to keep float16 gradients from underflow.

Gradients smaller than 6e-8 are zero in float16. So the loss is multiplied by a scale before it is differentiated, and
the gradient is divided by the scale afterwards, in float32 at least:

    gradient = grad(scale * loss) / scale

A dynamic scale begins at 2**15. If a gradient is not finite, the step is skipped and the scale is halved. After 2000
finite gradients in a row, the scale is doubled. A scale that is a number never changes and skips no step, like
Keras's `loss_scale_factor`.

A scale is part of the training state, or None if the loss is not scaled. The functions that change it are pure.

Sources: `keras/src/optimizers/loss_scale_optimizer.py` of Keras 3.15; Micikevicius et al., "Mixed Precision Training",
2018.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from densefn import _checks
from densefn._values import fields
from densefn.layer import Layer
from densefn.precision import Policy, widen

DYNAMIC = "dynamic"
# Keras's `initial_scale` and `dynamic_growth_steps`.
_FIRST = 2.0**15
_GROWTH_STEPS = 2000
# Keras has no bounds. A scale of 0 or infinity makes every gradient NaN, and neither halving nor doubling changes it.
# These are the smallest normal number and the largest power of two in float32.
_LOWEST, _HIGHEST = 2.0**-126, 2.0**127


class Fixed(NamedTuple):
    """A scale that never changes, a float32 scalar."""

    scale: Array


class Dynamic(NamedTuple):
    """A scale that changes.

    Attributes:
      scale: the factor of the loss, a float32 scalar.
      streak: the number of finite gradients in a row since the scale last changed, an int32 scalar.
    """

    scale: Array
    streak: Array


LossScale = Fixed | Dynamic | None


def check(given: Any) -> float | str:
    """Checks a loss scale: "dynamic", or a number from 2**-126 to 2**127.

    >>> check("dynamic"), check(1024)
    ('dynamic', 1024.0)
    """
    if given == DYNAMIC:
        return DYNAMIC
    expected = f'expected "{DYNAMIC}" or a finite number above 0, got {given!r}; float32 takes 1.2e-38 to 1.7e38'
    try:
        return _checks.number(minimum=_LOWEST, maximum=_HIGHEST)(given)
    except TypeError:
        raise TypeError(expected) from None
    except ValueError:
        raise ValueError(expected) from None


AnyLossScale = Annotated[float | str | None, _checks.optional(check)]


def choose(given: AnyLossScale, model: Layer) -> AnyLossScale:
    """Chooses the loss scale: the given one or, for None, "dynamic" if the model computes in float16.

    Args:
      given: "dynamic", a number, or None.
      model: computes in float16 if any layer in it, at any depth, computes or returns float16.

    >>> from densefn import Dense, Repeat, Sequential
    >>> choose(None, Sequential(Dense(8), Repeat(Dense(8, dtype="mixed_float16"), times=2)))
    'dynamic'
    >>> choose(None, Dense(8, dtype="mixed_bfloat16"))
    >>> choose(1024.0, Dense(8))
    1024.0
    """
    if given is not None:
        return given
    narrow = any("float16" in (policy.compute_dtype, policy.output_dtype) for policy in _policies(model))
    return DYNAMIC if narrow else None


def _policies(layer: Layer) -> Iterator[Policy]:
    """The policies of a layer and of the layers in its fields, which a user-defined layer need not list in `inner`."""
    policy = getattr(layer, "policy", None)
    if isinstance(policy, Policy):
        yield policy
    for field in fields(type(layer)):
        stored = getattr(layer, field.name)
        for part in stored if isinstance(stored, tuple) else (stored,):
            if isinstance(part, Layer):
                yield from _policies(part)


def start(chosen: AnyLossScale) -> LossScale:
    """The scale before the first step; None if nothing was chosen.

    >>> start("dynamic")
    Dynamic(scale=Array(32768., dtype=float32), streak=Array(0, dtype=int32))
    """
    if chosen is None:
        return None
    if chosen == DYNAMIC:
        return Dynamic(jnp.array(_FIRST, jnp.float32), jnp.zeros((), jnp.int32))
    return Fixed(jnp.array(chosen, jnp.float32))


def value_and_grad(function: Callable[..., Array], loss_scale: LossScale) -> Callable[..., tuple[Array, Any]]:
    """Like `jax.value_and_grad`, but differentiates the scaled value and divides the gradient by the scale.

    The returned value is not scaled. The gradient has float32 at least: in float16 it would underflow again.

    Args:
      function: takes the parameters and more arguments, and returns a scalar.
      loss_scale: the scale; None returns `jax.value_and_grad(function)`.

    >>> narrow = lambda w: jnp.float32(1e-9) * w.astype(jnp.float16).astype(jnp.float32)
    >>> for scale in (None, start("dynamic")):
    ...     print(value_and_grad(narrow, scale)(jnp.float32(1.0))[1])
    0.0
    1.0004442e-09
    """
    if loss_scale is None:
        return jax.value_and_grad(function)

    def scaled(*args: Any) -> tuple[Array, Array]:
        value = function(*args)
        return value * loss_scale.scale, value

    def unscaled(*args: Any) -> tuple[Array, Any]:
        (_, value), gradient = jax.value_and_grad(scaled, has_aux=True)(*args)
        return value, jax.tree.map(lambda g: widen(g) / loss_scale.scale, gradient)

    return unscaled


def is_finite(tree: Any) -> Array:
    """Whether all the numbers in a tree of arrays are finite, a bool scalar.

    >>> is_finite({"kernel": jnp.ones(3), "bias": jnp.array([1.0, jnp.nan])})
    Array(False, dtype=bool)
    """
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)], bool))


def adjust(loss_scale: Dynamic, finite: Array) -> Dynamic:
    """The scale after a step.

    Args:
      loss_scale: the scale before the step.
      finite: whether the gradient of the step was finite, a bool scalar.

    >>> adjust(start("dynamic"), jnp.array(False))
    Dynamic(scale=Array(16384., dtype=float32), streak=Array(0, dtype=int32))
    >>> adjust(Dynamic(jnp.float32(8.0), jnp.int32(1999)), jnp.array(True))
    Dynamic(scale=Array(16., dtype=float32), streak=Array(0, dtype=int32))
    """
    scale, streak = loss_scale
    grows = streak == _GROWTH_STEPS - 1
    changed = jnp.where(finite, jnp.where(grows, 2 * scale, scale), scale / 2)
    return Dynamic(jnp.clip(changed, _LOWEST, _HIGHEST), jnp.where(finite & ~grows, streak + 1, 0))
