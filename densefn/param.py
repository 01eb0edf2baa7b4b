"""Parameters are declared once, as a tree of `Param`; everything done to all of them is a map over that tree.

A layer's declaration has the structure of its parameters, with a `Param` in the place of each array. A parameter may be
stacked: the arrays of its repetitions lie along leading axes, and are initialized, penalized and projected one by one.
"""

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from densefn._fans import Fans, fans_of
from densefn.initializers import Initializer
from densefn.precision import add


@dataclass(frozen=True)
class Param:
    """One parameter as its layer declares it.

    Attributes:
      shape: the shape of one repetition. A size that depends on an unknown input shape is None.
      dtype: the dtype in which it is stored.
      initializer: draws one repetition.
      regularizer: a function from one repetition to its penalty, or None.
      constraint: a function from one repetition to its projection, or None.
      fans: the fans that the initializer gets; None computes them from the shape, as Keras does.
      stack: the sizes of the leading axes along which repetitions lie.
      axes: a name for each axis of one repetition: "in" and "units" for the kernel of `Dense`, the letters of the
        equation for that of `Einsum`.
      trainable: whether training changes it.
    """

    shape: tuple[int | None, ...]
    dtype: Any
    initializer: Initializer
    regularizer: Callable[[Array], Array] | None = None
    constraint: Callable[[Array], Array] | None = None
    fans: Fans | None = None
    stack: tuple[int, ...] = ()
    axes: tuple[str, ...] = ()
    trainable: bool = True

    @property
    def count(self) -> int:
        """The number of entries of the array with its repetitions."""
        return math.prod(n or 0 for n in self.full_shape)

    @property
    def full_shape(self) -> tuple[int | None, ...]:
        """The shape of the array with its repetitions."""
        return self.stack + self.shape

    @property
    def full_axes(self) -> tuple[str, ...]:
        """The name of each axis of the array with its repetitions."""
        return ("repeat",) * len(self.stack) + self.axes


def stacked(declared: Any, times: int) -> Any:
    """Declares `times` repetitions of all parameters, along a new leading axis."""
    return jax.tree.map(lambda p: replace(p, stack=(times, *p.stack)), declared)


def initialize(declared: Any, key: Array) -> Any:
    """Draws the first value of every parameter.

    A value depends only on the key, the parameter's path and the index of the repetition. Adding or removing other
    parameters does not change it.

    Raises:
      ValueError: with the parameter's path, if its initializer cannot draw it.
    """
    return jax.tree_util.tree_map_with_path(lambda path, p: first(name_of(path), p, key), declared)


def name_of(path: tuple[Any, ...]) -> str:
    """The path of a parameter as it is written: `"0/kernel"`."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def fold(key: Array, name: str) -> Array:
    """The key of one parameter: the model's, with a hash of the parameter's path folded in."""
    # `hash` of a string differs between processes. JAX folds 32 bits in: two of a thousand paths share them with a
    # probability of 1e-4, and would then have the same draws.
    digest = hashlib.sha256(name.encode()).digest()
    return jax.random.fold_in(key, np.uint32(int.from_bytes(digest[:4], "big")))


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Prepends the path of the parameter to the message of an error."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name or 'the parameter'}: {error}") from None


_ADDRESS_SPACE = 2**47
"""Bytes that a 64-bit process can address (47 bits). JAX's own error for a larger array names no parameter."""


def first(name: str, p: Param, key: Array) -> Array:
    """Draws the first value of one parameter.

    Args:
      name: its path in the model, such as `"0/kernel"`.
      p: its declaration.
      key: the model's.

    Raises:
      ValueError: with the path, if its initializer cannot draw it.
    """
    with _naming(name):
        if (size := p.count * jnp.dtype(p.dtype).itemsize) > _ADDRESS_SPACE:
            raise ValueError(f"expected a parameter that fits into memory, got {p.full_shape} of {size:.3g} bytes")
        return _draw(p, fold(key, name))


def _draw(p: Param, key: Array) -> Array:
    if not p.stack:
        shape = tuple(n or 0 for n in p.shape)
        return p.initializer.draw(key, shape, p.dtype, p.fans or fans_of(shape))
    # `fold_in` of the index and not `split`: the first repetitions do not depend on how many there are.
    repetition = replace(p, stack=p.stack[1:])
    return jax.vmap(lambda i: _draw(repetition, jax.random.fold_in(key, i)))(jnp.arange(p.stack[0]))


def penalty(declared: Any, params: Any) -> Array:
    """The sum of the penalties of all parameters, a scalar of float32 at least."""
    penalties = jax.tree_util.tree_map_with_path(_penalty, declared, plain(params))
    return functools.reduce(add, jax.tree.leaves(penalties), no_penalty())


@functools.partial(jax.jit, inline=True)
def no_penalty() -> Array:
    """A penalty of zero."""
    # `jnp.zeros` takes ten times as long without jit. Each call returns a new array, so a caller may donate it.
    return jnp.zeros((), jnp.float32)


def _penalty(path: tuple[Any, ...], p: Param, w: Any) -> Array | None:
    if p.regularizer is None:
        return None
    penalties = _each(p.regularizer, p, w)
    if jnp.shape(penalties) != w.shape[: w.ndim - len(p.shape)]:
        got = jnp.shape(penalties)
        raise ValueError(f"{name_of(path)}: expected the regularizer to return one number, got an array of shape {got}")
    return jnp.sum(penalties)


def plain(params: Any) -> Any:
    """The parameters with each mapping as a dict: `jax.tree.map` refuses trees of different mapping types."""
    return {key: plain(value) for key, value in params.items()} if isinstance(params, Mapping) else params


def project(declared: Any, params: Any) -> Any:
    """Applies the constraint of every parameter that has one.

    Raises:
      ValueError: with the parameter's path, if its constraint does not fit it.
    """
    return as_given(params, jax.tree_util.tree_map_with_path(_projected, declared, plain(params)))


def as_given(params: Any, made: Any) -> Any:
    """The new values in mappings of the types in `params`, if these are pytrees: the optimizer's state has them too."""
    structure = jax.tree.structure(params)
    if structure == jax.tree.structure(made):
        return made
    values = {name_of(path): w for path, w in jax.tree_util.tree_leaves_with_path(made)}
    names = [name_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    return jax.tree.unflatten(structure, [values[name] for name in names]) if set(names) == set(values) else made


def _projected(path: tuple[Any, ...], p: Param, w: Any) -> Any:
    if p.constraint is None:
        return w
    with _naming(name_of(path)):
        projected = _each(p.constraint, p, w)
        expected, got = ((jnp.shape(a), jnp.result_type(a)) for a in (w, projected))
        if got != expected:
            raise ValueError(f"expected the constraint to keep shape and dtype {expected}, got {got}")
        return projected


def _each(function: Callable[[Array], Array], p: Param, w: Array) -> Array:
    """Applies a function to each repetition of a parameter and to each member of an ensemble, along leading axes."""
    # A constraint or regularizer is defined for one kernel: the norms of a stack of kernels are not theirs.
    for _ in range(w.ndim - len(p.shape)):
        function = jax.vmap(function)
    return function(w)
