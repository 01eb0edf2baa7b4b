"""The NTK parametrisation: the size of a kernel's entries does not depend on the number of inputs."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from jax import Array
from jax.typing import DTypeLike

from densefn import initializers
from densefn._axes import Axes
from densefn._dot import product
from densefn._fans import Fans
from densefn.forms.form import Form, KernelAxes, register
from densefn.initializers import Initializer
from densefn.param import Param


class Widened(Initializer):
    """Draws a kernel, and multiplies it by the square root of its number of inputs."""

    initializer: Annotated[Initializer, initializers.get]

    def draw(self, key: Array, shape: tuple[int, ...], dtype: Any, fans: Fans) -> Array:
        return self.initializer.draw(key, shape, dtype, fans) * math.sqrt(fans.inputs)

    def formula(self, fans: Fans) -> str:
        return f"{self.initializer.formula(fans)}, times sqrt({fans.inputs:,})"


@register
class Ntk(Form):
    """The NTK parametrisation: `y = x @ kernel / sqrt(in)`.

    The stored kernel is `sqrt(in)` times what `kernel_initializer` draws, so the initial outputs are those of the plain
    form. With `"lecun_normal"` its entries have variance 1.

    A step of gradient descent changes `kernel / sqrt(in)` by `1 / in` times the step of a plain kernel. One learning
    rate therefore suits wide and narrow layers. Regularizer and constraint apply to
    the stored kernel.

    >>> import jax
    >>> from densefn import Dense
    >>> layer = Dense(1, kernel_form="ntk", kernel_initializer="ones")
    >>> layer.init(jax.random.key(0), (None, 4))["kernel"].ravel()
    Array([2., 2., 2., 2.], dtype=float32)

    Reference: Jacot et al., "Neural Tangent Kernel", 2018.
    """

    @property
    def formula(self) -> str:
        return "kernel / sqrt(in)"

    # With v = sqrt(in) w and y = x @ v / sqrt(in):
    #
    #     dL/dv = dL/dw / sqrt(in)
    #     a step of v by -r dL/dv changes w by -(r / in) dL/dw
    def declare(self, kernel: Param, axes: KernelAxes) -> dict[str, Param]:
        return {"kernel": replace(kernel, initializer=Widened(kernel.initializer))}

    def contract(self, params: Mapping[str, Array], x: Array, axes: Axes, compute_dtype: DTypeLike) -> Array:
        kernel = params["kernel"]
        return product(x, kernel, axes, compute_dtype) / _root(kernel, axes.w_sum)

    def materialize(self, params: Mapping[str, Array], axes: KernelAxes) -> Array:
        return params["kernel"] / _root(params["kernel"], axes.inputs)

    def decompose(self, kernel: Array, axes: KernelAxes) -> dict[str, Array]:
        return {"kernel": kernel * _root(kernel, axes.inputs)}


def _root(kernel: Array, inputs: tuple[int, ...]) -> float:
    """The square root of the number of inputs. It is 1 for no inputs, where the product is zero anyway."""
    return math.sqrt(max(math.prod(kernel.shape[axis] for axis in inputs), 1))
