"""`Einsum`, a dense layer over any axes: `y = activation(einsum(equation, x, kernel) + bias)`."""

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from densefn import (
    _affine,
    _arguments,
    _checks,
    activations,
    forms,
    initializers,
    keras_config,
    keras_einsum,
    precision,
)
from densefn._dot import aligned
from densefn._equation import ELLIPSIS, Equation, parse
from densefn._errors import LayerValueError
from densefn._fans import Fans
from densefn.activations import AnyActivation
from densefn.constraints import AnyConstraint
from densefn.forms import AnyForm, KernelAxes
from densefn.initializers import AnyInitializer, Initializer
from densefn.layer import InputShape, Layer, Output, Params, Shape, declared
from densefn.precision import AnyPolicy, Policy
from densefn.regularizers import AnyRegularizer


def _equation(given: Any) -> str:
    parse(_checks.text(given))
    return given.replace(" ", "")


def _units(given: Any) -> int | tuple[int, ...]:
    check = _checks.whole(minimum=1)
    return tuple(map(check, given)) if isinstance(given, list | tuple) else check(given)


class Arranged(Initializer):
    """Draws each expert's kernel as a matrix `[in, out]`, and reshapes and transposes it to the kernel's axes.

    Args:
      initializer: of the matrix.
      experts: the sizes of the experts' axes.
      inputs: the sizes of the contracted axes.
      units: the sizes of the new axes.
      order: for each axis of the kernel, its position in `(*experts, *inputs, *units)`.
    """

    initializer: Annotated[Initializer, initializers.get]
    experts: Annotated[tuple[int, ...], tuple]
    inputs: Annotated[tuple[int, ...], tuple]
    units: Annotated[tuple[int, ...], tuple]
    order: Annotated[tuple[int, ...], tuple]

    def draw(self, key: Array, shape: tuple[int, ...], dtype: Any, fans: Fans) -> Array:
        keys = jax.random.split(key, math.prod(self.experts)) if self.experts else key[None]
        matrix = (math.prod(self.inputs), math.prod(self.units))
        drawn = jax.vmap(lambda key: self.initializer.draw(key, matrix, dtype, fans))(keys)
        return drawn.reshape(*self.experts, *self.inputs, *self.units).transpose(self.order)

    def formula(self, fans: Fans) -> str:
        return self.initializer.formula(fans)


