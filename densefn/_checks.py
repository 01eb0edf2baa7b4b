"""Checks of fields: each takes what was given and returns what is stored, or says what was expected."""

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
"""Of a count, where nothing else is said: JAX counts, and numbers entries, in int32."""


def whole(*, minimum: int, maximum: int | None = None) -> Callable[[Any], int]:
    """A whole number within bounds, NumPy's included; a bool is not one. Without a maximum it is at most `MOST`."""
    lower = f"a whole number of at least {minimum}"
    bounded = f"{lower} and at most {MOST if maximum is None else maximum}"
    expected = lower if maximum is None else bounded

    def check(given: Any) -> int:
        try:
            stored = operator.index(given)
        except TypeError:
            stored = None
        if isinstance(given, bool) or stored is None:
            raise TypeError(f"expected {expected}, got {given!r}")
        if stored < minimum:
            raise ValueError(f"expected {expected}, got {given!r}")
        if stored > (MOST if maximum is None else maximum):
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
    """A finite number within bounds; scalars of NumPy and JAX are numbers, a bool is not one."""
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
    """What `check` accepts, and accepts still when it is rounded to float32, in which it is computed with."""

    def check_rounded(given: Any) -> float:
        stored = check(given)
        with np.errstate(over="ignore", under="ignore"):
            rounded = float(np.float32(stored))
        if stored and not 2.0**-126 <= abs(rounded) < math.inf:  # XLA takes the subnormal ones for 0
            raise ValueError(f"expected a number of float32, 0 or of a size from 1.2e-38 to 3.4e+38, got {given!r}")
        try:
            check(rounded)
        except ValueError as error:
            raise ValueError(f"{error}, to which float32 rounds {given!r}") from None
        return stored

    return check_rounded


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
    """One of the classes in `names`, as its name, a value of it, the class, or a table of its fields; or a function.

    Args:
      kind: what the names are names of, for messages.
      names: the classes by name.
      base: the class that they share; its `tag` is the key that holds the name in a table, such as
        `{name = "L2", l2 = 1e-4}`. Keras's form of it, `{class_name = "L2", config = {l2 = 1e-4}}`, does as well.
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
    """Raises `TypeError` for a class, and for a value of another kind: says where that belongs."""
    if isinstance(given, type):
        raise TypeError(f"expected {kind}: a name, a value or a function; got the class {given.__name__}")
    if isinstance(given, Value) and given.kind not in (None, kind):
        raise TypeError(f"expected {kind}, got the {given.kind} {given!r}, which belongs in {_PLACES[given.kind]}")


def _plain(table: Mapping[str, Any], tag: str) -> Mapping[str, Any]:
    """Turns the table that Keras's `serialize` makes of an object into one of ours; leaves ours as it is."""
    if "class_name" not in table:
        return table
    keras_s_own(table)
    unknown = set(table) - {"class_name", "config", "module", "registered_name", "shared_object_id"}
    config = table.get("config") or {}
    if unknown or not isinstance(config, Mapping):
        raise TypeError(f'expected {{"class_name": ..., "config": {{...}}}} as Keras writes it, got {dict(table)!r}')
    # Keras gives the axes of a kernel to its initializer; None, as everywhere, means that there is nothing to say.
    return {tag: table["class_name"], **{key: value for key, value in config.items() if value is not None}}


def keras_s_own(table: Mapping[str, Any]) -> None:
    """Refuses the table that Keras's `serialize` makes of an object whose class is not Keras's.

    Raises:
      ValueError: for a class of a user's, even one that has the name of a class of Keras.
    """
    module, registered = table.get("module"), table.get("registered_name")
    if registered is not None or (module is not None and str(module).partition(".")[0] != "keras"):
        name = registered if module is None else f"{module}.{table.get('class_name')}"
        raise ValueError(f"expected a class of Keras's own, got {name}, whose code a config does not hold")


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


def described_value(kind: str, names: Mapping[str, type[V]], base: type[V]) -> Callable[[Any], V]:
    """A value of a class in `names`, or a table that describes one.

    Args:
      kind: what the names are names of, for messages.
      names: the classes by name.
      base: the class that they share; its `tag` is the key that holds the name in a table.
    """

    def check(given: Any) -> V:
        if isinstance(given, base):
            return given
        if isinstance(given, Mapping):
            return described(kind, names, given, str(base.tag))
        raise TypeError(f"expected a table of a {kind}, got {given!r}")

    return check


def resolve(kind: str, names: Mapping[str, type[Value]], stored: Any) -> Any:
    """The value or function that a field stands for: a name is its class with the defaults.

    Raises:
      ValueError: for a name that is not among them; lists the nearest.
    """
    return find(names, stored, kind).from_fields() if isinstance(stored, str) else stored


def both_cases(*classes: type[V]) -> dict[str, type[V]]:
    """Names classes as Keras does: `HeNormal` is also `he_normal`."""
    snake = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in classes}
    return snake | {cls.__name__: cls for cls in classes}
