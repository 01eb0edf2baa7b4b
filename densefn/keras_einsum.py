"""Converts the configs of Keras's EinsumDense to the fields of `Einsum` and back.

Keras's `output_shape` has an entry for each axis of the output except the batch; `units` has entries only for the new
axes. In Keras, `bias_axes=None` means no bias; here that is `use_bias=False`.

Source: `keras/src/layers/core/einsum_dense.py` of Keras 3.15.
"""

from collections.abc import Mapping
from typing import Any

from densefn._equation import ELLIPSIS, Equation, parse


def listed(equation: Equation) -> str:
    """The axes of the output for which Keras's `output_shape` has an entry.

    Raises:
      ValueError: if Keras does not accept the equation. The first axis of its input and output must be the batch.
    """
    for part in (equation.x, equation.y):
        if ELLIPSIS in part.strip(".") or part in ("", ELLIPSIS):
            raise ValueError(
                f"Einsum: equation: Keras has the ellipsis at either end, beside an axis; got '{equation}'"
            )
    if equation.x.startswith(ELLIPSIS) != equation.y.startswith(ELLIPSIS):
        raise ValueError(
            f"Einsum: equation: Keras has the ellipsis at the same end of input and output, got '{equation}'"
        )
    if equation.y.startswith(ELLIPSIS):
        return equation.y[len(ELLIPSIS) :]
    if equation.y[0] != equation.x[0]:
        raise ValueError(
            f"Einsum: equation: Keras's output begins with the input's first axis, the batch; got '{equation}'"
        )
    return equation.y.replace(ELLIPSIS, "")[1:]


def to_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keras's config with `units` and `use_bias` instead of `output_shape`.

    Raises:
      ValueError: for an equation or an output shape that Keras cannot build.
    """
    table = dict(config)
    missing = [key for key in ("equation", "output_shape") if key not in table]
    if missing:
        raise ValueError(f"Einsum: missing key {missing[0]!r} of Keras's EinsumDense; there are: {', '.join(table)}")
    given, output = table["equation"], table.pop("output_shape")
    if not isinstance(given, str):
        raise TypeError(f"Einsum: equation: expected a string, got {given!r}")
    try:
        equation = parse(given)
    except ValueError as error:
        raise ValueError(f"Einsum: equation: {error}") from None
    axes, sizes = listed(equation), list(output) if isinstance(output, list | tuple) else [output]
    if len(sizes) != len(axes):
        raise ValueError(f"Einsum: output_shape: expected an entry for each of the axes {axes!r}, got {output!r}")
    units = tuple(size for axis, size in zip(axes, sizes, strict=True) if axis in equation.new)
    if None in units:
        raise ValueError(f"Einsum: output_shape: expected a size for each new axis {equation.new!r}, got {output!r}")
    bias = table.get("bias_axes")
    every = {axis for axis in equation.kernel if axis in equation.y}
    chosen = None if not bias or set(bias) == every else bias
    return {**table, "units": units[0] if len(units) == 1 else units, "use_bias": bool(bias), "bias_axes": chosen}


def from_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keras's config of an `Einsum`, with `output_shape` instead of `units` and `use_bias`.

    Raises:
      ValueError: if EinsumDense does not accept the equation, or needs the size of an axis that is not in `units`.
    """
    table = dict(config)
    units, use_bias = table.pop("units"), table.pop("use_bias")
    equation = parse(table["equation"])
    axes, new = listed(equation), equation.new
    sizes = dict(zip(new, units if isinstance(units, tuple) else (units,), strict=True))
    chosen = equation.kernel if table["bias_axes"] is None else table["bias_axes"]
    bias = "".join(axis for axis in equation.y if axis in chosen) if use_bias else None
    if bias == "":
        raise ValueError("Einsum: bias_axes: Keras has no bias without axes")
    open_axes = [axis for axis in axes if axis not in new and axis in equation.kernel + (bias or "")]
    if open_axes:
        raise ValueError(
            f"Einsum: equation: Keras needs the size of axis {open_axes[0]!r} of kernel or bias in its output_shape, "
            f"which a layer here takes from the input; got '{equation}'"
        )
    return {**table, "output_shape": [sizes.get(axis) for axis in axes], "bias_axes": bias}
