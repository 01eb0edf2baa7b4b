"""Activations by name, and `Activation`, a name with arguments."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from densefn import _checks
from densefn._values import Value, find
from densefn.activations import functions

NAMES: dict[str, Callable[..., Array]] = {
    "celu": functions.celu,
    "elu": functions.elu,
    "exponential": functions.exponential,
    "gelu": functions.gelu,
    "glu": functions.glu,
    "hard_shrink": functions.hard_shrink,
    "hard_sigmoid": functions.hard_sigmoid,
    "hard_silu": functions.hard_silu,
    "hard_swish": functions.hard_swish,
    "hard_tanh": functions.hard_tanh,
    "leaky_relu": functions.leaky_relu,
    "linear": functions.linear,
    "log_sigmoid": functions.log_sigmoid,
    "log_softmax": functions.log_softmax,
    "mish": functions.mish,
    "relu": functions.relu,
    "relu6": functions.relu6,
    "selu": functions.selu,
    "sigmoid": functions.sigmoid,
    "silu": functions.silu,
    "soft_shrink": functions.soft_shrink,
    "softmax": functions.softmax,
    "softplus": functions.softplus,
    "softsign": functions.softsign,
    "sparse_plus": functions.sparse_plus,
    "sparse_sigmoid": functions.sparse_sigmoid,
    "sparsemax": functions.sparsemax,
    "squareplus": functions.squareplus,
    "swish": functions.swish,
    "tanh": functions.tanh,
    "tanh_shrink": functions.tanh_shrink,
    "threshold": functions.threshold,
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
    """An activation with arguments. It compares by value and can be written to a file.

    Args:
      name: Keras's name of the activation.
      **arguments: the arguments of the function of that name, without the array.

    Raises:
      ValueError, TypeError: if there is no such activation, or it does not accept these arguments.

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
        # In the function's order, so that the order in which arguments are given does not make two values differ.
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
    """Checks an activation field: accepts a name, an `Activation`, its table, or a function of one array."""
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

    Returns:
      A function of one array.

    Raises:
      ValueError: if there is no such name.

    >>> get("relu")(jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """
    if activation is None:
        return functions.linear
    return find(NAMES, activation, "activation") if isinstance(activation, str) else activation


def output_shape(activation: AnyActivation | None, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The output shape of an activation.

    Args:
      activation: a name or a function; None is linear.
      shape: the shape of its input. None entries stay None.

    Returns:
      The shape, with the same number of entries.

    Raises:
      ValueError: if the activation changes the number of axes.

    >>> output_shape("glu", (None, 6))
    (None, 3)
    """
    # 2 in the place of None: `glu` needs an even size, and an axis of size 1 would hide what broadcasts.
    trial = jax.ShapeDtypeStruct(tuple(2 if n is None else n for n in shape), jnp.float32)
    made = jax.eval_shape(get(activation), trial).shape
    if len(made) != len(shape):
        raise ValueError(f"expected an activation that keeps the number of axes, got {made} of {trial.shape}")
    return tuple(None if n is None else m for n, m in zip(shape, made, strict=True))


def name_of(activation: AnyActivation | None) -> str | None:
    """The name of an activation; "linear" for None, and None for a function."""
    if isinstance(activation, Activation):
        return activation.name
    return "linear" if activation is None else activation if isinstance(activation, str) else None
