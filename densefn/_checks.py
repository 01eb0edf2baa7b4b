"""Checks of fields: each takes the given object and returns the stored one, or raises an error with the fix."""

import math
import operator
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from densefn._jax import Tracer
from densefn._values import Mistakes, Problem, TableError, Value, build, find

T = TypeVar("T")
V = TypeVar("V", bound=Value)


MOST = 2**31 - 1
"""The largest count, unless a field says otherwise: JAX counts and indexes in int32."""


def whole(*, minimum: int, maximum: int | None = None) -> Callable[[Any], int]:
    """A whole number within bounds, Python's or NumPy's but not a bool. The default maximum is `MOST`."""
    lower = f"a whole number of at least {minimum}"
    bounded = f"{lower} and at most {MOST if maximum is None else maximum}"
    expected = lower if maximum is None else bounded

    def check(given: Any) -> int:
        try:
            # `index` and not `int`, which would cut 2.5 to 2 and parse "2".
            stored = operator.index(given)
        except TypeError:
            stored = None
        if isinstance(given, bool) or stored is None:
            raise TypeError(f"expected {expected}, got {given!r}")
        if stored < minimum:
            raise ValueError(f"expected {expected}, got {given!r}")
        if stored > (MOST if maximum is None else maximum):
            # Python refuses to write integers of more than 4300 digits.
            got = f"{given!r}" if stored < 10**30 else "a number of more than 30 digits"
            raise ValueError(f"expected {bounded}, got {got}")
        return stored

    return check


def integer(given: Any) -> int:
    """A whole number of either sign."""
    return whole(minimum=-(2**31))(given)


def number(
    *, minimum: float = -math.inf, above: float = -math.inf, maximum: float = math.inf, below: float = math.inf
) -> Callable[[Any], float]:
    """A finite number within bounds: Python's, or a scalar of NumPy or JAX, but not a bool."""
    bounds = {"of at least": minimum, "above": above, "of at most": maximum, "and below": below}
    finite = [f"{name} {bound:g}" for name, bound in bounds.items() if math.isfinite(bound)]
    expected = " ".join(["a finite number", *finite])

    def check(given: Any) -> float:
        if isinstance(given, bool | Tracer) or not isinstance(given, typing.SupportsFloat) or getattr(given, "ndim", 0):
            raise TypeError(f"expected {expected}, got {given!r}")
        try:
            stored = float(given)
        except OverflowError:
            raise ValueError(f"expected {expected}, got a number beyond those of float64") from None
        if not (math.isfinite(stored) and minimum <= stored <= maximum and above < stored < below):
            raise ValueError(f"expected {expected}, got {given!r}")
        return stored

    return check


def in_float32(check: Callable[[Any], float]) -> Callable[[Any], float]:
    """A number that `check` accepts both as it is and rounded to float32, the dtype that computes with it."""

    def check_rounded(given: Any) -> float:
        stored = check(given)
        with np.errstate(over="ignore", under="ignore"):
            rounded = float(np.float32(stored))
        # Below 2^-126 the float32 numbers are subnormal, which XLA replaces by 0.
        if stored and not 2.0**-126 <= abs(rounded) < math.inf:
            raise ValueError(f"expected a number of float32, 0 or of a size from 1.2e-38 to 3.4e+38, got {given!r}")
        try:
            check(rounded)
        except ValueError as error:
            raise ValueError(f"{error}, to which float32 rounds {given!r}") from None
        return stored

    return check_rounded


def flag(given: Any) -> bool:
    """True or False, not 1 or 0."""
    if not isinstance(given, bool):
        raise TypeError(f"expected true or false, got {given!r}")
    return given


def text(given: Any) -> str:
    """A string."""
    if not isinstance(given, str):
        raise TypeError(f"expected a string, got {given!r}")
    return given


def choice(*names: str) -> Callable[[Any], str]:
    """One of a few words."""

    def check(given: Any) -> str:
        if given not in names:
            raise ValueError(f"expected one of {', '.join(names)}, got {given!r}")
        return given

    return check