class Einsum(Layer):
    """A dense layer over any axes: `y = activation(einsum(equation, x, kernel) + bias)`.

    The equation names the axes. Each axis of the kernel is one of three kinds:

    - an input, if the output lacks it: the product sums over it;
    - a unit, if the input lacks it: it is new, and `units` gives its size;
    - an expert, if input and output both have it: each entry has its own kernel.

    Each expert's kernel is drawn separately, as a matrix of all its inputs by all its units. So every initializer gives
    it the scale of one kernel (Keras counts experts as outputs, Flax as inputs). An initializer with a `seed` gives all
    experts the same kernel.

    Args:
      equation: `x,kernel->y`, one letter for each axis. An ellipsis in `x` and `y` stands for any further axes.
      units: the sizes of the output's new axes, in the output's order; a number if there is one.
      activation: a name or a function of one array; None is the identity.
      use_bias: whether a bias is added.
      bias_axes: the axes of the output that the bias has; None for all that are in the kernel.
      kernel_initializer: of each expert's kernel; all arguments from here on take what those of `Dense` take.
      bias_initializer: of the bias.
      kernel_regularizer: of the whole kernel.
      bias_regularizer: of the bias.
      activity_regularizer: of the output.
      kernel_constraint: of the whole kernel; its `axis` is an axis of the kernel as the equation writes it.
      bias_constraint: of the bias.
      dtype: a precision policy or the name of one.
      kernel_form: how the kernel is stored and contracted.

    Raises:
      ValueError, TypeError: on construction, for an argument that is none of these.

    Attention's projection to 8 heads of 64 features, and 4 experts:

    >>> heads = Einsum("...i,ihd->...hd", (8, 64))
    >>> jax.tree.map(jnp.shape, heads.init(jax.random.key(0), (None, 512)))
    {'bias': (8, 64), 'kernel': (512, 8, 64)}
    >>> experts = Einsum("ebi,eio->ebo", 16, "relu")
    >>> experts.output_shape((4, None, 32))
    (4, None, 16)

    Source: `keras/src/layers/core/einsum_dense.py` of Keras 3.15, whose `output_shape` is `units` here.
    """

    equation: Annotated[str, _equation]
    units: Annotated[int | tuple[int, ...], _units] = ()
    activation: Annotated[AnyActivation | None, _checks.optional(activations.check)] = None
    _: KW_ONLY
    use_bias: Annotated[bool, _checks.flag] = True
    bias_axes: Annotated[str | None, _checks.optional(_checks.text)] = None
    kernel_initializer: AnyInitializer = "glorot_uniform"
    bias_initializer: AnyInitializer = "zeros"
    kernel_regularizer: AnyRegularizer = None
    bias_regularizer: AnyRegularizer = None
    activity_regularizer: AnyRegularizer = None
    kernel_constraint: AnyConstraint = None
    bias_constraint: AnyConstraint = None
    dtype: AnyPolicy = "float32"
    kernel_form: AnyForm = None

    @classmethod
    def from_keras_config(cls, config: Mapping[str, Any]) -> "Einsum":
        """Makes the layer that a config of Keras's EinsumDense describes. Keras itself is not needed.

        Args:
          config: as `keras.layers.EinsumDense(...).get_config()` or `keras.layers.serialize` returns it. The layer's
            name is not kept, nor are sizes in `output_shape` that follow from the input.

        Raises:
          ValueError, TypeError: if it is not such a config, or has what this layer cannot express, such as LoRA.

        >>> Einsum.from_keras_config({"equation": "abc,cd->abd", "output_shape": (None, 5), "bias_axes": "d"})
        Einsum(equation='abc,cd->abd', units=5)
        """
        return keras_config.read(cls, keras_einsum.to_fields(keras_config.unwrapped(config, "EinsumDense")))

    def to_keras_config(self) -> dict[str, Any]:
        """The config from which `keras.layers.EinsumDense.from_config` makes the same layer.

        Raises:
          ValueError, TypeError: for what Keras cannot express, such as a function, or experts on a later axis.

        >>> Einsum("...i,ihd->...hd", (8, 64)).to_keras_config()["output_shape"]
        [8, 64]
        """
        return keras_einsum.from_fields(keras_config.write(self))

    def check_together(self) -> None:
        equation = parse(self.equation)
        if len(self.sizes) != len(equation.new):
            raise ValueError(
                f"Einsum: units: expected a size for each of the output's new axes {equation.new!r}, got {self.units!r}"
            )
        for axis in self.bias_axes or "":
            if axis not in equation.y.replace(ELLIPSIS, ""):
                raise ValueError(
                    f"Einsum: bias_axes: expected axes of the output {equation.y!r}, got {self.bias_axes!r}"
                )
        last = equation.y[-1:]
        if activations.name_of(self.activation) == "glu" and last in equation.new and self.sizes[-1] % 2:
            raise ValueError(f"Einsum: glu needs an even number of units, which it halves; got units={self.units!r}")
        _affine.check(self, "bias_axes", "bias_regularizer", "bias_constraint")

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the output's new axes."""
        return self.units if isinstance(self.units, tuple) else (self.units,)

    @property
    def kernel_axes(self) -> KernelAxes:
        """The axes of the kernel that are inputs, and those that are experts."""
        equation = parse(self.equation)
        inputs, experts = (tuple(map(equation.kernel.index, axes)) for axes in (equation.contracted, equation.experts))
        return KernelAxes(inputs, experts)

    @property
    def policy(self) -> Policy:
        """The precision policy that `dtype` stands for."""
        return precision.get(self.dtype)

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        equation, axes = self.axes(input_shape)
        kernel, bias = ({axis: axes[axis] for axis in letters} for letters in (equation.kernel, self._bias(equation)))
        if input_shape is not None and None in (*kernel.values(), *bias.values()):
            raise LayerValueError(
                self,
                f"expected the sizes of all axes of kernel {equation.kernel} and bias {self._bias(equation)}, got "
                f"{list(kernel.values())} and {list(bias.values())} for an input {tuple(input_shape)}",
            )
        # The fans of one expert's matrix: its initial values do not depend on the number of experts.
        fan_in = math.prod(axes[axis] or 0 for axis in equation.contracted)
        fans = Fans(fan_in, math.prod(self.sizes), fan_in)
        return _affine.declare(self, kernel, bias, self._arranged(equation, axes), fans=fans, axes=self.kernel_axes)

    def apply(self, params: Params, x: ArrayLike) -> Array:
        x = _arguments.array(self, x)
        _arguments.names(self, declared(self), params)
        equation, axes = self.axes(x.shape)
        self._check(params, x, equation, axes)
        x, product_axes, order = aligned(str(equation), x, self.policy.compute_dtype)
        product = forms.get(self.kernel_form).contract(params, x, product_axes, self.policy.compute_dtype)
        # The bias's axes are in the output's order, so sizes of 1 between them make it broadcast over the others.
        spread = [axes[axis] if axis in self._bias(equation) else 1 for axis in equation.y]
        bias = params["bias"].reshape(spread) if self.use_bias else None
        return _affine.activated(self, jnp.transpose(product, order), bias)

    def forward(self, params: Params, x: ArrayLike) -> Output:
        y = self.apply(params, x)
        equation, axes = self.axes(jnp.shape(x))
        # The first axis of the output that is not in the kernel: experts, which may come before it, are no examples.
        batch = next((axes[axis] for axis in equation.y if axis not in equation.kernel), 1)
        return _affine.with_penalty(self, params, y, batch)

    def output_shape(self, input_shape: InputShape) -> Shape:
        equation, axes = self.axes(_arguments.input_shape(self, input_shape))
        return activations.output_shape(self.activation, tuple(axes[axis] for axis in equation.y))

    def axes(self, shape: InputShape | None) -> tuple[Equation, dict[str, Any]]:
        """The equation without an ellipsis, and the size of each axis for an input of this shape."""
        equation = parse(self.equation)
        letters = len(equation.x.replace(ELLIPSIS, ""))
        shape = (None,) * letters if shape is None else tuple(shape)
        if len(shape) < letters or (len(shape) > letters and ELLIPSIS not in equation.x):
            raise LayerValueError(self, f"expected x of axes {equation.x}, got shape {shape}")
        equation = equation.expanded(len(shape))
        return equation, dict(zip(equation.x, shape, strict=True)) | dict(zip(equation.new, self.sizes, strict=True))

    def _bias(self, equation: Equation) -> str:
        """The letters of the bias's axes, in the output's order."""
        chosen = equation.kernel if self.bias_axes is None else self.bias_axes
        return "".join(axis for axis in equation.y if axis in chosen)

    def _arranged(self, equation: Equation, axes: dict[str, Any]) -> Arranged:
        groups = equation.experts, equation.contracted, "".join(a for a in equation.kernel if a in equation.new)
        order = tuple("".join(groups).index(axis) for axis in equation.kernel)
        experts, inputs, units = (tuple(axes[axis] or 0 for axis in group) for group in groups)
        return Arranged(initializers.get(self.kernel_initializer), experts, inputs, units, order)

    def _check(self, params: Params, x: Array, equation: Equation, axes: dict[str, Any]) -> None:
        if self.kernel_form is not None:
            _arguments.shapes(self, self.declare(x.shape), params, x)
            return
        for name, letters in {"kernel": equation.kernel, "bias": self._bias(equation)}.items():
            expected = [axes[axis] for axis in letters]
            if name in params and list(params[name].shape) != expected:
                raise LayerValueError(
                    self,
                    f"expected a {name} of axes {letters}, {expected} for x of shape {x.shape}, "
                    f"got {list(params[name].shape)}",
                )
