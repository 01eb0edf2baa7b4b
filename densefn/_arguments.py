"""Checks of the arguments of a layer's methods: shapes, keys, parameters and inputs.

The first argument of each check is the layer, which its error names. Each returns the checked argument.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from densefn._errors import LayerTypeError, LayerValueError
from densefn._jax import Tracer
from densefn.precision import representable

Shape = tuple[int | None, ...]


def input_shape(layer: object, given: Any) -> Shape:
    """The shape of an input, whose entries are None or numbers of at least 0.

    Raises:
      ValueError, TypeError: for anything else.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise LayerTypeError(layer, f"expected an input shape such as (None, 784), got {given!r}")
    # `operator.index` refuses a tracer too, but its message does not say how to pass a shape under jit.
    if any(isinstance(entry, Tracer) for entry in given):
        raise LayerTypeError(
            layer, "expected an input shape of plain numbers, got traced ones; under jit pass it by static_argnums"
        )
    try:
        shape = tuple(None if entry is None else operator.index(entry) for entry in given)
    except TypeError:
        raise LayerTypeError(layer, f"expected an input shape such as (None, 784), got {given!r}") from None
    if any(entry is not None and entry < 0 for entry in shape):
        raise LayerValueError(layer, f"expected an input shape such as (None, 784), got {tuple(given)}")
    return shape


def with_features(layer: object, given: Any) -> Shape:
    """The shape of an input whose last entry, the number of features, is known.

    Raises:
      ValueError, TypeError: for anything else.
    """
    shape = input_shape(layer, given)
    if not shape or shape[-1] is None:
        raise LayerValueError(
            layer, f"expected an input shape whose last entry is the number of features, got {tuple(given)}"
        )
    return shape


def key(layer: object, given: Any) -> Array:
    """One random key, typed or raw.

    Raises:
      ValueError, TypeError: for anything else, such as several keys.
    """
    typed = isinstance(given, jax.Array) and jnp.issubdtype(given.dtype, jax.dtypes.prng_key)
    if not typed and not (isinstance(given, jax.Array) and given.dtype == jnp.uint32):
        raise LayerTypeError(layer, f"expected a random key such as jax.random.key(0), got {given!r}")
    if given.ndim != (0 if typed else 1):
        raise LayerValueError(
            layer, f"expected one random key, got an array of keys, {given.shape}; use jax.vmap over the keys"
        )
    return given


def array(layer: object, given: Any) -> Array:
    """An input as an array: from an array of real numbers, a number, or nested lists of numbers.

    Raises:
      TypeError: for anything else.
    """
    # A list of arrays is usually a mistake, and slow to convert entry by entry. A list of scalar arrays is accepted.
    parts = given if isinstance(given, list | tuple) else ()
    if any(isinstance(part, jax.Array | np.ndarray) and part.ndim for part in parts):
        raise LayerTypeError(layer, f"expected one array, got a {type(given).__name__} of arrays; stack them first")
    # Converted by NumPy first: `jnp.asarray` would wrap integers beyond 32 bits before `representable` sees them.
    if not isinstance(given, jax.Array | np.ndarray):
        try:
            given = np.asarray(given)
        except ValueError:
            raise LayerTypeError(layer, f"expected an array of numbers, got {type(given).__name__}") from None
    if not (jnp.issubdtype(given.dtype, jnp.number) or given.dtype == bool) or given.dtype.kind == "c":
        raise LayerTypeError(layer, f"expected an array of real numbers, got dtype {given.dtype}")
    return jnp.asarray(representable(given) if isinstance(given, np.ndarray) else given)


def names(layer: object, expected: Iterable[str], params: Any) -> None:
    """Checks that parameters have these names, and that each is an array of real numbers or a mapping.

    Raises:
      ValueError, TypeError: if they do not.
    """
    expected = list(expected)
    if not isinstance(params, Mapping) or set(params) != set(expected):
        got = sorted(params) if isinstance(params, Mapping) else type(params).__name__
        raise LayerValueError(layer, f"expected params with the keys {expected}, got {got}; make them by init")
    for name, value in params.items():
        if isinstance(value, Mapping):
            continue
        if isinstance(value, jax.ShapeDtypeStruct) or not hasattr(value, "shape"):
            raise LayerTypeError(layer, f"expected an array for {name!r}, got {value!r}; make it by init")
        if jnp.issubdtype(getattr(value, "dtype", jnp.float32), jnp.complexfloating):
            raise LayerTypeError(layer, f"expected real numbers for {name!r}, got dtype {value.dtype}")


def shapes(layer: object, declared: Mapping[str, Any], params: Mapping[str, Any], x: Array) -> None:
    """Checks that parameters have the shapes that a layer declares for an input.

    Raises:
      ValueError: if a parameter has another shape.
    """
    for name, p in declared.items():
        if params[name].shape != p.shape:
            raise LayerValueError(
                layer, f"expected {name} {list(p.shape)} for x of shape {x.shape}, got {list(params[name].shape)}"
            )


def sizes(layer: object, declared: Any, given: Shape) -> None:
    """Checks that an input shape determines the sizes of all parameters.

    Raises:
      ValueError: if it leaves a size unknown.
    """
    for path, p in jax.tree_util.tree_leaves_with_path(declared):
        if None in p.shape:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise LayerValueError(
                layer, f"expected an input shape that tells all sizes of {name}, {list(p.shape)}, got {given}"
            )


def dims(shape: Shape) -> str:
    """Writes a shape, with N for any number: `"N, 100"`."""
    return ", ".join("N" if n is None else str(n) for n in shape)
