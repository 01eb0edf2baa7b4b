"""The model that is exported: a layer with its parameters, as a function of rows in the units of the data."""

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
"""The largest spacing of a dtype's numbers at a column's mean that is accepted, in its standard deviations."""


class ExportError(ValueError):
    """A model that cannot be exported, or a format that cannot express it."""


@dataclass(frozen=True)
class Affine:
    """A mean and a scale for each entry of a last axis.

    Attributes:
      mean: `[n]`.
      scale: `[n]`.
      names: the names of the entries, for messages. If empty, messages have their indices.
    """

    mean: Sequence[float]
    scale: Sequence[float]
    names: Sequence[str] = ()

    def arrays(self, dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale as arrays `[n]`."""
        return np.asarray(self.mean, dtype), np.asarray(self.scale, dtype)

    def check(self, size: int | None, what: str) -> None:
        """Checks that mean and scale have one number for each entry of an axis.

        Raises:
          ExportError: if they do not.
        """
        if {len(self.mean), len(self.scale)} != {size}:
            counts = f"{len(self.mean)} and {len(self.scale)}"
            raise ExportError(f"expected a mean and a scale for each of the {size} {what}, got {counts}")

    def spacing(self, dtype: DTypeLike) -> np.ndarray:
        """The spacing of a dtype's numbers at the mean, divided by the scale, `[n]`; infinite beyond its range."""
        mean, scale = self.arrays(np.float64)
        limits = np.finfo(dtype)
        is_held = (np.abs(mean) <= limits.max) & (scale >= limits.tiny) & (scale <= limits.max)
        with np.errstate(over="ignore"):
            return np.where(is_held, limits.eps * np.abs(mean) / scale, np.inf)

    def check_spacing(self, dtype: DTypeLike, what: str) -> None:
        """Checks that the spacing of a dtype at each mean is at most a thousandth of the scale.

        Raises:
          ExportError: if it does not, with the name of the entry.
        """
        spacing = self.spacing(dtype)
        if spacing.max(initial=0) > _LOST:
            worst = int(spacing.argmax())
            name, mean, scale = repr(self.names[worst]) if self.names else worst, self.mean[worst], self.scale[worst]
            raise ExportError(
                f"{what} {name}: {np.dtype(dtype)}, the dtype of the file's input, is too coarse for a mean of "
                f"{mean:.6g} and a standard deviation of {scale:.3g}; subtract {mean:.3g} from it in the data, or "
                "change its unit, and train again; --format safetensors keeps float64"
            )


def named(outputs: Any) -> Any:
    """A single array as it is; the arrays of a tree as a dict from their paths.

    >>> named({"policy": (1.0, 2.0), "value": 3.0})
    {'policy/0': 1.0, 'policy/1': 2.0, 'value': 3.0}
    """
    leaves = {name_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(outputs)}
    return leaves[""] if list(leaves) == [""] else leaves


@dataclass(frozen=True)
class Model:
    """The function `x -> outputs.scale * layer((x - inputs.mean) / inputs.scale) + outputs.mean`.

    For a layer with several outputs, its value is a dict from their paths to arrays.

    Attributes:
      layer: the layer.
      params: its parameters.
      input_shape: the shape of its input; None for an axis of any size.
      inputs: the mean and scale by which training standardized the inputs; None if it did not.
      outputs: the mean and scale by which training standardized the targets; None if it did not.

    Raises:
      ExportError: if a mean or scale does not fit the shapes of the layer.
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
        """The dtype of inputs and outputs: float64 if a parameter is float64, else float32."""
        wide = any(w.dtype == np.float64 for w in jax.tree.leaves(self.params))
        return np.dtype(np.float64 if wide else np.float32)

    @property
    def axes(self) -> tuple[int | str, ...]:
        """The input's shape, with names for the axes of any size: `"batch"` for the first, then `"n1"`, `"n2"`."""
        free = [axis for axis, size in enumerate(self.input_shape) if size is None]
        names = {axis: f"n{i}" if i else "batch" for i, axis in enumerate(free)}
        return tuple(names[axis] if size is None else size for axis, size in enumerate(self.input_shape))

    @property
    def symbolic(self) -> jax.ShapeDtypeStruct:
        """An abstract input, with a symbol for the size of each free axis."""
        sizes = ", ".join(map(str, self.axes))
        return jax.ShapeDtypeStruct(jax.export.symbolic_shape(f"({sizes},)"), self.dtype)

    def apply(self, params: Any, x: Array) -> Any:
        """Applies the function to rows `[..., features]` of `dtype`. Returns an array, or a dict of several arrays."""
        # Broadcast explicitly, so that a user may forbid implicit rank promotion (jax_numpy_rank_promotion).
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
        """Like `apply`, for NumPy arrays: it standardizes and converts units in float64."""
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
        """Random float64 rows, with the mean and scale of the inputs."""
        free = dict.fromkeys(self.axes, 3) | {"batch": batch}
        shape = tuple(free[size] if isinstance(size, str) else size for size in self.axes)
        x = np.random.default_rng(batch).standard_normal(shape)
        if self.inputs:
            mean, scale = self.inputs.arrays(np.float64)
            return x * scale + mean
        return x.astype(self.dtype)
