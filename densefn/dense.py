"""`Dense`, the layer that this package is about."""

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Annotated, Any, ClassVar

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
    precision,
)
from densefn._axes import Axes
from densefn._errors import LayerValueError
from densefn._fans import Fans
from densefn.activations import AnyActivation
from densefn.constraints import AnyConstraint
from densefn.forms import AnyForm, KernelAxes
from densefn.initializers import AnyInitializer
from densefn.layer import InputShape, Layer, Output, Params, Shape, declared
from densefn.precision import AnyPolicy, Policy
from densefn.regularizers import AnyRegularizer


class Dense(Layer):
    """The densely connected layer: `y = activation(x @ kernel + bias)`.

    The kernel is contracted with the last axis of `x`; all other axes are kept: `[..., in] -> [..., units]`. The
    parameters are `{"kernel": [in, units], "bias": [units]}`, without `"bias"` if `use_bias` is false.

    Penalties: the regularizers of kernel and bias see the stored parameters. The activity regularizer sees the output,
    and its penalty is divided by the batch, the size of the output's first axis. An output of rank 1 is one example.
    The penalty of a batch is therefore the mean of the penalties

    - of its examples under `jax.vmap`;
    - of its equal shards under `jax.shard_map`, by `jax.lax.pmean`.

    Under `jit`, a sharded batch has the penalty of the whole batch.

    Differences from Keras, where its behaviour is a bug or a limit:

    - `bias_initializer=None` is an error (Keras draws random biases).
    - So is a bias regularizer or constraint without a bias (Keras ignores them).
    - So is an odd number of units with `"glu"`. `output_shape` gives the halved width.
    - `units` may be a NumPy integer but not a bool.
    - Also inputs of rank 1 are accepted.
    - Constraints are applied by `project` or `densefn.projection`, with any optimizer.

    Args:
      units: the number of outputs, at least 1.
      activation: a name or a function of one array; None is the identity.
      use_bias: whether a bias is added.
      kernel_initializer: a name, an initializer, or a function of key, shape and dtype.
      bias_initializer: a name, an initializer, or a function of key, shape and dtype.
      kernel_regularizer: a name, a regularizer, or a function from the kernel to its penalty; None for no penalty.
      bias_regularizer: the same of the bias.
      activity_regularizer: the same of the output.
      kernel_constraint: a name, a constraint, or a function from the kernel to its projection; None for no constraint.
      bias_constraint: the same of the bias.
      dtype: a precision policy or the name of one.
      kernel_form: how the kernel is stored and contracted, a name or a value such as `densefn.forms.LowRank(8)`. None
        stores the kernel itself.

    Raises:
      ValueError, TypeError: on construction, for an argument that is none of these.

    >>> import jax, jax.numpy as jnp
    >>> layer = Dense(2, "relu", kernel_initializer="ones")
    >>> params = layer.init(jax.random.key(0), (None, 3))
    >>> layer.apply(params, jnp.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 0.0]]))
    Array([[6., 6.],
           [0., 0.]], dtype=float32)
    >>> layer.output_shape((None, 3))
    (None, 2)

    Source: `keras/src/layers/core/dense.py` of Keras 3.15.
    """

    units: Annotated[int, _checks.whole(minimum=1)]
    activation: Annotated[AnyActivation | None, _checks.optional(activations.check)] = None
    _: KW_ONLY
    use_bias: Annotated[bool, _checks.flag] = True
    kernel_initializer: AnyInitializer = "glorot_uniform"
    bias_initializer: AnyInitializer = "zeros"
    kernel_regularizer: AnyRegularizer = None
    bias_regularizer: AnyRegularizer = None
    activity_regularizer: AnyRegularizer = None
    kernel_constraint: AnyConstraint = None
    bias_constraint: AnyConstraint = None
    dtype: AnyPolicy = "float32"
    kernel_form: AnyForm = None

    kernel_axes: ClassVar[KernelAxes] = KernelAxes(inputs=(0,))

    @classmethod
    def from_keras_config(cls, config: Mapping[str, Any]) -> "Dense":
        """Makes the layer that a config of Keras describes. Keras itself is not needed.

        Args:
          config: as `keras.layers.Dense(...).get_config()` or `keras.layers.serialize` returns it. The layer's
            name is not kept.

        Raises:
          ValueError, TypeError: lists every entry that is wrong or that this layer cannot express.

        >>> Dense.from_keras_config({"name": "head", "units": 3, "activation": "linear", "kernel_regularizer": {
        ...     "class_name": "L2", "config": {"l2": 0.5}}, "bias_initializer": {"class_name": "Zeros", "config": {}}})
        Dense(units=3, kernel_regularizer=L2(l2=0.5))
        """
        return keras_config.read(cls, keras_config.with_form(keras_config.unwrapped(config, "Dense")))

    def to_keras_config(self) -> dict[str, Any]:
        """The config from which `keras.layers.Dense.from_config` makes the same layer.

        Raises:
          ValueError, TypeError: for what Keras cannot express, such as a function.

        >>> Dense(3, kernel_constraint="max_norm").to_keras_config()["kernel_constraint"]["config"]
        {'max_value': 2.0, 'axis': 0}
        """
        return keras_config.write(self)

    def check_together(self) -> None:
        if activations.name_of(self.activation) == "glu" and self.units % 2:
            raise ValueError(f"Dense: glu needs an even number of units, which it halves; got units={self.units}")
        _affine.check(self, "bias_regularizer", "bias_constraint")

    @property
    def policy(self) -> Policy:
        """The precision policy that `dtype` stands for."""
        return precision.get(self.dtype)

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        features = None if input_shape is None else _arguments.with_features(self, input_shape)[-1]
        fans = Fans(features or 0, self.units, features or 0)
        kernel, bias = {"in": features, "units": self.units}, {"units": self.units}
        return _affine.declare(
            self, kernel, bias, initializers.get(self.kernel_initializer), fans=fans, axes=self.kernel_axes
        )

    def apply(self, params: Params, x: ArrayLike) -> Array:
        x = _arguments.array(self, x)
        self._check(params, x)
        axes = Axes(x_sum=(x.ndim - 1,), w_sum=(0,))
        product = forms.get(self.kernel_form).contract(params, x, axes, self.policy.compute_dtype)
        return _affine.activated(self, product, params["bias"] if self.use_bias else None)

    def forward(self, params: Params, x: ArrayLike) -> Output:
        y = self.apply(params, x)
        return _affine.with_penalty(self, params, y, batch=y.shape[0] if y.ndim > 1 else 1)

    def output_shape(self, input_shape: InputShape) -> Shape:
        shape = _arguments.with_features(self, input_shape)
        return activations.output_shape(self.activation, (*shape[:-1], self.units))

    def _check(self, params: Params, x: Array) -> None:
        _arguments.names(self, declared(self), params)
        # Only a plain kernel tells the number of features; other forms are compared with what they declare for `x`.
        if self.kernel_form is not None:
            _arguments.shapes(self, self.declare(x.shape), params, x)
            return
        kernel = params["kernel"].shape
        if len(kernel) != 2 or kernel[1] != self.units:
            hint = "; for an ensemble use jax.vmap" if len(kernel) > 2 else ""
            raise LayerValueError(self, f"expected a kernel [in, {self.units}], got {list(kernel)}{hint}")
        if self.use_bias and params["bias"].shape != (self.units,):
            raise LayerValueError(self, f"expected a bias [{self.units}], got {list(params['bias'].shape)}")
        if x.ndim == 0 or x.shape[-1] != kernel[0]:
            raise LayerValueError(
                self,
                f"expected x[..., {kernel[0]}] (kernel is {list(kernel)}), got x of shape {x.shape}; "
                f"the layer was initialised for {kernel[0]} features",
            )
