"""The code that `Dense` and `Einsum` share: `y = activation(product + bias)`, its parameters and its penalty.

Each class has its own fields, of which `_Affine` lists those that these functions read.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import jax.numpy as jnp
from jax import Array, lax

from densefn import activations, constraints, forms, initializers, param, regularizers
from densefn._fans import Fans, fans_of
from densefn.activations import AnyActivation
from densefn.constraints import AnyConstraint
from densefn.forms import AnyForm, KernelAxes
from densefn.initializers import AnyInitializer, Initializer
from densefn.layer import Output, Params, declared
from densefn.param import Param
from densefn.precision import Policy, add, cast
from densefn.regularizers import AnyRegularizer

Sizes = Mapping[str, int | None]
"""The axes of a parameter by name, in order, with their sizes."""


class _Affine(Protocol):
    @property
    def activation(self) -> AnyActivation | None: ...

    @property
    def use_bias(self) -> bool: ...

    @property
    def bias_initializer(self) -> AnyInitializer: ...

    @property
    def kernel_regularizer(self) -> AnyRegularizer: ...

    @property
    def bias_regularizer(self) -> AnyRegularizer: ...

    @property
    def activity_regularizer(self) -> AnyRegularizer: ...

    @property
    def kernel_constraint(self) -> AnyConstraint: ...

    @property
    def bias_constraint(self) -> AnyConstraint: ...

    @property
    def kernel_form(self) -> AnyForm: ...

    @property
    def policy(self) -> Policy: ...


def check(layer: _Affine, *of_bias: str) -> None:
    """Checks that no field is given that has no effect.

    Args:
      layer: the layer, each of whose fields has been checked.
      *of_bias: the fields that have no effect without a bias.

    Raises:
      ValueError: for such a field, and for a constraint that the kernel's form does not accept.
    """
    name = type(layer).__name__
    for field in of_bias:
        if not layer.use_bias and getattr(layer, field) is not None:
            raise ValueError(f"{name}: {field} has no effect with use_bias=False; leave one of them out")
    if layer.kernel_constraint is not None and not forms.get(layer.kernel_form).takes_constraints:
        raise ValueError(f"{name}: kernel_constraint: {layer.kernel_form!r} accepts none, as its kernel is a sum")


def declare(
    layer: _Affine, kernel: Sizes, bias: Sizes, initializer: Initializer, *, fans: Fans, axes: KernelAxes
) -> dict[str, Param]:
    """The parameters: the leaves of the kernel's form, and the bias.

    Args:
      layer: the layer.
      kernel: the kernel's axes, with their sizes.
      bias: the bias's axes, with their sizes.
      initializer: of the kernel in plain form.
      fans: of the kernel.
      axes: which axes of the kernel are inputs and which are experts.
    """
    plain = Param(
        tuple(kernel.values()),
        layer.policy.param_dtype,
        initializer,
        regularizers.get(layer.kernel_regularizer),
        constraints.get(layer.kernel_constraint),
        fans,
        axes=tuple(kernel),
    )
    leaves = forms.get(layer.kernel_form).declare(plain, axes)
    if not layer.use_bias:
        return leaves
    return leaves | {
        "bias": Param(
            tuple(bias.values()),
            layer.policy.param_dtype,
            initializers.get(layer.bias_initializer),
            regularizers.get(layer.bias_regularizer),
            constraints.get(layer.bias_constraint),
            # As in Keras, a bias has the fans of its shape. PyTorch's default initializer needs those of the kernel.
            fans_of(tuple(n or 0 for n in bias.values()))._replace(inputs=fans.inputs),
            axes=tuple(bias),
        )
    }


def activated(layer: _Affine, product: Array, bias: Array | None) -> Array:
    """The output. Bias and activation see the product in its accumulator's dtype; one rounding follows.

    Args:
      layer: the layer.
      product: the product of input and kernel.
      bias: in a shape that broadcasts to the product's; None without a bias.
    """
    if bias is not None:
        # `lax.add`: the promotion of dtypes and shapes in `+`, which are equal here, takes longer than the addition.
        product = lax.add(product, jnp.broadcast_to(cast(bias, product.dtype), product.shape))
    return cast(activations.get(layer.activation)(product), layer.policy.output_dtype)


def with_penalty(layer: Any, params: Params, y: Array, batch: int) -> Output:
    """The output with all penalties.

    Args:
      layer: the layer.
      params: its parameters.
      y: its output.
      batch: the number of examples. The penalty of the activity is divided by it.
    """
    penalty = param.penalty(declared(layer), params)
    regularizer = regularizers.get(layer.activity_regularizer)
    return Output(y, penalty if regularizer is None else add(penalty, regularizer(y) / max(batch, 1)))
