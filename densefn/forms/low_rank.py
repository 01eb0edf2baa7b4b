"""LoRA: a frozen kernel and a trainable product of two thin matrices."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from densefn import _checks
from densefn._axes import Axes
from densefn._dot import product
from densefn._fans import Fans
from densefn.forms.form import AnyForm, Form, KernelAxes, get, register
from densefn.initializers import HeUniform, Zeros
from densefn.param import Param
from densefn.precision import accumulator, add


@register
class LowRank(Form):
    """A low-rank adapter (LoRA): `kernel + alpha / rank * a @ b`. Training changes only `a` and `b`.

    The leaves have Keras's names:

    - `kernel`: frozen, as `base` stores it.
    - `lora_kernel_a`: `[in, rank]`, drawn by `HeUniform`.
    - `lora_kernel_b`: `[rank, units]`, zero at first, so that a new adapter does not change the output.

    The product is `x @ kernel + alpha / rank * (x @ a) @ b`; `a @ b` is never computed. With several axes, `in` covers
    all input axes and `units` all unit axes. Each expert has its own adapter.

    Differences from Keras, where its behaviour is a bug or a limit:

    - `alpha` in a constructor or config has an effect (Keras uses the rank instead).
    - A saved adapter can be trained further after loading (Keras zeroes both matrices, so their gradients are zero).
    - The adapter of an Einsum covers all unit axes (that of Keras's EinsumDense only the last axis of the kernel).

    Args:
      rank: the width of `a` and the height of `b`, at least 1.
      alpha: the numerator of the scale `alpha / rank` of `a @ b`, above 0. The default, None, is `rank`: a scale of 1.
      base: the form in which the frozen kernel is stored. The default, None, is the plain form.

    Raises:
      ValueError: if the layer has a kernel constraint, which the sum would not meet. The layer raises it.

    >>> import jax
    >>> from densefn import Dense
    >>> params = Dense(4, kernel_form=LowRank(rank=2)).init(jax.random.key(0), (None, 3))
    >>> jax.tree.map(jnp.shape, params)
    {'bias': (4,), 'kernel': (3, 4), 'lora_kernel_a': (3, 2), 'lora_kernel_b': (2, 4)}

    Reference: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021.
    Source: `Dense.enable_lora` of Keras 3.15.
    """

    takes_constraints: ClassVar[bool] = False

    rank: Annotated[int, _checks.whole(minimum=1)]
    alpha: Annotated[float | None, _checks.optional(_checks.number(above=0))] = None
    base: AnyForm = None

    def check_together(self) -> None:
        if isinstance(get(self.base), LowRank):
            raise TypeError("LowRank: base: expected a form other than LowRank; add the ranks of the two")

    @property
    def scale(self) -> float:
        """`alpha / rank`."""
        return 1.0 if self.alpha is None else self.alpha / self.rank

    @property
    def formula(self) -> str:
        return f"{get(self.base).formula} + {self.scale:g} * lora_kernel_a @ lora_kernel_b"

    def declare(self, kernel: Param, axes: KernelAxes) -> dict[str, Param]:
        rank = len(kernel.shape)
        groups = axes.experts, axes.inputs, axes.units(rank)
        experts, inputs, units = (tuple(kernel.shape[axis] for axis in group) for group in groups)
        of_experts, of_inputs, of_units = (tuple(kernel.axes[axis] for axis in group) for group in groups)
        fan_in, fan_out = (math.prod(n or 0 for n in sizes) for sizes in (inputs, units))
        # Adapters of a narrow kernel are stored in float32, because a narrow dtype would round small updates to zero.
        adapter = replace(kernel, dtype=accumulator(kernel.dtype).name)
        # The kernel does not change, so a penalty on it would be a constant.
        base = get(self.base).declare(replace(kernel, regularizer=None), axes)
        return {
            **{name: replace(leaf, trainable=False) for name, leaf in base.items()},
            "lora_kernel_a": replace(
                adapter,
                shape=(*experts, *inputs, self.rank),
                axes=(*of_experts, *of_inputs, "rank"),
                initializer=HeUniform(),
                fans=Fans(fan_in, self.rank, fan_in),
            ),
            "lora_kernel_b": replace(
                adapter,
                shape=(*experts, self.rank, *units),
                axes=(*of_experts, "rank", *of_units),
                initializer=Zeros(),
                fans=Fans(self.rank, fan_out, self.rank),
            ),
        }

    def contract(self, params: Mapping[str, Array], x: Array, axes: Axes, compute_dtype: DTypeLike) -> Array:
        y = get(self.base).contract(params, x, axes, compute_dtype)
        down, up = params["lora_kernel_a"], params["lora_kernel_b"]
        experts = tuple(range(len(axes.w_batch)))
        inputs = tuple(range(len(experts), down.ndim - 1))
        # Right to left: `(x @ a) @ b` costs rank * (in + units) for each row, and `a @ b` is never stored.
        thin = product(x, down, Axes(axes.x_sum, inputs, axes.x_batch, experts), compute_dtype)
        wide = product(thin, up, Axes((thin.ndim - 1,), (len(experts),), experts, experts), compute_dtype)
        return y + self.scale * wide

    def materialize(self, params: Mapping[str, Array], axes: KernelAxes) -> Array:
        kernel = get(self.base).materialize(params, axes)
        down, up = params["lora_kernel_a"], params["lora_kernel_b"]
        experts = tuple(range(len(axes.experts)))
        change = product(down, up, Axes((down.ndim - 1,), (len(experts),), experts, experts), down.dtype)
        # The product's axes are experts, inputs, units; the kernel's are in the order of the equation.
        order = axes.experts + axes.inputs + axes.units(kernel.ndim)
        change = jnp.transpose(change, sorted(range(kernel.ndim), key=order.__getitem__))
        return add(kernel, self.scale * change).astype(kernel.dtype)

    def decompose(self, kernel: Array, axes: KernelAxes) -> dict[str, Array]:
        return get(self.base).decompose(kernel, axes)
