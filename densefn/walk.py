"""Iterates over every layer of a model with its place. Summaries, conversions and exports use it."""

from collections.abc import Iterator
from typing import NamedTuple

from densefn import _arguments
from densefn.layer import InputShape, Layer


class Place(NamedTuple):
    """A layer of a model with its position.

    Attributes:
      layer: the layer.
      path: the keys that lead to its parameters, such as `("1", "0")`. Combinators of one layer add no key.
      key: the last key, if the combinator around the layer added one; else empty.
      stack: the sizes of the leading axes of its parameters: the `times` of each `Repeat` around it.
      depth: the number of combinators around it.
      input_shape: the shape of its input; None if that of the model is not given.
    """

    layer: Layer
    path: tuple[str, ...] = ()
    key: str = ""
    stack: tuple[int, ...] = ()
    depth: int = 0
    input_shape: InputShape | None = None

    @property
    def name(self) -> str:
        """The path as it is written: `"1/0"`."""
        return "/".join(self.path)


def walk(layer: Layer, input_shape: InputShape | None = None) -> Iterator[Place]:
    """Yields the layers of a model in the order of computation, each combinator before the layers inside it.

    Args:
      layer: the model.
      input_shape: the shape of its input; with None, every `input_shape` is None.

    Returns:
      A `Place` for each layer.

    Raises:
      ValueError, TypeError: if the model does not accept inputs of this shape.

    >>> from densefn import Dense, Repeat, Residual, Sequential
    >>> model = Sequential(Dense(8), Repeat(Residual(Dense(8, "tanh")), times=3))
    >>> for place in walk(model, (None, 4)):
    ...     print(place.depth, repr(place.name), type(place.layer).__name__, place.stack, place.input_shape)
    0 '' Sequential () (None, 4)
    1 '0' Dense () (None, 4)
    1 '1' Repeat () (None, 8)
    2 '1' Residual (3,) (None, 8)
    3 '1' Dense (3,) (None, 8)
    """
    return _walk(Place(layer, input_shape=None if input_shape is None else _arguments.input_shape(layer, input_shape)))


def _walk(place: Place) -> Iterator[Place]:
    yield place
    for name, times, inner, shape in place.layer.inner(place.input_shape):
        path = place.path if name is None else (*place.path, name)
        stack = place.stack if times is None else (*place.stack, times)
        yield from _walk(Place(inner, path, name or "", stack, place.depth + 1, shape))
