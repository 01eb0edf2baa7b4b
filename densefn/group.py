"""`Group`: named layers, applied by a method that you write, with any number of outputs."""

import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from densefn import _arguments, param
from densefn._combinator import declare_named
from densefn._errors import LayerTypeError, LayerValueError, at
from densefn._registry import as_layer
from densefn._values import fields
from densefn.frozen import without_weight_penalties
from densefn.function import open_axes
from densefn.layer import Inner, InputShape, Layer, Output, Params, as_output, declared, is_shape
from densefn.precision import add
from densefn.walk import walk


class Group(Layer):
    """Named parts that are initialized, penalized, projected, summarized and saved as one layer.

    In a subclass, each field is a part, and the method `run` applies the parts. The parameters of a part are under its
    field's name. If `run` calls a part several times, the calls share its parameters. `run` may return any tree of
    arrays.

    Raises:
      ValueError: by `init`, if `run` calls a part with an input that it does not accept, or does not call a part.

    An actor and a critic that share a torso:

    >>> from densefn import Dense, register
    >>> @register
    ... class ActorCritic(Group):
    ...     torso: Layer
    ...     actor: Layer
    ...     critic: Layer
    ...
    ...     def run(self, parts, x):
    ...         hidden = parts.torso(x)
    ...         return parts.actor(hidden), parts.critic(hidden)[..., 0]
    >>> model = ActorCritic(Dense(64, "tanh"), Dense(4), Dense(1))
    >>> params = model.init(jax.random.key(0), (None, 8))
    >>> jax.tree.map(jnp.shape, params["critic"])
    {'bias': (1,), 'kernel': (64, 1)}
    >>> logits, value = model.apply(params, jnp.ones((5, 8)))
    >>> logits.shape, value.shape
    ((5, 4), (5,))
    >>> model.output_shape((None, 8))
    ((None, 4), (None,))
    """

    def __init_subclass__(cls) -> None:
        taken = [name for name in inspect.get_annotations(cls) if hasattr(Group, name)]
        if taken:
            raise TypeError(f"{cls.__name__}: expected another name for {taken[0]!r}, which every layer has already")
        super().__init_subclass__()

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in fields(type(self)):
            if isinstance(given := getattr(self, field.name), Mapping):
                object.__setattr__(self, field.name, as_layer(given))
        if not self.parts:
            raise TypeError(f"{type(self).__name__}: expected a field for each part, a layer; got none")

    @abstractmethod
    def run(self, parts: Any, x: Any) -> Any:
        """Applies the parts.

        Args:
          parts: an object with an attribute for each field: the part as a function of one array.
          x: the input.

        Returns:
          An array, or a tree of arrays.
        """

    @property
    def parts(self) -> dict[str, Layer]:
        """The layers in the fields, by name."""
        stored = {field.name: getattr(self, field.name) for field in fields(type(self))}
        return {name: part for name, part in stored.items() if isinstance(part, Layer)}

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        return declare_named(self, input_shape)

    def inner(self, input_shape: InputShape | None = None) -> tuple[Inner, ...]:
        shapes = {} if input_shape is None else self._input_shapes(input_shape)
        return tuple(Inner(name, None, part, shapes.get(name)) for name, part in self.parts.items())

    def apply(self, params: Params, x: ArrayLike) -> Any:
        _arguments.names(self, declared(self), params)
        return self._run(x, lambda name, part, x: part.apply(params.get(name, {}), x))

    def forward(self, params: Params, x: ArrayLike) -> Output:
        _arguments.names(self, declared(self), params)
        penalties = [param.penalty(declared(self), params)]

        def call(name: str, part: Layer, x: Array) -> Array:
            # A penalty that is computed inside a scan of `run` cannot leave it. These parts have none to collect.
            if not _has_activity_penalty(part):
                return part.apply(params.get(name, {}), x)
            value, penalty = as_output(part, without_weight_penalties(part).forward(params.get(name, {}), x))
            penalties.append(penalty)
            return value

        value = self._run(x, call)
        total = penalties[0]
        for penalty in penalties[1:]:
            total = add(total, penalty)
        return Output(value, total)

    def output_shape(self, input_shape: InputShape) -> Any:
        return open_axes(_arguments.input_shape(self, input_shape), lambda x: self._run(x, _shaped))

    def _run(self, x: Any, call: Callable[[str, Layer, Any], Any]) -> Any:
        """Calls `run` with parts that call `call(name, part, x)`."""

        def named(name: str, part: Layer) -> Callable[[Any], Any]:
            def apply(x: Any) -> Any:
                with at(name), jax.named_scope(name):
                    return call(name, part, x)

            return apply

        return self.run(
            SimpleNamespace(**{name: named(name, part) for name, part in self.parts.items()}), _arguments.array(self, x)
        )

    def _input_shapes(self, input_shape: InputShape) -> dict[str, Any]:
        """The input shape of the first call of each part, for an input of this shape."""

        def inputs(x: Array) -> dict[str, Any]:
            seen: dict[str, Any] = {}

            def call(name: str, part: Layer, x: Any) -> Any:
                seen.setdefault(name, x)
                return _shaped(name, part, x)

            self._run(x, call)
            return seen

        shapes = open_axes(_arguments.input_shape(self, input_shape), inputs)
        if missing := [name for name in self.parts if name not in shapes]:
            raise LayerValueError(self, f"expected run to call every part, and it does not call {missing[0]!r}")
        return shapes


def _shaped(_: str, part: Layer, x: Any) -> Any:
    """Zeros of the part's output shape: a call that computes nothing."""
    if not hasattr(x, "shape"):
        raise LayerTypeError(part, f"expected run to call it with one array, got {type(x).__name__}")
    return jax.tree.map(lambda shape: jnp.zeros(shape, x.dtype), part.output_shape(x.shape), is_leaf=is_shape)


def _has_activity_penalty(layer: Layer) -> bool:
    return any(getattr(place.layer, "activity_regularizer", None) is not None for place in walk(layer))
