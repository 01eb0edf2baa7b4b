"""Combinators: layers made of layers, which nest in each other.

`Sequential` names its layers "0", "1", ... and keeps the parameters of each under its name. The other combinators add
no name: the parameters of `Residual(body)` are those of `body`, value for value.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, cast

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from densefn import _checks, activations, param
from densefn._errors import LayerTypeError, LayerValueError, at
from densefn._values import Problem, TableError, fields
from densefn.activations import AnyActivation
from densefn.dense import Dense
from densefn.einsum import Einsum
from densefn.layer import Inner, InputShape, Layer, Output, Params, Shape
from densefn.precision import add


def as_layer(given: Any) -> Layer:
    """Makes a layer of what stands for one.

    Args:
      given: a layer; a function of one array, or the name of an activation; or the table of a layer, as `to_dict`
        gives it, in which `layer` is the name of the class ("Dense" if left out).

    Raises:
      ValueError, TypeError: if it is none of these; with all the mistakes of a table at once.
    """
    if isinstance(given, Layer):
        return given
    if isinstance(given, Mapping):
        return _checks.described("layer", NAMES, {"layer": "Dense", **given}, "layer")
    if isinstance(given, str) or (callable(given) and not isinstance(given, type)):
        return Function(cast("AnyActivation", given))
    raise TypeError(f"expected a layer, or a function of one array, got {given!r}")


def as_layers(given: Any) -> tuple[Layer, ...]:
    """Makes layers of a list of what stands for them, as `as_layer` does; reports the mistakes in all at once."""
    if isinstance(given, str | Mapping) or not isinstance(given, list | tuple):
        raise TypeError(f"expected a list of layers, got {given!r}")
    layers, problems = [], []
    for index, item in enumerate(given):
        try:
            layers.append(as_layer(item))
        except TableError as error:
            problems += [Problem((index, *path), message) for path, message in error.problems]
        except (TypeError, ValueError) as error:
            problems.append(Problem((index,), str(error)))
    if problems:
        raise TableError(problems)
    return tuple(layers)


_ALayer = Annotated[Layer, as_layer]


class Function(Layer):
    """A function of one array as a layer without parameters; combinators make one of each function they are given.

    >>> Function("relu").apply({}, jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """

    function: AnyActivation

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        return {}

    def shape(self, given: InputShape) -> Shape:
        return self.entries(given)

    def forward(self, params: Params, x: ArrayLike) -> Output:
        value = activations.get(self.function)(self.array(x))
        if not isinstance(value, jax.Array):
            raise LayerTypeError(self, f"expected the function to return one array, got {type(value).__name__}")
        return Output(value, jnp.zeros((), jnp.float32))

    def output_shape(self, input_shape: InputShape) -> Shape:
        # An axis of unknown size keeps or changes the function's output; trial sizes tell which axes depend on it.
        shape = self.shape(input_shape)
        first, *others = (self._trial(shape, size) for size in (2, 3, 120))
        return tuple(n if all(n == m for m in rest) else None for n, *rest in zip(first, *others, strict=True))

    def _trial(self, shape: Shape, size: int) -> tuple[int, ...]:
        x = jax.ShapeDtypeStruct(tuple(size if n is None else n for n in shape), jnp.float32)
        return jax.eval_shape(lambda x: self.forward({}, x).value, x).shape


class Sequential(Layer):
    """Layers one after the other; only the first is told the shape of its input.

    Args:
      *given: layers and functions of one array, or one list of them. The parameters of the i-th are under `str(i)`;
        a layer without parameters has no entry.
      layers: the same list by name, as `dataclasses.replace` gives it.

    >>> model = Sequential(Dense(512, "relu"), Dense(10), "softmax")
    >>> params = model.init(jax.random.key(0), (None, 784))
    >>> jax.tree.map(jnp.shape, params)
    {'0': {'bias': (512,), 'kernel': (784, 512)}, '1': {'bias': (10,), 'kernel': (512, 10)}}
    >>> model.apply(params, jnp.ones((2, 784))).shape
    (2, 10)
    """

    layers: Annotated[tuple[Layer, ...], as_layers]

    def __init__(self, *given: Any, layers: Any = ()):
        listed = len(given) == 1 and isinstance(given[0], list | tuple)
        object.__setattr__(self, "layers", given[0] if listed else given or layers)
        self.__post_init__()

    @classmethod
    def from_fields(cls, **stored: Any) -> "Sequential":
        return cls(*stored["layers"])

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"

    def named(self) -> Iterator[tuple[str, Layer]]:
        """The layers with the names under which their parameters are kept."""
        return ((str(index), layer) for index, layer in enumerate(self.layers))

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        declared = {}
        for name, _, layer, shape in self.inner(input_shape):
            with at(str(name)):
                declared[name] = layer.declare(shape)
        return {name: params for name, params in declared.items() if params}

    def inner(self, input_shape: InputShape | None = None) -> tuple[Inner, ...]:
        found = []
        for name, layer in self.named():
            found.append(Inner(name, None, layer, input_shape))
            with at(name):
                input_shape = None if input_shape is None else layer.output_shape(input_shape)
        return tuple(found)

    def shape(self, given: InputShape) -> Shape:
        if not self.layers:
            return self.entries(given)
        with at("0"):
            return self.layers[0].shape(given)

    def apply(self, params: Params, x: ArrayLike) -> Array:
        self.keys(params)
        for name, layer in self.named():
            with at(name):
                x = layer.apply(params.get(name, {}), x)
        return jnp.asarray(x)

    def forward(self, params: Params, x: ArrayLike) -> Output:
        self.keys(params)
        penalty = jnp.zeros((), jnp.float32)
        for name, layer in self.named():
            with at(name):
                x, added = layer.forward(params.get(name, {}), x)
                penalty = add(penalty, added)
        return Output(jnp.asarray(x), penalty)

    def output_shape(self, input_shape: InputShape) -> Shape:
        shape = self.shape(input_shape)
        for name, layer in self.named():
            with at(name):
                shape = layer.output_shape(shape)
        return shape


class Residual(Layer):
    """`x + body(x)`, for a layer that keeps the shape of its input. The parameters are the body's own.

    Reference: He et al., "Deep Residual Learning for Image Recognition", 2015.

    >>> block = Residual(Dense(3, kernel_initializer="zeros"))
    >>> block.apply(block.init(jax.random.key(0), (3,)), jnp.arange(3.0))
    Array([0., 1., 2.], dtype=float32)
    """

    body: _ALayer

    @property
    def label(self) -> str:
        return "Residual: x + "

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        return self.body.declare(input_shape)

    def inner(self, input_shape: InputShape | None = None) -> tuple[Inner, ...]:
        return (Inner(None, None, self.body, input_shape),)

    def shape(self, given: InputShape) -> Shape:
        return self.body.shape(given)

    def apply(self, params: Params, x: ArrayLike) -> Array:
        x = self.array(x)
        return self._added(x, self.body.apply(params, x))

    def forward(self, params: Params, x: ArrayLike) -> Output:
        x = self.array(x)
        value, penalty = self.body.forward(params, x)
        return Output(self._added(x, value), penalty)

    def _added(self, x: Array, value: Array) -> Array:
        if value.shape != x.shape:
            raise LayerValueError(
                self, f"expected a layer that keeps the shape of its input {x.shape}, got output {value.shape}"
            )
        return add(x, value)

    def output_shape(self, input_shape: InputShape) -> Shape:
        return _kept_shape(self, self.body, input_shape)


class Repeat(Layer):
    """A layer `times` times in a row, each with parameters of its own, as one `lax.scan`.

    The parameters of the repetitions are stacked along a leading axis: `{"kernel": [times, in, units], ...}`. What XLA
    compiles does not grow with `times`. The body must keep the shape of its input; the input is cast to the dtype of
    the body's output before the first repetition.

    Args:
      body: a layer, or a function of one array.
      times: the number of repetitions, at least 1.

    >>> deep = Repeat(Residual(Dense(8, "tanh")), times=64)
    >>> params = deep.init(jax.random.key(0), (None, 8))
    >>> params["kernel"].shape
    (64, 8, 8)
    >>> deep.apply(params, jnp.ones((2, 8))).shape
    (2, 8)
    """

    body: _ALayer
    times: Annotated[int, _checks.whole(minimum=1)]

    @property
    def label(self) -> str:
        return f"Repeat: {self.times} times"

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        if input_shape is not None:
            self.output_shape(input_shape)
        return param.stacked(self.body.declare(input_shape), self.times)

    def inner(self, input_shape: InputShape | None = None) -> tuple[Inner, ...]:
        return (Inner(None, self.times, self.body, input_shape),)

    def shape(self, given: InputShape) -> Shape:
        return self.body.shape(given)

    def apply(self, params: Params, x: ArrayLike) -> Array:
        x = self._first(params, x)
        return lax.scan(lambda x, one: (self.body.apply(one, x), None), x, params, length=self.times)[0]

    def forward(self, params: Params, x: ArrayLike) -> Output:
        x = self._first(params, x)
        value, penalties = lax.scan(self._one, x, params, length=self.times)
        return Output(value, jnp.sum(penalties))

    def _one(self, x: Array, params: Params) -> tuple[Array, Array]:
        value, penalty = self.body.forward(params, x)
        return value, penalty

    def _first(self, params: Params, x: ArrayLike) -> Array:
        """The input of the first repetition."""
        self._check(params)
        x = self.array(x)
        return x.astype(self._stable_dtype(params, x))

    def output_shape(self, input_shape: InputShape) -> Shape:
        return _kept_shape(self, self.body, input_shape)

    def _stable_dtype(self, params: Params, x: Array) -> Any:
        """The dtype that one repetition maps to itself: a scan's carry cannot change its dtype."""
        one = jax.tree.map(lambda w: jax.ShapeDtypeStruct(w.shape[1:], w.dtype), params)
        y = jax.eval_shape(self.body.apply, one, x)
        if y.shape != x.shape:
            raise LayerValueError(
                self, f"expected a layer that keeps the shape of its input {x.shape}, got output {y.shape}"
            )
        return y.dtype

    def _check(self, params: Params) -> None:
        for path, w in jax.tree_util.tree_leaves_with_path(params):
            if w.shape[:1] != (self.times,):
                name = param.name_of(path)
                raise LayerValueError(
                    self, f"expected params stacked [{self.times}, ...], got {name} of shape {list(w.shape)}"
                )


class Frozen(Layer):
    """A layer whose parameters training does not change. The parameters are the body's own.

    As with Keras's `trainable = False`, their regularizers and constraints have no effect; the regularizer of the
    body's activity has. `densefn.partition` tells frozen from trainable parameters, and `densefn train` gives the
    frozen ones no gradient and no state of the optimizer. `jax.grad` differentiates whatever it is given.

    Args:
      body: a layer.

    >>> model = Sequential(Frozen(Dense(8, kernel_regularizer="l2")), Dense(2))
    >>> params = model.init(jax.random.key(0), (None, 4))
    >>> model.forward(params, jnp.ones((1, 4))).penalty
    Array(0., dtype=float32)

    Source: `Layer.trainable` of Keras 3.15.
    """

    body: _ALayer

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        frozen = partial(replace, trainable=False, regularizer=None, constraint=None)
        return jax.tree.map(frozen, self.body.declare(input_shape))

    def inner(self, input_shape: InputShape | None = None) -> tuple[Inner, ...]:
        return (Inner(None, None, self.body, input_shape),)

    def shape(self, given: InputShape) -> Shape:
        return self.body.shape(given)

    def apply(self, params: Params, x: ArrayLike) -> Array:
        return self.body.apply(params, x)

    def forward(self, params: Params, x: ArrayLike) -> Output:
        return _without_weight_penalties(self.body).forward(params, x)

    def output_shape(self, input_shape: InputShape) -> Shape:
        return self.body.output_shape(input_shape)


@functools.cache
def _without_weight_penalties(layer: Layer) -> Layer:
    """The layer without the regularizers of its parameters, and all layers in it likewise."""
    changed = {}
    for field in fields(type(layer)):
        given = getattr(layer, field.name)
        if isinstance(given, Layer):
            changed[field.name] = _without_weight_penalties(given)
        elif isinstance(given, tuple) and given and all(isinstance(part, Layer) for part in given):
            changed[field.name] = tuple(map(_without_weight_penalties, given))
        elif field.name in ("kernel_regularizer", "bias_regularizer"):
            changed[field.name] = None
    return replace(layer, **changed)


def _kept_shape(outer: Layer, inner: Layer, input_shape: InputShape) -> Shape:
    shape = outer.shape(input_shape)
    output = inner.output_shape(shape)
    if output != shape:
        raise LayerValueError(outer, f"expected a layer that keeps the shape of its input {shape}, got output {output}")
    return shape


_LAYERS = (Dense, Einsum, Sequential, Residual, Repeat, Frozen, Function)
NAMES: dict[str, type[Layer]] = {cls.__name__: cls for cls in _LAYERS}
