"""The protocol: a layer is a value; parameters are a plain pytree; the two meet in `forward`.

Who writes a layer defines three methods: `declare`, the parameters; `forward`, the map; `output_shape`, its shape. The
others follow from them.

Shapes of inputs are Keras's: the last entry is the number of features; each entry before it is a number, or None where
any number will do. How many entries come before it does not matter to a dense layer.
"""

import functools
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from jax import Array
from jax.typing import ArrayLike

from densefn import _arguments, _notebook, param
from densefn._arguments import Shape
from densefn._bound import compare_by_value
from densefn._values import Value

Params = Any
InputShape = Sequence[int | None]


class Output(NamedTuple):
    """What `forward` returns.

    Attributes:
      value: the output, `[..., units]`.
      penalty: the sum of all regularizers, those of the activity included: a scalar to be added to the loss.
    """

    value: Array
    penalty: Array


def declared(layer: "Layer") -> dict[str, Any]:
    """`layer.declare()`, once for equal layers: every eager call asks for it. It is read, and never changed."""
    try:
        return _declared(layer)
    except TypeError:  # a user-defined layer may have a field without a hash
        return layer.declare()


@functools.lru_cache(maxsize=4096)
def _declared(layer: "Layer") -> dict[str, Any]:
    return layer.declare()


def is_shape(given: Any) -> bool:
    """Whether this is one shape, where there may be a tree of them: what a layer gives may have several arrays."""
    return isinstance(given, tuple) and all(n is None or isinstance(n, int) for n in given)


class Inner(NamedTuple):
    """A layer inside a combinator.

    Attributes:
      name: under which the combinator keeps its parameters; None where they are the combinator's own.
      times: how often it is repeated, along a new leading axis of its parameters; None where it is not.
      layer: the layer.
      input_shape: the shape of its input; None where the combinator's is not given.
    """

    name: str | None
    times: int | None
    layer: Any
    input_shape: InputShape | None


@compare_by_value
class Layer(Value):
    """A map of arrays with parameters that are kept elsewhere.

    Methods of equal layers are equal: `jax.jit(layer.apply)` does not trace again for an equal layer.
    """

    tag: ClassVar[str | None] = "layer"
    kind: ClassVar[str | None] = "layer"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        compare_by_value(cls)

    @abstractmethod
    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        """The layer's parameters, as a tree of `densefn.param.Param` with the structure of the parameters.

        Args:
          input_shape: the shape of the input; None leaves open the entries that depend on it.
        """

    @abstractmethod
    def forward(self, params: Params, x: ArrayLike) -> Output:
        """The output and the penalty.

        Args:
          params: as `init` returns them.
          x: `[..., in]`.

        Raises:
          ValueError, TypeError: if parameters and input do not fit the layer or each other.
        """

    @abstractmethod
    def output_shape(self, input_shape: InputShape) -> Shape:
        """The shape of the output for inputs of this shape. Nothing is computed."""

    @property
    def label(self) -> str:
        """How the layer is named in a summary that lists the layers in it."""
        return type(self).__name__

    def _repr_html_(self) -> str:
        """The layer as a table for a notebook; `densefn.explain` says more."""
        return _notebook.shown(self)

    def inner(self, input_shape: InputShape | None = None) -> tuple[Inner, ...]:
        """The layers in this one, in the order of computation; a combinator overrides it (`densefn.walk`)."""
        del input_shape
        return ()

    def init(self, key: Array, input_shape: InputShape) -> dict[str, Any]:
        """Draws the parameters.

        Args:
          key: a key from `jax.random.key`. Each value depends on it and on the parameter's path only.
          input_shape: the shape of the input, such as `(None, 784)`.

        Returns:
          A dict of arrays, nested as the layers are.

        Raises:
          ValueError, TypeError: if the key or the shape is not one.
        """
        shape = _arguments.input_shape(self, input_shape)
        declared = self.declare(shape)
        _arguments.sizes(self, declared, shape)
        return param.initialize(declared, _arguments.key(self, key))

    def apply(self, params: Params, x: ArrayLike) -> Array:
        """The output, `[..., units]`: the value of `forward`.

        A layer whose penalty costs something computes it here without.
        """
        return self.forward(params, x).value

    def project(self, params: Params) -> Any:
        """The parameters after their constraints: to be called after each step of an optimizer."""
        return param.project(declared(self), params)

    if not TYPE_CHECKING:  # a checker would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            if name not in _MOVED:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            new, check = _MOVED[name]
            warnings.warn(f"Layer.{name} is deprecated; use densefn._arguments.{new}", DeprecationWarning, stacklevel=2)
            return functools.partial(check, self)


# The checks of arguments, which were methods of every layer.
_MOVED: dict[str, tuple[str, Callable[..., Any]]] = {
    "shape": ("with_features", _arguments.with_features),
    "entries": ("input_shape", _arguments.input_shape),
    "array": ("array", _arguments.array),
    "key": ("key", _arguments.key),
    "keys": ("names", lambda layer, params: _arguments.names(layer, declared(layer), params)),
    "leaves": ("shapes", lambda layer, params, x: _arguments.shapes(layer, layer.declare(x.shape), params, x)),
}
