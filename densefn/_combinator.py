"""Code that combinators share: the parameters of the layers inside them."""

from typing import Any

from densefn._errors import at
from densefn._registry import ALayer
from densefn.layer import Inner, InputShape, Layer, Shape


def declare_named(layer: Layer, input_shape: InputShape | None) -> dict[str, Any]:
    """The declarations of the layers inside a combinator, by name. A layer without parameters has no entry."""
    declared = {}
    for name, _, inner, shape in layer.inner(input_shape):
        with at(str(name)):
            declared[name] = inner.declare(shape)
    return {name: params for name, params in declared.items() if params}


class Around(Layer):
    """Base of the combinators of one layer, whose parameters are those of the body."""

    body: ALayer

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        return self.body.declare(input_shape)

    def inner(self, input_shape: InputShape | None = None) -> tuple[Inner, ...]:
        return (Inner(None, None, self.body, input_shape),)

    def output_shape(self, input_shape: InputShape) -> Shape:
        return self.body.output_shape(input_shape)
