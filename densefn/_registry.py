"""The classes of layers by name, and the conversion of tables, functions and names to layers."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

from densefn import _checks
from densefn.activations import AnyActivation
from densefn.dense import Dense
from densefn.einsum import Einsum
from densefn.function import Function
from densefn.layer import Layer

NAMES: dict[str, type[Layer]] = {cls.__name__: cls for cls in (Dense, Einsum, Function)}

L = TypeVar("L", bound=type[Layer])


def register(layer: L) -> L:
    """Makes a layer that you wrote available by its class name in tables, configs and saved models: a class decorator.

    Args:
      layer: the class.

    Returns:
      The class.

    Raises:
      ValueError: if another class has the name.

    >>> import jax.numpy as jnp
    >>> from densefn import Dense, Layer, Output, Sequential, from_dict, register, to_dict
    >>> @register
    ... class Scaled(Layer):
    ...     by: float = 2.0
    ...
    ...     def declare(self, input_shape=None):
    ...         return {}
    ...
    ...     def forward(self, params, x):
    ...         return Output(self.by * x, jnp.zeros(()))
    ...
    ...     def output_shape(self, input_shape):
    ...         return tuple(input_shape)
    >>> from_dict(to_dict(Sequential(Dense(3), Scaled(0.5))))
    Sequential(Dense(units=3), Scaled(by=0.5))
    """
    known = NAMES.get(layer.__name__, layer)
    if (known.__module__, known.__qualname__) != (layer.__module__, layer.__qualname__):
        raise ValueError(f"expected a name that no other layer has, got {layer.__name__!r}, which is {known!r}")
    NAMES[layer.__name__] = layer
    return layer


def as_layer(given: Any) -> Layer:
    """Converts to a layer.

    Args:
      given: a layer; a function of one array; the name of an activation; or a table as `to_dict` returns it, in which
        `layer` is the name of the class ("Dense" if it is missing).

    Raises:
      ValueError, TypeError: if it is none of these, or for a table with mistakes, all of which are listed.
    """
    if isinstance(given, Layer):
        return given
    if isinstance(given, Mapping):
        return _checks.described("layer", NAMES, {"layer": "Dense", **given}, "layer")
    if isinstance(given, str) or (callable(given) and not isinstance(given, type)):
        return Function(cast("AnyActivation", given))
    raise TypeError(f"expected a layer, or a function of one array, got {given!r}")


def as_layers(given: Any) -> tuple[Layer, ...]:
    """Converts each item of a list by `as_layer`. An error lists the mistakes of all items."""
    if isinstance(given, str | Mapping) or not isinstance(given, list | tuple):
        raise TypeError(f"expected a list of layers, got {given!r}")
    return _checks.several(as_layer)(given)


ALayer = Annotated[Layer, as_layer]
