"""The protocol: a layer is a value; parameters are a plain pytree; the two meet in `forward`.

Who writes a layer defines three methods: `declare`, the parameters; `forward`, the map; `output_shape`, its shape. The
others follow from them.

Shapes of inputs are Keras's: the last entry is the number of features; each entry before it is a number, or None where
any number will do. How many entries come before it does not matter to a dense layer.
"""

import functools
import operator
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from densefn import param
from densefn._bound import compare_by_value
from densefn._errors import LayerTypeError, LayerValueError
from densefn._values import Value
from densefn.precision import representable

Params = Any
Shape = tuple[int | None, ...]
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
        declared = self.declare(self.shape(input_shape))
        return param.initialize(declared, self.key(key))

    def apply(self, params: Params, x: ArrayLike) -> Array:
        """The output, `[..., units]`: the value of `forward`.

        A layer whose penalty costs something computes it here without.
        """
        return self.forward(params, x).value

    def project(self, params: Params) -> Any:
        """The parameters after their constraints: to be called after each step of an optimizer."""
        return param.project(declared(self), params)

    def shape(self, given: InputShape) -> Shape:
        """Checks the shape of an input.

        Raises:
          ValueError, TypeError: unless it has at least one entry, the last a number and the others numbers or None.
        """
        shape = self.entries(given)
        if not shape or shape[-1] is None:
            raise LayerValueError(
                self, f"expected an input shape whose last entry is the number of features, got {tuple(given)}"
            )
        return shape

    def entries(self, given: InputShape) -> Shape:
        """Checks the entries of a shape one by one.

        Raises:
          ValueError, TypeError: unless each is None or a number of at least 0.
        """
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise LayerTypeError(self, f"expected an input shape such as (None, 784), got {given!r}")
        if any(isinstance(entry, Tracer) for entry in given):
            raise LayerTypeError(
                self, "expected an input shape of plain numbers, got traced ones; under jit pass it by static_argnums"
            )
        try:
            shape = tuple(None if entry is None else operator.index(entry) for entry in given)
        except TypeError:
            raise LayerTypeError(self, f"expected an input shape such as (None, 784), got {given!r}") from None
        if any(entry is not None and entry < 0 for entry in shape):
            raise LayerValueError(self, f"expected an input shape such as (None, 784), got {tuple(given)}")
        return shape

    def array(self, given: Any) -> Array:
        """Checks an input, and gives it as an array.

        Raises:
          TypeError: unless it is an array of real numbers, or lists of them.
        """
        if isinstance(given, list | tuple) and any(
            isinstance(part, jax.Array | np.ndarray) and part.ndim for part in given
        ):
            raise LayerTypeError(self, f"expected one array, got a {type(given).__name__} of arrays; stack them first")
        if not isinstance(given, jax.Array | np.ndarray):
            try:
                given = np.asarray(given)
            except ValueError:
                raise LayerTypeError(self, f"expected an array of numbers, got {type(given).__name__}") from None
        if not (jnp.issubdtype(given.dtype, jnp.number) or given.dtype == bool) or given.dtype.kind == "c":
            raise LayerTypeError(self, f"expected an array of real numbers, got dtype {given.dtype}")
        return jnp.asarray(representable(given) if isinstance(given, np.ndarray) else given)

    def keys(self, params: Params) -> None:
        """Checks that parameters have the keys that are declared.

        Raises:
          ValueError: if they have others.
        """
        expected = list(declared(self))
        if not isinstance(params, Mapping) or set(params) != set(expected):
            got = sorted(params) if isinstance(params, Mapping) else type(params).__name__
            raise LayerValueError(self, f"expected params with the keys {expected}, got {got}; make them by init")
        for name, value in params.items():
            if isinstance(value, Mapping):
                continue
            if isinstance(value, jax.ShapeDtypeStruct) or not hasattr(value, "shape"):
                raise LayerTypeError(self, f"expected an array for {name!r}, got {value!r}; make it by init")
            if jnp.issubdtype(getattr(value, "dtype", jnp.float32), jnp.complexfloating):
                raise LayerTypeError(self, f"expected real numbers for {name!r}, got dtype {value.dtype}")

    def leaves(self, params: Params, x: Array) -> None:
        """Checks that parameters have the shapes that are declared for an input.

        Raises:
          ValueError: if one has another.
        """
        for name, declared in self.declare(self.shape(x.shape)).items():
            if params[name].shape != declared.shape:
                raise LayerValueError(
                    self,
                    f"expected {name} {list(declared.shape)} for x of shape {x.shape}, got {list(params[name].shape)}",
                )

    def key(self, given: Array) -> Array:
        """Checks a random key, typed or raw.

        Raises:
          ValueError, TypeError: unless it is one single key.
        """
        typed = isinstance(given, jax.Array) and jnp.issubdtype(given.dtype, jax.dtypes.prng_key)
        if not typed and not (isinstance(given, jax.Array) and given.dtype == jnp.uint32):
            raise LayerTypeError(self, f"expected a random key such as jax.random.key(0), got {given!r}")
        if given.ndim != (0 if typed else 1):
            raise LayerValueError(
                self, f"expected one random key, got an array of them, {given.shape}; use jax.vmap over the keys"
            )
        return given
