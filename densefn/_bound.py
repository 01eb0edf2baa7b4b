"""Methods that compare by the value of their object.

`jax.jit` looks a function up in its cache by hash and equality. Python's methods compare by the identity of their
object, so `jax.jit(layer.apply)` would trace again for each equal layer. The cache holds functions weakly: it forgets a
method that nothing else refers to.
"""

import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, TypeVar

C = TypeVar("C", bound=type)


class Bound:
    """A method of a value. Methods of equal values are equal; in everything else it behaves as Python's method."""

    def __init__(self, function: Callable[..., Any], value: Any):
        self.__func__, self.__self__ = function, value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bound) or self.__func__ is not other.__func__:
            return False
        # The hash first: a field without a hash, such as an array, may not have an equality that is true or false.
        same = self.__self__ is other.__self__
        return same or (hash(self) == hash(other) and bool(self.__self__ == other.__self__))

    def __hash__(self) -> int:
        try:
            return hash((self.__func__, self.__self__))
        except TypeError:  # a user-defined layer may have a field without a hash
            return hash((self.__func__, id(self.__self__)))

    def __repr__(self) -> str:
        return f"<method {self.__func__.__qualname__} of {self.__self__!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.__func__.__name__)

    def __getattr__(self, name: str) -> Any:  # `__name__`, `__qualname__`, `__code__` and others of the function
        return getattr(self.__func__, name)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._plain)

    @property
    def __doc__(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return inspect.getdoc(self._plain)  # if the method has none, that of the method that it overrides

    @property
    def _plain(self) -> MethodType:
        return MethodType(self.__func__, self.__self__)


class _Method:
    """A descriptor that replaces a function in a class and binds it as a `Bound`."""

    def __init__(self, function: FunctionType):
        self.__wrapped__, self.__doc__, self.__module__ = function, function.__doc__, function.__module__
        self.__isabstractmethod__ = getattr(function, "__isabstractmethod__", False)

    def __get__(self, value: Any, _: type) -> Any:
        return self.__wrapped__ if value is None else Bound(self.__wrapped__, value)


def compare_by_value(cls: C) -> C:
    """A class decorator: the public methods of the class compare by the value of their instance."""
    for name, function in list(vars(cls).items()):
        if isinstance(function, FunctionType) and not name.startswith("_"):
            setattr(cls, name, _Method(function))
    return cls
