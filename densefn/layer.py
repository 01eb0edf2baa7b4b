"""The protocol: a layer is a value; parameters are a plain pytree; the two meet in `forward`.

To write a layer, implement three methods: `declare` gives the parameters, `forward` the output and the penalty, and
`output_shape` the shape of the output. The other methods follow from these.

Input shapes are written as in Keras: `(None, 784)`. The last entry is the number of features. Each entry before it is a
number, or None for any size. A dense layer accepts any number of leading entries.
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
from densefn._errors import LayerTypeError
from densefn._values import Value

Params = Any
InputShape = Sequence[int | None]


class Output(NamedTuple):
    """What `forward` returns.

    Attributes:
      value: the output, `[..., units]`.
      penalty: a scalar to add to the loss: the sum of all regularizers, those of the activity included.
    """

    value: Array
    penalty: Array


def declared(layer: "Layer") -> dict[str, Any]:
    """`layer.declare()`, cached for equal layers, as every eager call needs it. Callers must not change the dict."""
    try:
        return _declared(layer)
    except TypeError:  # a user-defined layer may have a field without a hash
        return layer.declare()


@functools.lru_cache(maxsize=4096)
def _declared(layer: "Layer") -> dict[str, Any]:
    return layer.declare()


def is_shape(given: Any) -> bool:
    """Whether this is a single shape. A layer with several outputs has a tree of shapes."""
    return isinstance(given, tuple) and all(n is None or isinstance(n, int) for n in given)


class Inner(NamedTuple):
    """A layer inside a combinator.

    Attributes:
      name: the key of its parameters in those of the combinator; None if the two have the same parameters.
      times: the number of repetitions, along a new leading axis of the parameters; None without repetition.
      layer: the layer.
      input_shape: the shape of its input; None if that of the combinator is not known.
    """

    name: str | None
    times: int | None
    layer: Any
    input_shape: InputShape | None


@compare_by_value
class Layer(Value):
    """A function of parameters and an input. The layer itself is a frozen value and holds no arrays.

    Methods of equal layers are equal: `jax.jit(layer.apply)` does not trace again for an equal layer while the method
    that was traced first is alive (in a loop, keep `apply = layer.apply`).
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
          input_shape: the shape of the input. Without it, sizes that depend on it are None.
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
        """The name of a combinator in a summary, which lists the layers inside it in further rows."""
        return type(self).__name__

    def _repr_html_(self) -> str:
        """The layer as a table for a notebook; `densefn.explain` says more."""
        return _notebook.shown(self)

    def inner(self, input_shape: InputShape | None = None) -> tuple[Inner, ...]:
        """The layers inside this one, in the order of computation. Combinators override it; `densefn.walk` calls it."""
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
          ValueError, TypeError: if `key` is not a random key, or `input_shape` not a shape that the layer accepts.
        """
        shape = _arguments.input_shape(self, input_shape)
        declared = self.declare(shape)
        _arguments.sizes(self, declared, shape)
        return param.initialize(declared, _arguments.key(self, key))

    def apply(self, params: Params, x: ArrayLike) -> Array:
        """The output, `[..., units]`: the value of `forward`.

        Layers override it to skip the penalty.
        """
        return as_output(self, self.forward(params, x)).value

    def project(self, params: Params) -> Any:
        """The parameters with their constraints applied. Call it after each step of an optimizer."""
        return param.project(declared(self), params)

    if not TYPE_CHECKING:  # with `__getattr__`, a type checker would accept any attribute

        def __getattr__(self, name: str) -> Any:
            if name not in _MOVED:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            new, check = _MOVED[name]
            warnings.warn(f"Layer.{name} is deprecated; use densefn._arguments.{new}", DeprecationWarning, stacklevel=2)
            return functools.partial(check, self)


# The checks of arguments that were methods of every layer: the former name, the name in `_arguments`, and the function.
_MOVED: dict[str, tuple[str, Callable[..., Any]]] = {
    "shape": ("with_features", _arguments.with_features),
    "entries": ("input_shape", _arguments.input_shape),
    "array": ("array", _arguments.array),
    "key": ("key", _arguments.key),
    "keys": ("names", lambda layer, params: _arguments.names(layer, declared(layer), params)),
    "leaves": ("shapes", lambda layer, params, x: _arguments.shapes(layer, layer.declare(x.shape), params, x)),
}


def as_output(layer: Layer, given: Any) -> Output:
    """Checks what `forward` of a layer returned. Unpacked, an array of two rows would pass for value and penalty."""
    if not isinstance(given, Output):
        raise LayerTypeError(layer, f"expected forward to return Output(value, penalty), got {type(given).__name__}")
    return given
