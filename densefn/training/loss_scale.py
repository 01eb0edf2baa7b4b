"""Loss scales: what keeps the gradients of float16 from underflow.

Gradients smaller than 6e-8 are zero in float16. So the loss is multiplied by a scale before it is differentiated, and
the gradient is divided by it afterwards, in float32 at least:

    gradient = grad(scale * loss) / scale

A dynamic scale begins at 2**15. Where a gradient is not finite, the step is skipped and the scale halved; after 2000
finite gradients in a row it is doubled. A scale that is a number stays, and skips nothing: Keras's `loss_scale_factor`.

A scale is part of the training state, None where there is none, and changes by pure functions.

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
_FIRST = 2.0**15
_GROWTH_STEPS = 2000
# Keras has no bounds. At 0 and at infinity all gradients are nan, and no factor leads back; these are the last powers
# of two before, in float32.
_LOWEST, _HIGHEST = 2.0**-126, 2.0**127


class Fixed(NamedTuple):
    """A scale that stays: by which the loss is multiplied, a float32 scalar."""

    scale: Array


class Dynamic(NamedTuple):
    """A scale that changes.

    Attributes:
      scale: by which the loss is multiplied, a float32 scalar.
      streak: how many gradients in a row were finite since the scale last changed, an int32 scalar.
    """

    scale: Array
    streak: Array


LossScale = Fixed | Dynamic | None


def check(given: Any) -> float | str:
    """The check of a field: "dynamic" or a number from 2**-126 to 2**127, which float32 holds.

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
    """What a training uses: what was given or, if that is None, "dynamic" for a model with float16 in it.

    Args:
      given: "dynamic", a number, or None.
      model: float16 is in it if any of its layers, however deep, computes or gives its output in float16.

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
    """The scale before the first step: of "dynamic", of a number, or None of None.

    >>> start("dynamic")
    Dynamic(scale=Array(32768., dtype=float32), streak=Array(0, dtype=int32))
    """
    if chosen is None:
        return None
    if chosen == DYNAMIC:
        return Dynamic(jnp.array(_FIRST, jnp.float32), jnp.zeros((), jnp.int32))
    return Fixed(jnp.array(chosen, jnp.float32))


def value_and_grad(function: Callable[..., Array], loss_scale: LossScale) -> Callable[..., tuple[Array, Any]]:
    """As `jax.value_and_grad`: the value as it is, the gradient taken of the scaled value and divided by the scale.

    Divided it is of float32 at least, whatever the parameters are: in float16 it would underflow again.

    Args:
      function: of parameters and more, with a scalar as its value.
      loss_scale: None is `jax.value_and_grad` itself.

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
      loss_scale: before it.
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
