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
      shape: of one array. An entry is None where it depends on an input shape that is not known.
      dtype: in which the parameter is stored.
      initializer: draws one array.
      regularizer: a function of the array that gives its penalty, or None.
      constraint: a projection of the array, or None.
      fans: of one array, for its initializer; None for those that Keras sees in the shape.
      stack: the sizes of the leading axes along which repetitions lie.
      axes: the name of each axis of one array: "in" and "units" for a kernel of `Dense`, the letters of an equation
        for one of `Einsum`.
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

    A value depends on the key, on the parameter's path and on the index of the repetition, and on nothing else: the
    other parameters may come and go.

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
    """Puts the path of the parameter before the message of an error."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name or 'the parameter'}: {error}") from None


_ADDRESS_SPACE = 2**47
"""The bytes that a process can address; JAX fails on larger shapes without a word on them."""


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
    # By the index and not by `split`, so that the first repetitions do not depend on how many there are.
    repetition = replace(p, stack=p.stack[1:])
    return jax.vmap(lambda i: _draw(repetition, jax.random.fold_in(key, i)))(jnp.arange(p.stack[0]))


def penalty(declared: Any, params: Any) -> Array:
    """The sum of the penalties of all parameters, a scalar of float32 at least."""
    penalties = jax.tree_util.tree_map_with_path(_penalty, declared, plain(params))
    return functools.reduce(add, jax.tree.leaves(penalties), jnp.zeros((), jnp.float32))


def _penalty(path: tuple[Any, ...], p: Param, w: Any) -> Array | None:
    if p.regularizer is None:
        return None
    penalties = _each(p.regularizer, p, w)
    if jnp.shape(penalties) != w.shape[: w.ndim - len(p.shape)]:
        got = jnp.shape(penalties)
        raise ValueError(f"{name_of(path)}: expected the regularizer to return one number, got an array of shape {got}")
    return jnp.sum(penalties)


def plain(params: Any) -> Any:
    """Parameters as plain dicts, whatever mappings they are: `jax.tree.map` takes no two kinds for alike."""
    return {key: plain(value) for key, value in params.items()} if isinstance(params, Mapping) else params


def project(declared: Any, params: Any) -> Any:
    """Applies the constraint of every parameter that has one.

    Raises:
      ValueError: with the parameter's path, if its constraint does not fit it.
    """
    return as_given(params, jax.tree_util.tree_map_with_path(_projected, declared, plain(params)))


def as_given(params: Any, made: Any) -> Any:
    """New values in the mappings of `params`, where JAX knows these: the state of an optimizer has the same ones."""
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
    """Applies a function to each repetition of a parameter, and to each member where an ensemble leads further axes."""
    # A constraint or regularizer sees one kernel: a norm over a stack of them would be another function.
    for _ in range(w.ndim - len(p.shape)):
        function = jax.vmap(function)
    return function(w)