def optional(check: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """None, or what `check` accepts."""
    return lambda given: None if given is None else check(given)


def several(check: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """A list of what `check` accepts."""

    def check_all(given: Any) -> tuple[T, ...]:
        if isinstance(given, str | Mapping) or not hasattr(given, "__iter__"):
            raise TypeError(f"expected a list, got {given!r}")
        mistakes, stored = Mistakes(), []
        for index, item in enumerate(given):
            with mistakes.at(index):
                stored.append(check(item))
        mistakes.raise_any()
        return tuple(stored)

    return check_all


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
    """One of several classes, given as a name, a value, the class itself, or a table of fields; or a function.

    Args:
      kind: what is named, such as "regularizer", for messages.
      names: the classes by name.
      base: their base class. Its `tag` is the key of the name in a table, such as `{name = "L2", l2 = 1e-4}`. Keras's
        table, `{class_name = "L2", config = {l2 = 1e-4}}`, is accepted too.
    """

    def check(given: Any) -> Any:
        if isinstance(given, str):
            find(names, given, kind)
            return given
        if isinstance(given, Mapping):
            return described(kind, names, _plain(given, str(base.tag)), str(base.tag))
        if isinstance(given, type) and issubclass(given, base):
            return given()
        refuse_other_kinds(kind, given)
        if isinstance(given, base) or callable(given):
            return given
        raise TypeError(f"expected {kind}: a name ({', '.join(names)}), a value or a function; got {given!r}")

    return check


_PLACES = {
    "initializer": "kernel_initializer or bias_initializer",
    "regularizer": "kernel_regularizer, bias_regularizer or activity_regularizer",
    "constraint": "kernel_constraint or bias_constraint",
    "activation": "activation",
    "precision policy": "dtype",
    "layer": "a Sequential",
}


def refuse_other_kinds(kind: str, given: Any) -> None:
    """Raises `TypeError` for a class, and for a value of another kind; the message names the field for that kind."""
    if isinstance(given, type):
        raise TypeError(f"expected {kind}: a name, a value or a function; got the class {given.__name__}")
    if isinstance(given, Value) and given.kind not in (None, kind):
        raise TypeError(f"expected {kind}, got the {given.kind} {given!r}, which belongs in {_PLACES[given.kind]}")


def _plain(table: Mapping[str, Any], tag: str) -> Mapping[str, Any]:
    """Converts a table of Keras's `serialize` to one of ours. Tables of ours are returned unchanged."""
    if "class_name" not in table:
        return table
    refuse_user_classes(table)
    unknown = set(table) - {"class_name", "config", "module", "registered_name", "shared_object_id"}
    config = table.get("config") or {}
    if unknown or not isinstance(config, Mapping):
        raise TypeError(f'expected {{"class_name": ..., "config": {{...}}}} as Keras writes it, got {dict(table)!r}')
    # Keras writes arguments that were not given as None, such as `input_axes` of an initializer.
    return {tag: table["class_name"], **{key: value for key, value in config.items() if value is not None}}


def refuse_user_classes(table: Mapping[str, Any]) -> None:
    """Refuses the table that Keras's `serialize` makes of an object whose class is not part of Keras.

    Raises:
      ValueError: for a user-defined class, even if it has the name of a class of Keras.
    """
    module, registered = table.get("module"), table.get("registered_name")
    if registered is not None or (module is not None and str(module).partition(".")[0] != "keras"):
        name = registered if module is None else f"{module}.{table.get('class_name')}"
        raise ValueError(f"expected a class of Keras's own, got {name}, whose code a config does not hold")


def described(kind: str, names: Mapping[str, type[V]], table: Mapping[str, Any], tag: str) -> V:
    """Builds the value that a table describes: `table[tag]` names its class, the other keys are its fields."""
    rest = dict(table)
    if tag not in rest:
        raise TableError([Problem((), f"missing key {tag!r}, the name of the {kind}; there are: {', '.join(names)}")])
    try:
        cls = find(names, rest.pop(tag), kind)
    except ValueError as error:
        raise TableError([Problem((tag,), str(error))]) from None
    return build(cls, rest)


def described_value(kind: str, names: Mapping[str, type[V]], base: type[V]) -> Callable[[Any], V]:
    """A value of one of several classes, or a table that describes one.

    Args:
      kind: what is named, for messages.
      names: the classes by name.
      base: their base class. Its `tag` is the key of the name in a table.
    """

    def check(given: Any) -> V:
        if isinstance(given, base):
            return given
        if isinstance(given, Mapping):
            return described(kind, names, given, str(base.tag))
        raise TypeError(f"expected a table of a {kind}, got {given!r}")

    return check


def resolve(kind: str, names: Mapping[str, type[Value]], stored: Any) -> Any:
    """The value or function that a field stands for. A name stands for its class with the defaults.

    Raises:
      ValueError: for an unknown name; suggests the nearest.
    """
    return find(names, stored, kind).from_fields() if isinstance(stored, str) else stored


def both_cases(*classes: type[V]) -> dict[str, type[V]]:
    """Names classes as Keras does: `HeNormal` is also `he_normal`."""
    snake = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in classes}
    return snake | {cls.__name__: cls for cls in classes}
