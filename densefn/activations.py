"""Activations by Keras's names: functions of one array, with Keras's arguments and defaults.

Most are one array entry at a time; `glu`, `softmax`, `log_softmax` and `sparsemax` work along an axis, and `glu` halves
it. `Activation` is one of them with arguments of one's own.

Source: `keras/src/activations/activations.py` of Keras 3.15, which several defaults come from: `gelu` is the exact one
(that of `jax.nn` is its tanh approximation), and `leaky_relu` has a slope of 0.2 (0.01 in `jax.nn` and PyTorch).
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from densefn import _checks
from densefn._values import Value, find
from densefn.precision import widen


def linear(x: Array) -> Array:
    """`x`, Keras's name for no activation."""
    return x


def relu(x: Array, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    """`max(x, 0)`.

    With arguments: `min(x, max_value)` above the threshold, `negative_slope (x - threshold)` below it.

    >>> relu(jnp.array([-1.0, 0.5, 9.0]), negative_slope=0.25, max_value=6.0)
    Array([-0.25,  0.5 ,  6.  ], dtype=float32)
    """
    if negative_slope and max_value is None and threshold == 0.0:
        return leaky_relu(x, negative_slope)
    above = jnp.where(x > threshold, x, jnp.zeros_like(x)) if threshold else jax.nn.relu(x)
    if max_value == 6.0 and threshold == 0.0:
        above = jax.nn.relu6(x)  # as in Keras: its slope at 6 is 0, that of `jnp.clip` at a bound is one half
    elif max_value is not None:
        above = jnp.clip(above, 0.0, max_value)
    return above - negative_slope * jax.nn.relu(threshold - x) if negative_slope else above


def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """`x` where `x >= 0`, `negative_slope x` elsewhere."""
    return jax.nn.leaky_relu(x, negative_slope)


def gelu(x: Array, approximate: bool = False) -> Array:
    """`x Phi(x)`, with the normal distribution's Phi, or its approximation by tanh."""
    return jax.nn.gelu(x, approximate)


def glu(x: Array, axis: int = -1) -> Array:
    """`a sigmoid(b)`, for the halves a and b of `x` along an axis of even size."""
    if x.shape[axis] % 2:
        raise ValueError(f"glu: expected an even size along axis {axis}, got an array of shape {x.shape}")
    return jax.nn.glu(x, axis)


def squareplus(x: Array, b: float = 4.0) -> Array:
    """`(x + sqrt(x^2 + b)) / 2`."""
    return jax.nn.squareplus(x, b)


def soft_shrink(x: Array, threshold: float = 0.5) -> Array:
    """`sign(x) max(|x| - threshold, 0)`."""
    nearer = jnp.where(x < -threshold, x + threshold, jnp.zeros_like(x))
    return jnp.where(x > threshold, x - threshold, nearer)


def hard_shrink(x: Array, threshold: float = 0.5) -> Array:
    """`x` where `|x| > threshold`, 0 elsewhere."""
    return jnp.where(jnp.abs(x) > threshold, x, jnp.zeros_like(x))


def tanh_shrink(x: Array) -> Array:
    """`x - tanh(x)`."""
    return x - jnp.tanh(x)


def threshold(x: Array, threshold: float, default_value: float) -> Array:
    """`x` where `x > threshold`, `default_value` elsewhere. Its arguments have no defaults: use `Activation`."""
    return jnp.where(x > threshold, x, jnp.full_like(x, default_value))


def sparsemax(x: Array, axis: int = -1) -> Array:
    """The point of the probability simplex that is nearest to `x`.

    `max(x - tau, 0)`, with the tau for which it sums to 1: `tau = (z_1 + ... + z_k - 1) / k` for the entries
    `z_1 >= z_2 >= ...` of `x` and the largest `k` with `1 + k z_k > z_1 + ... + z_k`. (Keras's has another tau on JAX
    for `k > 1`, with which the sum is not 1.)

    Reference: Martins and Astudillo, "From Softmax to Sparsemax", 2016.

    >>> sparsemax(jnp.array([0.5, 0.0, -3.0]))
    Array([0.75, 0.25, 0.  ], dtype=float32)
    """
    dtype, x = x.dtype, jnp.moveaxis(widen(x), axis, -1)
    x = x - jnp.max(x, axis=-1, keepdims=True)  # changes nothing, and sums of large entries would lose the 1
    z = -jnp.sort(-x, axis=-1)
    sums = jnp.cumsum(z, axis=-1)
    k = jnp.broadcast_to(jnp.arange(1, x.shape[-1] + 1, dtype=x.dtype), x.shape)
    supported = 1 + k * z > sums
    size = jnp.sum(supported, axis=-1, keepdims=True, dtype=x.dtype)
    tau = (jnp.sum(jnp.where(supported, z, jnp.zeros_like(z)), axis=-1, keepdims=True) - 1) / size
    return jnp.moveaxis(jax.nn.relu(x - tau), -1, axis).astype(dtype)


# Those that JAX has as Keras means them.
celu = jax.nn.celu
elu = jax.nn.elu
exponential = jnp.exp
hard_sigmoid = jax.nn.hard_sigmoid
hard_silu = jax.nn.hard_silu
hard_swish = jax.nn.hard_silu
hard_tanh = jax.nn.hard_tanh
log_sigmoid = jax.nn.log_sigmoid
log_softmax = jax.nn.log_softmax
mish = jax.nn.mish
relu6 = jax.nn.relu6
selu = jax.nn.selu
sigmoid = jax.nn.sigmoid
silu = jax.nn.silu
softmax = jax.nn.softmax
softplus = jax.nn.softplus
softsign = jax.nn.soft_sign
sparse_plus = jax.nn.sparse_plus
sparse_sigmoid = jax.nn.sparse_sigmoid
swish = jax.nn.silu
tanh = jnp.tanh

NAMES: dict[str, Callable[..., Array]] = {
    "celu": celu,
    "elu": elu,
    "exponential": exponential,
    "gelu": gelu,
    "glu": glu,
    "hard_shrink": hard_shrink,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_swish,
    "hard_tanh": hard_tanh,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "soft_shrink": soft_shrink,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "sparsemax": sparsemax,
    "squareplus": squareplus,
    "swish": swish,
    "tanh": tanh,
    "tanh_shrink": tanh_shrink,
    "threshold": threshold,
}

_ARGUMENTS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "celu": {"alpha": _checks.number()},
    "elu": {"alpha": _checks.number()},
    "gelu": {"approximate": _checks.flag},
    "glu": {"axis": _checks.integer},
    "hard_shrink": {"threshold": _checks.number()},
    "leaky_relu": {"negative_slope": _checks.number()},
    "log_softmax": {"axis": _checks.integer},
    "relu": {
        "negative_slope": _checks.number(minimum=0),
        "max_value": _checks.optional(_checks.number(minimum=0)),
        "threshold": _checks.number(minimum=0),
    },
    "soft_shrink": {"threshold": _checks.number()},
    "softmax": {"axis": _checks.integer},
    "sparsemax": {"axis": _checks.integer},
    "squareplus": {"b": _checks.number(minimum=0)},
    "threshold": {"threshold": _checks.number(), "default_value": _checks.number()},
}


