"""Errors that name the layer and its path in the model."""

from collections.abc import Iterator
from contextlib import contextmanager


class LayerError(Exception):
    """Base of the errors that a layer raises about its arguments.

    Attributes:
      layer: the layer.
      problem: what was expected, what was given, and the fix.
      path: the names that lead from the model to the layer.
    """

    def __init__(self, layer: object, problem: str, path: tuple[str, ...] = ()):
        Exception.__init__(self, layer, problem, path)
        self.layer, self.problem, self.path = layer, problem, path

    def __str__(self) -> str:
        place = f" at {'/'.join(self.path)!r}" if self.path else ""
        return f"{self.layer!r}{place}: {self.problem}"


class LayerValueError(LayerError, ValueError):
    """A layer was given a wrong shape or wrong parameters."""


class LayerTypeError(LayerError, TypeError):
    """A layer was given something of a wrong type."""


@contextmanager
def at(name: str) -> Iterator[None]:
    """Prepends a name to the path of an error that is raised inside the `with` block."""
    try:
        yield
    except LayerError as error:
        raise type(error)(error.layer, error.problem, (name, *error.path)) from error.__cause__
