"""Combinators: layers made of layers. They nest.

`Sequential` keeps the parameters of each layer under a name, by default "0", "1", ... The other combinators add no
name: the parameters of `Residual(body)` are those of `body`.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from densefn import _arguments, _checks, _values, param
from densefn._combinator import Around, declare_named
from densefn._errors import LayerValueError, at
from densefn._registry import as_layers, register
from densefn.layer import Inner, InputShape, Layer, Output, Params, Shape, as_output, declared
from densefn.precision import add


def _name(given: Any) -> str:
    name = _checks.text(given)
    if not name or "/" in name:
        raise ValueError(f"expected a name without '/', got {given!r}")
    return name


@register
class Sequential(Layer):
    """Layers one after the other. The shape of the first layer's input determines all other shapes.

    Args:
      *given: layers and functions of one array, one list of them, or one dict from names to them. The parameters of a
        layer are under its name. A layer without parameters has no entry.
      layers: the same list as a keyword argument, for `dataclasses.replace`.
      names: a unique name without `/` for each layer; None is "0", "1", ...

    >>> from densefn import Dense
    >>> model = Sequential(Dense(512, "relu"), Dense(10), "softmax")
    >>> params = model.init(jax.random.key(0), (None, 784))
    >>> jax.tree.map(jnp.shape, params)
    {'0': {'bias': (512,), 'kernel': (784, 512)}, '1': {'bias': (10,), 'kernel': (512, 10)}}
    >>> model.apply(params, jnp.ones((2, 784))).shape
    (2, 10)

    A model has a length and can be iterated. It is indexed by position, name or slice, and a slice keeps the names:

    >>> named = Sequential({"encoder": Dense(8, "relu"), "head": Dense(2)})
    >>> named["head"], len(named), named[:1]
    (Dense(units=2), 2, Sequential({'encoder': Dense(units=8, activation='relu')}))
    """

    layers: Annotated[tuple[Layer, ...], as_layers]
    names: Annotated[tuple[str, ...] | None, _checks.optional(_checks.several(_name))] = None

    def __init__(self, *given: Any, layers: Any = (), names: Any = None):
        if len(given) == 1 and isinstance(given[0], Mapping) and any(isinstance(v, Layer) for v in given[0].values()):
            names, given = tuple(given[0]), tuple(given[0].values())
        listed = len(given) == 1 and isinstance(given[0], list | tuple)
        object.__setattr__(self, "layers", given[0] if listed else given or layers)
        object.__setattr__(self, "names", names)
        self.__post_init__()

    def check_together(self) -> None:
        names = self.names
        if names is None:
            return
        if len(names) != len(self.layers) or len(set(names)) != len(names):
            raise ValueError(
                f"Sequential: names: expected one unique name for each of {len(self.layers)} layers, got {names!r}"
            )
        if names == tuple(map(str, range(len(names)))):
            object.__setattr__(self, "names", None)

    @classmethod
    def from_fields(cls, **stored: Any) -> "Sequential":
        return cls(*stored["layers"], names=stored.get("names"))

    def __repr__(self) -> str:
        if self.names is None:
            return f"Sequential({', '.join(map(repr, self.layers))})"
        return f"Sequential({dict(self.named())!r})"

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice | str) -> Layer:
        """One layer, by its position or name; or a model of the layers of a slice, with the same names."""
        if isinstance(index, str):
            return _values.find(dict(self.named()), index, "layer")
        if isinstance(index, slice):
            return Sequential(dict(list(self.named())[index]))
        return self.layers[index]

    def named(self) -> Iterator[tuple[str, Layer]]:
        """The names and layers, in order."""
        return zip(self.names or map(str, range(len(self.layers))), self.layers, strict=True)

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        return declare_named(self, input_shape)

    def inner(self, input_shape: InputShape | None = None) -> tuple[Inner, ...]:
        found = []
        for name, layer in self.named():
            found.append(Inner(name, None, layer, input_shape))
            with at(name):
                input_shape = None if input_shape is None else layer.output_shape(input_shape)
        return tuple(found)

    def apply(self, params: Params, x: ArrayLike) -> Array:
        _arguments.names(self, declared(self), params)
        for name, layer in self.named():
            with at(name), jax.named_scope(name):
                x = layer.apply(params.get(name, {}), x)
        return self._arrays(x)

    def forward(self, params: Params, x: ArrayLike) -> Output:
        _arguments.names(self, declared(self), params)
        penalty = param.no_penalty()
        for name, layer in self.named():
            with at(name), jax.named_scope(name):
                x, added = as_output(layer, layer.forward(params.get(name, {}), x))
                penalty = add(penalty, added)
        return Output(self._arrays(x), penalty)

    def _arrays(self, outputs: Any) -> Any:
        """The output, or outputs of a group at the end, as arrays."""
        return jax.tree.map(jnp.asarray, outputs) if self.layers else jnp.asarray(outputs)

    def output_shape(self, input_shape: InputShape) -> Shape:
        shape = _arguments.input_shape(self, input_shape)
        for name, layer in self.named():
            with at(name):
                shape = layer.output_shape(shape)
        return shape


@register
class Residual(Around):
    """`x + body(x)`, for a layer that keeps the shape of its input. The parameters are the body's own.

    Reference: He et al., "Deep Residual Learning for Image Recognition", 2015.

    >>> from densefn import Dense
    >>> block = Residual(Dense(3, kernel_initializer="zeros"))
    >>> block.apply(block.init(jax.random.key(0), (3,)), jnp.arange(3.0))
    Array([0., 1., 2.], dtype=float32)
    """

    @property
    def label(self) -> str:
        return "Residual: x + "

    def apply(self, params: Params, x: ArrayLike) -> Array:
        x = _arguments.array(self, x)
        return self._added(x, self.body.apply(params, x))

    def forward(self, params: Params, x: ArrayLike) -> Output:
        x = _arguments.array(self, x)
        value, penalty = as_output(self.body, self.body.forward(params, x))
        return Output(self._added(x, value), penalty)

    def _added(self, x: Array, value: Array) -> Array:
        if value.shape != x.shape:
            raise LayerValueError(
                self, f"expected a layer that keeps the shape of its input {x.shape}, got output {value.shape}"
            )
        return add(x, value)

    def output_shape(self, input_shape: InputShape) -> Shape:
        return _kept_shape(self, self.body, input_shape)


@register
class Repeat(Around):
    """A layer repeated `times` times, each time with other parameters, as one `lax.scan`.

    The parameters of the repetitions are stacked along a leading axis: `{"kernel": [times, in, units], ...}`. The size
    of the compiled program does not depend on `times`. The body must keep the shape of its input. The input is cast to
    the dtype of the body's output before the first repetition.

    Args:
      body: a layer, or a function of one array.
      times: the number of repetitions, at least 1.

    >>> from densefn import Dense
    >>> deep = Repeat(Residual(Dense(8, "tanh")), times=64)
    >>> params = deep.init(jax.random.key(0), (None, 8))
    >>> params["kernel"].shape
    (64, 8, 8)
    >>> deep.apply(params, jnp.ones((2, 8))).shape
    (2, 8)
    """

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

    def apply(self, params: Params, x: ArrayLike) -> Array:
        x = self._first(params, x)
        return lax.scan(lambda x, one: (self.body.apply(one, x), None), x, params, length=self.times)[0]

    def forward(self, params: Params, x: ArrayLike) -> Output:
        x = self._first(params, x)
        value, penalties = lax.scan(self._one, x, params, length=self.times)
        return Output(value, jnp.sum(penalties))

    def _one(self, x: Array, params: Params) -> tuple[Array, Array]:
        value, penalty = as_output(self.body, self.body.forward(params, x))
        return value, penalty

    def _first(self, params: Params, x: ArrayLike) -> Array:
        """The input of the first repetition."""
        self._check(params)
        x = _arguments.array(self, x)
        return x.astype(self._stable_dtype(params, x))

    def output_shape(self, input_shape: InputShape) -> Shape:
        return _kept_shape(self, self.body, input_shape)

    def _stable_dtype(self, params: Params, x: Array) -> Any:
        """The dtype of the body's output: the carry of a scan must have the same dtype before and after a step."""
        # A second trace would give the same: a policy fixes the dtype, or it is the wider of that and the input's.
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


def _kept_shape(outer: Layer, inner: Layer, input_shape: InputShape) -> Shape:
    shape = _arguments.input_shape(outer, input_shape)
    output = inner.output_shape(shape)
    if output != shape:
        raise LayerValueError(outer, f"expected a layer that keeps the shape of its input {shape}, got output {output}")
    return shape