class Activation(Value):
    """An activation with arguments of one's own; equal by value, and a table in a file.

    Args:
      name: Keras's name of the activation.
      **arguments: of the function with that name.

    Raises:
      ValueError, TypeError: if there is no such activation, or it does not take these arguments.

    >>> Activation("leaky_relu", negative_slope=0.5)(jnp.array([-2.0, 2.0]))
    Array([-1.,  2.], dtype=float32)
    >>> Activation("threshold", threshold=1.0, default_value=0.0)
    Activation('threshold', threshold=1.0, default_value=0.0)
    """

    tag: ClassVar[str | None] = "name"
    kind: ClassVar[str | None] = "activation"

    name: Annotated[str, _checks.text]
    arguments: Annotated[tuple[tuple[str, Any], ...], tuple]

    def __init__(self, name: str, **arguments: Any):
        object.__setattr__(self, "name", name)
        pairs = dict(arguments.pop("arguments", ()))  # as `dataclasses.replace` gives them
        object.__setattr__(self, "arguments", tuple((pairs | arguments).items()))
        self.__post_init__()

    @classmethod
    def from_fields(cls, **stored: Any) -> "Activation":
        return cls(stored["name"], **dict(stored["arguments"]))

    def check_together(self) -> None:
        find(NAMES, self.name, "activation")
        given = {name: self._checked(name, value) for name, value in self.arguments}
        if self.name == "threshold" and len(given) < 2:
            raise ValueError(
                "threshold needs both of its arguments, threshold and default_value, given by an Activation"
            )
        object.__setattr__(
            self, "arguments", tuple((name, given[name]) for name in _ARGUMENTS.get(self.name, {}) if name in given)
        )

    def _checked(self, argument: str, given: Any) -> Any:
        check = find(_ARGUMENTS.get(self.name, {}), argument, f"argument of {self.name}")
        try:
            return check(given)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.name}: {argument}: {error}") from None

    def __call__(self, x: Array) -> Array:
        return NAMES[self.name](x, **dict(self.arguments))

    def __repr__(self) -> str:
        return f"Activation({', '.join([repr(self.name), *(f'{name}={value!r}' for name, value in self.arguments)])})"

    def to_table(self) -> dict[str, Any]:
        return {"name": self.name} | {name: value for name, value in self.arguments if value is not None}


def check(given: Any) -> Any:
    """The check of an activation field: a name, an `Activation` or a table of one, or a function of one array."""
    if isinstance(given, str):
        return Activation(given).name
    if isinstance(given, Mapping):
        if "name" not in given:
            raise ValueError(f"expected a table with the name of an activation and its arguments, got {dict(given)!r}")
        return Activation(**given)
    _checks.refuse_other_kinds("activation", given)
    if callable(given):
        return given
    raise TypeError(f"expected an activation: a name ({', '.join(NAMES)}) or a function of one array, got {given!r}")


AnyActivation = Annotated[str | Activation | Callable[[Array], Array], check]


def get(activation: AnyActivation | None) -> Callable[[Array], Array]:
    """The function that an activation field stands for.

    Args:
      activation: a name or a function; None is linear.

    Raises:
      ValueError: if there is no such name.

    >>> get("relu")(jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """
    if activation is None:
        return linear
    return find(NAMES, activation, "activation") if isinstance(activation, str) else activation


def output_shape(activation: AnyActivation | None, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The shape of what an activation makes of an array; entries that are None stay so.

    >>> output_shape("glu", (None, 6))
    (None, 3)
    """
    trial = jax.ShapeDtypeStruct(tuple(2 if n is None else n for n in shape), jnp.float32)
    made = jax.eval_shape(get(activation), trial).shape
    if len(made) != len(shape):
        raise ValueError(f"expected an activation that keeps the number of axes, got {made} of {trial.shape}")
    return tuple(None if n is None else m for n, m in zip(shape, made, strict=True))


def name_of(activation: AnyActivation | None) -> str | None:
    """The name of an activation that has one; None is linear."""
    if isinstance(activation, Activation):
        return activation.name
    return "linear" if activation is None else activation if isinstance(activation, str) else None
