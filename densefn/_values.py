"""Values: frozen dataclasses that check what they are given.

Layers, initializers, regularizers, constraints, policies and the sections of a config file are all values. A value
stores what the user wrote. It compares, hashes, prints and pickles by that. It is static to JAX: it may be passed to a
jitted function, and an equal one does not trace again.

The annotation of a field has its check, a function from the given to the stored object (`_checks.py` has them)::

    class L2(Regularizer):
        l2: Annotated[float, number(minimum=0)] = 0.01

The constructor runs the checks and raises at the first mistake. `build` makes a value from a table of a file: it runs
the same checks and collects all mistakes, each with its path.
"""

import dataclasses
import difflib
import functools
import typing
from abc import ABC
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform

import jax

V = TypeVar("V", bound="Value")

_MOST_NAMES = 100
"""The most names that a message lists: a data set may have thousands of columns."""


class Problem(NamedTuple):
    """One mistake in a table: where it is, and what was expected."""

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return ": ".join([*filter(None, [dotted(self.path)]), self.message])


class TableError(ValueError):
    """All the mistakes found in a table, as `problems`."""

    def __init__(self, problems: Sequence[Problem]):
        ValueError.__init__(self, problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "; ".join(map(str, self.problems))


class Mistakes:
    """Collects mistakes with their paths, to report all of them at once.

    >>> mistakes = Mistakes()
    >>> for index, item in enumerate(["1", "a", "b"]):
    ...     with mistakes.at(index):
    ...         number = int(item)
    >>> [str(problem) for problem in mistakes.problems][0]
    "[1]: invalid literal for int() with base 10: 'a'"
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, message: str, *path: str | int) -> None:
        """Adds one mistake."""
        self.problems.append(Problem(path, message))

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Catches an error that is raised inside the `with` block, and adds it."""
        try:
            yield
        except TableError as error:
            self.problems += [Problem((*path, *inside), message) for inside, message in error.problems]
        except (TypeError, ValueError) as error:
            self.add(str(error), *path)

    def raise_any(self) -> None:
        """Raises all collected mistakes as one error.

        Raises:
          TableError: if there is at least one.
        """
        if self.problems:
            raise TableError(self.problems)


@dataclass_transform(frozen_default=True)
class Value(ABC):
    """Base of all values: each subclass becomes a frozen dataclass whose fields are checked on construction."""

    tag: ClassVar[str | None] = None
    """The key that names the class where a value is written as a table: `{layer = "Dense", units = 3}`."""

    kind: ClassVar[str | None] = None
    """What kind of value it is, such as "regularizer". A field for another kind refuses it."""

    def __init_subclass__(cls) -> None:
        # In place, without `slots`: a dataclass with slots is a new class, which would be initialised here once more.
        dataclasses.dataclass(frozen=True, repr=False)(cls)
        jax.tree_util.register_static(cls)

    def __post_init__(self) -> None:
        for name, check in checks(type(self)).items():
            try:
                stored = check(getattr(self, name))
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"{type(self).__name__}: {name}: {error}") from None
            object.__setattr__(self, name, stored)
        self.check_together()

    def check_together(self) -> None:
        """Checks fields against each other, after each has been checked by itself. Raises `ValueError`."""

    def __repr__(self) -> str:
        stored = {field.name: getattr(self, field.name) for field in fields(type(self))}
        defaults = {field.name: field.default for field in fields(type(self))}
        written = [f"{name}={shown(item)}" for name, item in stored.items() if item != defaults[name]]
        return f"{type(self).__name__}({', '.join(written)})"

    @classmethod
    def from_fields(cls, **stored: Any):
        """Makes the value from its fields by name. Classes whose constructor has other arguments override it."""
        return cls(**stored)

    def to_table(self) -> dict[str, Any]:
        """The inverse of `build`: a table of the fields that are not None, with values as tables and tuples as lists.

        Raises:
          TypeError: if a field holds a function, which has no name in a file.
        """
        stored = {field.name: getattr(self, field.name) for field in fields(type(self))}
        table = {} if self.tag is None else {self.tag: type(self).__name__}
        for name, item in stored.items():
            try:
                table |= {} if item is None else {name: _plain(item)}
            except TypeError as error:
                raise TypeError(f"{type(self).__name__}: {name}: {error}") from None
        return table


def _plain(item: Any) -> Any:
    if isinstance(item, Value):
        return item.to_table()
    if isinstance(item, tuple):
        return [_plain(part) for part in item]
    if callable(item):
        raise TypeError(f"expected a name or a value, which can be written down, got the function {shown(item)}")
    return item


def shown(item: Any) -> str:
    """The text of a field: the name of a function, else the `repr`."""
    return item.__name__ if callable(item) and isinstance(getattr(item, "__name__", None), str) else repr(item)


def fields(cls: type[Value]) -> tuple[dataclasses.Field, ...]:
    """The fields of a value's class, in the order of its constructor's arguments."""
    # Of inherited fields, keyword-only ones may come before positional ones in the dataclass's own order.
    return tuple(sorted(dataclasses.fields(typing.cast(Any, cls)), key=lambda field: field.kw_only is True))


@functools.cache
def checks(cls: type[Value]) -> dict[str, Callable[[Any], Any]]:
    """The check of every field, from its annotation `Annotated[type, check]`."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: getattr(hints[field.name], "__metadata__", (_unchecked,))[0] for field in fields(cls)}


def _unchecked(given: Any) -> Any:
    """The check of a field whose annotation has none."""
    return given


def build(cls: type[V], table: Mapping[str, Any]) -> V:
    """Makes a value from a table of its fields.

    Raises:
      TableError: lists all mistakes: unknown keys, missing keys, and fields that their checks refuse.
    """
    known = checks(cls)
    mistakes, stored = Mistakes(), {}
    for key, given in table.items():
        with mistakes.at(key):
            stored[key] = find(known, key, "key")(given)
    for field in fields(cls):
        if field.default is field.default_factory is dataclasses.MISSING and field.name not in table:
            mistakes.add(f"missing key {field.name!r}")
    mistakes.raise_any()
    try:
        return cls.from_fields(**stored)
    except ValueError as error:
        raise TableError([Problem((), str(error))]) from None


def find(table: Mapping[str, Any], name: str, kind: str) -> Any:
    """Looks up a name. The `ValueError` of an unknown one suggests the nearest names."""
    if isinstance(name, str) and name in table:
        return table[name]
    lowered = {known.lower(): known for known in table}
    near = [lowered[match] for match in difflib.get_close_matches(str(name).lower(), lowered, cutoff=0.5)]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    more = f", and {len(table) - _MOST_NAMES:,} more" if len(table) > _MOST_NAMES else ""
    raise ValueError(f"unknown {kind} {name!r}; there are: {', '.join(list(table)[:_MOST_NAMES])}{more}.{hint}")


def dotted(path: Iterable[str | int]) -> str:
    """The text of a path: `model.layers[1].units`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
