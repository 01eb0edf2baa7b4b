"""Checks of fields: each takes what was given and returns what is stored, or says what was expected."""

import math
import operator
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jax.core import Tracer

from densefn.values import Problem, TableError, Value, build, find

T = TypeVar("T")
V = TypeVar("V", bound=Value)


def whole(*, minimum: int) -> Callable[[Any], int]:
    """A whole number, NumPy's included; a bool is not one."""

    def check(given: Any) -> int:
        try:
            stored = operator.index(given)
        except TypeError:
            stored = None
        if isinstance(given, bool) or stored is None:
            raise TypeError(f"expected a whole number of at least {minimum}, got {given!r}")
        if stored < minimum:
            raise ValueError(f"expected a whole number of at least {minimum}, got {given!r}")
        return stored

    return check


def integer(given: Any) -> int:
    """A whole number of either sign."""
    return whole(minimum=-(2**31))(given)


def number(
    *, minimum: float = -math.inf, above: float = -math.inf, maximum: float = math.inf, below: float = math.inf
) -> Callable[[Any], float]:
    """A finite number within bounds; scalars of NumPy and JAX are numbers, a bool is not one."""
    bounds = {"of at least": minimum, "above": above, "of at most": maximum, "and below": below}
    finite = [f"{name} {bound:g}" for name, bound in bounds.items() if math.isfinite(bound)]
    expected = " ".join(["a finite number", *finite])

    def check(given: Any) -> float:
        if isinstance(given, bool | Tracer) or not isinstance(given, typing.SupportsFloat) or getattr(given, "ndim", 0):
            raise TypeError(f"expected {expected}, got {given!r}")
        stored = float(given)
        if not (math.isfinite(stored) and minimum <= stored <= maximum and above < stored < below):
            raise ValueError(f"expected {expected}, got {given!r}")
        return stored

    return check


def flag(given: Any) -> bool:
    """True or False, and nothing that merely counts as one."""
    if not isinstance(given, bool):
        raise TypeError(f"expected true or false, got {given!r}")
    return given


def text(given: Any) -> str:
    """A string."""
    if not isinstance(given, str):
        raise TypeError(f"expected a string, got {given!r}")
    return given


def optional(check: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """None, or what `check` accepts."""
    return lambda given: None if given is None else check(given)


def section(cls: type[Value]) -> Callable[[Any], Value]:
    """A value of one class, or a table of its fields."""

    def check(given: Any) -> Value:
        if isinstance(given, cls):
            return given
        if isinstance(given, Mapping):
            return build(cls, given)
        raise TypeError(f"expected a table of {cls.__name__}'s fields, got {given!r}")

    return check


def named(kind: str, names: Mapping[str, Any], base: type[Value]) -> Callable[[Any], Any]:
    """One of the classes in `names`, as its name, a value of it, the class, or a table of its fields; or a function.

    Args:
      kind: what the names are names of, for messages.
      names: the classes by name.
      base: the class that they share; its `tag` is the key that holds the name in a table, such as
        `{name = "L2", l2 = 1e-4}`.
    """

    def check(given: Any) -> Any:
        if isinstance(given, str):
            find(names, given, kind)
            return given
        if isinstance(given, Mapping):
            return described(kind, names, given, str(base.tag))
        if isinstance(given, type) and issubclass(given, base):
            return given()
        if isinstance(given, base) or callable(given):
            return given
        raise TypeError(f"expected {kind}: a name ({', '.join(names)}), a value or a function; got {given!r}")

    return check


def described(kind: str, names: Mapping[str, type[V]], table: Mapping[str, Any], tag: str) -> V:
    """Builds the value that a table describes: its class is named by `table[tag]`, its fields are the rest."""
    rest = dict(table)
    if tag not in rest:
        raise TableError([Problem((), f"missing key {tag!r}, the name of the {kind}; there are: {', '.join(names)}")])
    try:
        cls = find(names, rest.pop(tag), kind)
    except ValueError as error:
        raise TableError([Problem((tag,), str(error))]) from None
    return build(cls, rest)


def resolve(names: Mapping[str, type[Value]], stored: Any) -> Any:
    """The value or function that a field stands for: a name is its class with the defaults."""
    return names[stored]() if isinstance(stored, str) else stored


def both_cases(*classes: type[V]) -> dict[str, type[V]]:
    """Names classes as Keras does: `HeNormal` is also `he_normal`."""
    snake = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in classes}
    return snake | {cls.__name__: cls for cls in classes}
