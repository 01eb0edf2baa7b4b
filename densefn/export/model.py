"""What is exported: a layer with its parameters, as a function of rows in their own units."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from densefn.layer import Layer, Shape, is_shape
from densefn.param import name_of

_LOST = 2**-10
"""Of a standard deviation: what the roundings of a program's numbers may take from a column or target."""


class ExportError(ValueError):
    """A model that cannot be exported, or a format that cannot express it."""


@dataclass(frozen=True)
class Affine:
    """A mean and a scale for each entry of a last axis.

    Attributes:
      mean: `[n]`.
      scale: `[n]`.
      names: of the entries, for messages; without them, their numbers stand there.
    """

    mean: Sequence[float]
    scale: Sequence[float]
    names: Sequence[str] = ()

    def arrays(self, dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale as arrays `[n]`."""
        return np.asarray(self.mean, dtype), np.asarray(self.scale, dtype)

    def check(self, size: int | None, what: str) -> None:
        """Checks that both have as many numbers as an axis has entries.

        Raises:
          ExportError: if they have not.
        """
        if {len(self.mean), len(self.scale)} != {size}:
            counts = f"{len(self.mean)} and {len(self.scale)}"
            raise ExportError(f"expected a mean and a scale for each of the {size} {what}, got {counts}")

    def spacing(self, dtype: DTypeLike) -> np.ndarray:
        """How far apart numbers of a dtype are at the mean, in scales `[n]`; infinite where it has no such numbers."""
        mean, scale = self.arrays(np.float64)
        limits = np.finfo(dtype)
        is_held = (np.abs(mean) <= limits.max) & (scale >= limits.tiny) & (scale <= limits.max)
        with np.errstate(over="ignore"):
            return np.where(is_held, limits.eps * np.abs(mean) / scale, np.inf)

    def check_spacing(self, dtype: DTypeLike, what: str) -> None:
        """Checks that a dtype tells the numbers of each entry apart.

        Raises:
          ExportError: names the entry whose numbers lose more than a thousandth of their scale.
        """
        spacing = self.spacing(dtype)
        if spacing.max(initial=0) > _LOST:
            worst = int(spacing.argmax())
            name, mean, scale = repr(self.names[worst]) if self.names else worst, self.mean[worst], self.scale[worst]
            raise ExportError(
                f"{what} {name}: {np.dtype(dtype)}, which the file takes, cannot tell numbers apart with a mean of "
                f"{mean:.6g} and a standard deviation of {scale:.3g}; write them in the data as the distance from "
                f"{mean:.3g}, or in another unit, and train anew; --format safetensors keeps float64"
            )


def named(outputs: Any) -> Any:
    """One array as it is; those of any other tree by their paths, as a dict.

    >>> named({"policy": (1.0, 2.0), "value": 3.0})
    {'policy/0': 1.0, 'policy/1': 2.0, 'value': 3.0}
    """
    leaves = {name_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(outputs)}
    return leaves[""] if list(leaves) == [""] else leaves


@dataclass(frozen=True)
class Model:
    """The function `x -> outputs.scale * layer((x - inputs.mean) / inputs.scale) + outputs.mean`.

    The outputs of a layer with several are a dict from their paths to arrays.

    Attributes:
      layer: the layer.
      params: its parameters.
      input_shape: of its input; an axis that is None has any size.
      inputs: what was taken from the inputs in training; None for nothing.
      outputs: what the outputs are to be given back; None for nothing.

    Raises:
      ExportError: if mean and scale do not fit the shape.
    """

    layer: Layer
    params: Any
    input_shape: Shape
    inputs: Affine | None = None
    outputs: Affine | None = None

    def __post_init__(self):
        if self.inputs:
            self.inputs.check(self.input_shape[-1], "features")
        if self.outputs:
            shape = self.layer.output_shape(self.input_shape)
            if not is_shape(shape):
                raise ExportError(f"expected no mean and scale for a model with several outputs, got {self.outputs}")
            self.outputs.check(shape[-1], "outputs")

    @property
    def dtype(self) -> np.dtype:
        """The dtype of rows and results: float64 for a model with such parameters, float32 for all others."""
        wide = any(w.dtype == np.float64 for w in jax.tree.leaves(self.params))
        return np.dtype(np.float64 if wide else np.float32)

    @property
    def axes(self) -> tuple[int | str, ...]:
        """The shape of the input, with a name for each axis of any size, the first of which is the batch's."""
        free = [axis for axis, size in enumerate(self.input_shape) if size is None]
        names = {axis: f"n{i}" if i else "batch" for i, axis in enumerate(free)}
        return tuple(names[axis] if size is None else size for axis, size in enumerate(self.input_shape))

    @property
    def symbolic(self) -> jax.ShapeDtypeStruct:
        """An input whose free axes have symbols for sizes."""
        sizes = ", ".join(map(str, self.axes))
        return jax.ShapeDtypeStruct(jax.export.symbolic_shape(f"({sizes},)"), self.dtype)

    def apply(self, params: Any, x: Array) -> Any:
        """The function, of rows in their own units, `[..., features]`, in `dtype`: an array, or a dict of several."""
        z = x
        if self.inputs:
            mean, scale = (jnp.broadcast_to(a, x.shape) for a in self.inputs.arrays(x.dtype))
            z = (x - mean) / scale
        y = jax.tree.map(lambda y: jnp.asarray(y, x.dtype), named(self.layer.apply(params, z)))
        if self.outputs:
            mean, scale = (jnp.broadcast_to(a, y.shape) for a in self.outputs.arrays(y.dtype))
            y = y * scale + mean
        return y

    def predict(self, x: np.ndarray) -> Any:
        """As `apply`, in NumPy: means and scales in float64, the layer as it computes."""
        mean, scale = self.inputs.arrays(np.float64) if self.inputs else (0, 1)
        y = named(self._layer(self.params, ((x - mean) / scale).astype(self.dtype)))
        y = jax.tree.map(lambda y: np.asarray(y).astype(self.dtype), y)
        if not self.outputs:
            return y
        mean, scale = self.outputs.arrays(np.float64)
        return y * scale + mean

    @cached_property
    def _layer(self) -> Any:
        return jax.jit(self.layer.apply)

    def example(self, batch: int) -> np.ndarray:
        """Rows of float64 such as training sees them: each feature normal, with its mean and its scale."""
        free = dict.fromkeys(self.axes, 3) | {"batch": batch}
        shape = tuple(free[size] if isinstance(size, str) else size for size in self.axes)
        x = np.random.default_rng(batch).standard_normal(shape)
        if self.inputs:
            mean, scale = self.inputs.arrays(np.float64)
            return x * scale + mean
        return x.astype(self.dtype)
