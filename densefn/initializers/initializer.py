"""The protocol of initializers: `draw` makes an array from a key, a shape, a dtype and the fans of a kernel."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
from jax import Array

from densefn._fans import Fans, fans_of
from densefn._values import Value, shown

Shape = tuple[int, ...]


class Initializer(Value):
    """Draws the first value of a parameter."""

    tag: ClassVar[str | None] = "name"
    kind: ClassVar[str | None] = "initializer"

    @abstractmethod
    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        """Draws an array of this shape and dtype from the key, for these fans."""

    def formula(self, fans: Fans) -> str:
        """The distribution for these fans as a formula, for explanations."""
        del fans
        return f"drawn by {self!r}"

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        """Draws an array of this shape and dtype from the key, with fans computed from the shape as in Keras."""
        return self.draw(key, shape, dtype, fans_of(shape))


class FromFunction(Initializer):
    """A function of key, shape and dtype, such as those of `jax.nn.initializers`."""

    function: Annotated[Callable[..., Any], lambda given: given]

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        drawn = jnp.asarray(self.function(key, shape, dtype))
        if drawn.shape != shape:
            name = shown(self.function)
            raise ValueError(f"expected the initializer {name} to return an array {shape}, got {drawn.shape}")
        return drawn.astype(dtype)

    def formula(self, fans: Fans) -> str:
        return f"drawn by the function {shown(self.function)}"
