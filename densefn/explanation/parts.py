"""The parts of a model: what can be said of each of its layers.

A layer that is registered here is explained in its own terms, any other by its parameters and by what XLA counts.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import singledispatch
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, ShapeDtypeStruct

from densefn import activations, forms, precision, regularizers
from densefn._fans import fans_of
from densefn._values import shown
from densefn.compose import Residual
from densefn.dense import Dense
from densefn.einsum import Einsum
from densefn.explanation import formulas
from densefn.explanation.cost import Cost, abstract, operations
from densefn.explanation.facts import Example, Parameter, Part, Product
from densefn.function import Function
from densefn.layer import InputShape, Layer, Shape
from densefn.param import Param, name_of


class Place(NamedTuple):
    """Where a layer stands in a model: its path, how often, and the dtype of what it is given."""

    path: str = ""
    times: int = 1
    dtype: Any = jnp.float32


def parts(layer: Layer, shape: Shape, place: Place) -> Iterator[Part]:
    """The parts of a layer: those of the layers in it, then its own."""
    dtype = place.dtype
    for name, times, inner, inner_shape in layer.inner(shape):
        path = f"{place.path}/{name or ''}".strip("/")
        yield from parts(inner, tuple(inner_shape or shape), Place(path, place.times * (times or 1), dtype))
        dtype = jax.eval_shape(inner.apply, *abstract(inner, sizes(inner_shape or shape), dtype)).dtype
    yield from own(layer, shape, place)


@singledispatch
def own(layer: Layer, shape: Shape, place: Place) -> Iterator[Part]:
    """What a layer computes beside the layers in it; one that is not known here has a cost that XLA tells."""
    if not layer.inner(shape):
        yield _counted(layer, shape, place, f"{type(layer).__name__}(x[{dims(shape)}])")


def _counted(layer: Layer, shape: Shape, place: Place, expression: str, remarks: tuple[str, ...] = ()) -> Part:
    forward, backward = operations(layer.forward, *abstract(layer, sizes(shape), place.dtype))
    equation = f"y[{dims(layer.output_shape(shape))}] = {expression}"
    return _part(layer, shape, place, equation, Cost(forward, backward), remarks=remarks)


@own.register
def _(layer: Residual, shape: Shape, place: Place) -> Iterator[Part]:
    equation = f"y[{dims(shape)}] = x[{dims(shape)}] + the layers above"
    remark = "The input is added to the output of the layers above; the gradient of either is that of y."
    count = math.prod(sizes(shape))
    size = count * jnp.dtype(place.dtype).itemsize
    # Forward, two arrays are read and one is written; back, two gradients of the input are added.
    sum_ = _part(Function("linear"), shape, place, equation, Cost(count, count, 3 * size, 3 * size), remarks=(remark,))
    yield replace(sum_, layer="x + ...")


@own.register
def _(layer: Function, shape: Shape, place: Place) -> Iterator[Part]:
    x = ShapeDtypeStruct(sizes(shape), place.dtype)
    equation = f"y[{dims(layer.output_shape(shape))}] = {_label(layer.function)}(x[{dims(shape)}])"
    size = x.size * x.dtype.itemsize
    cost = Cost(*operations(activations.get(layer.function), x), 2 * size, 3 * size)
    yield _part(layer, shape, place, equation, cost, remarks=tuple(_activation(layer.function)))


@own.register
def _(layer: Dense, shape: Shape, place: Place) -> Iterator[Part]:
    if forms.get(layer.kernel_form) != forms.PLAIN:
        yield _formed(layer, shape, place, f"x[{dims(shape)}] @ W")
        return
    inner, units, batch = shape[-1] or 0, layer.units, sizes(shape)[:-1]
    rows = math.prod(batch)
    lead = dims((*shape[:-1], units))
    product = f"x[{dims(shape)}] @ kernel[{inner}, {units}]" + (f" + bias[{units}]" if layer.use_bias else "")
    examples = dims(shape[:-1]).replace(", ", " * ") or "1"
    first = dims(shape[:1]) if batch else "1"
    yield _part(
        layer,
        shape,
        place,
        _with_activation(layer, shape, lead, product),
        _product_cost(layer, sizes(shape), (*batch, units), 2 * rows * inner * units),
        remarks=(*_rows(shape), *_activation(layer.activation), *_activity(layer, first), *_precision(layer)),
        gradients=(
            *_through_activation(layer, lead),
            f"dL/dkernel[{inner}, {units}] = x^T[{inner}, {examples}] @ g[{examples}, {units}]",
            *([f"dL/dbias[{units}] = sum of g over its {examples} rows"] if layer.use_bias else []),
            f"dL/dx[{dims(shape)}] = g[{lead}] @ kernel^T[{units}, {inner}]",
        ),
        product=Product(rows if None not in shape[:-1] else None, inner, units, layer.use_bias),
        example=_example(layer),
    )


@own.register
def _(layer: Einsum, shape: Shape, place: Place) -> Iterator[Part]:
    if forms.get(layer.kernel_form) != forms.PLAIN:
        yield _formed(layer, shape, place, f"einsum('{layer.equation}', x[{dims(shape)}], W)")
        return
    equation, axes = layer.axes(sizes(shape))
    declared = layer.declare(sizes(shape))
    kernel = declared["kernel"].shape
    named = layer.axes(shape)[1]
    lead = dims(tuple(named[axis] for axis in equation.y))
    summed = "".join(axis for axis in equation.x if axis not in equation.kernel + equation.y)
    gradient = "".join(axis for axis in equation.x if axis not in summed)
    repeated = f", the same along {summed}" if summed else ""
    first = next((dims((named[axis],)) for axis in equation.y if axis not in equation.kernel), "1")
    product = f"einsum('{equation}', x[{dims(shape)}], kernel[{dims(kernel)}])"
    bias = f" + bias[{dims(declared['bias'].shape)}]" if layer.use_bias else ""
    y = tuple(axes[axis] for axis in equation.y)
    yield _part(
        layer,
        shape,
        place,
        _with_activation(layer, shape, lead, product + bias),
        _product_cost(layer, sizes(shape), y, 2 * math.prod(axes.values())),
        remarks=(*_activation(layer.activation), *_activity(layer, first), *_precision(layer)),
        gradients=(
            *_through_activation(layer, lead),
            f"dL/dkernel[{dims(kernel)}] = einsum('{equation.x},{equation.y}->{equation.kernel}', x, g)",
            *(["dL/dbias = sum of g over the axes that the bias lacks"] if layer.use_bias else []),
            f"dL/dx[{dims(shape)}] = einsum('{equation.y},{equation.kernel}->{gradient}', g, kernel){repeated}",
        ),
    )


def _formed(layer: Dense | Einsum, shape: Shape, place: Place, product: str) -> Part:
    """A layer whose kernel has a form: what the form says of it, and what XLA counts."""
    name, bias = _label(layer.activation), " + bias" if layer.use_bias else ""
    expression = f"{product}{bias}" if name == "linear" else f"{name}({product}{bias})"
    formula = f"W, the kernel in the product, is {forms.get(layer.kernel_form).formula}; it is not computed as such."
    remarks = (formula, *_activation(layer.activation), *_precision(layer))
    return _counted(layer, shape, place, expression, remarks)


def dims(shape: Shape) -> str:
    """Writes a shape, with N for any number: `"N, 100"`."""
    return ", ".join("N" if n is None else str(n) for n in shape)


def _part(layer: Layer, shape: Shape, place: Place, equation: str, cost: Cost, **found: Any) -> Part:
    y = jax.eval_shape(layer.apply, *abstract(layer, sizes(shape), place.dtype))
    declared = jax.tree_util.tree_leaves_with_path(layer.declare(shape))
    return Part(
        path=place.path,
        layer=repr(layer),
        times=place.times,
        input_shape=shape,
        output_shape=layer.output_shape(shape),
        output_bytes=place.times * y.size * y.dtype.itemsize,
        equation=equation,
        parameters=tuple(_parameter(name_of(where), p, place.times) for where, p in declared),
        cost=cost * place.times,
        **found,
    )


def _parameter(name: str, p: Param, times: int) -> Parameter:
    shape = tuple(n or 0 for n in p.full_shape)
    return Parameter(
        name,
        shape,
        times * p.count,
        times * p.count * jnp.dtype(p.dtype).itemsize,
        p.initializer.formula(p.fans or fans_of(shape)),
        formulas.applied(p.regularizer, name) if p.regularizer else None,
        formulas.applied(p.constraint, name) if p.constraint else None,
    )


def sizes(shape: InputShape) -> tuple[int, ...]:
    """A shape of numbers: one example where any number will do."""
    return tuple(1 if n is None else n for n in shape)


def _with_activation(layer: Dense | Einsum, shape: Shape, lead: str, product: str) -> str:
    name = _label(layer.activation)
    if name == "linear":
        return f"y[{lead}] = {product}"
    return f"y[{dims(layer.output_shape(shape))}] = {name}(z), z[{lead}] = {product}"


def _rows(shape: Shape) -> Iterator[str]:
    rows, lead = dims(shape[:-1]), len(shape) - 1
    if lead > 1:
        yield f"The leading dimensions ({rows}) are kept: it is one product of their rows, as if x were a matrix."
    yield f"The last axis of x, {shape[-1]} long, is contracted with the first of the kernel."
    if lead:
        yield (
            f"One product serves all {rows.replace(', ', ' * ')} examples at once: each row of it is the product of "
            "that row of x alone with the kernel."
        )


def _activation(activation: activations.AnyActivation | None) -> Iterator[str]:
    name, formula = _label(activation), formulas.activation(activation)
    if name != "linear" and formula != f"{name}(z)":
        yield f"{name}(z) = {formula}"


def _label(activation: activations.AnyActivation | None) -> str:
    return activations.name_of(activation) or shown(activation)


def _activity(layer: Dense | Einsum, batch: str) -> Iterator[str]:
    regularizer = regularizers.get(layer.activity_regularizer)
    if regularizer is not None:
        yield f"Penalty of the output: {formulas.applied(regularizer, 'y')} / {batch}, the size of its batch axis."


def _precision(layer: Dense | Einsum) -> Iterator[str]:
    policy = layer.policy
    if policy != precision.get("float32"):
        yield (
            f"Parameters are stored in {policy.param_dtype}, the product has operands in {policy.compute_dtype} and "
            f"accumulates in {policy.accumulator_dtype}, the output is {policy.output_dtype}."
        )


def _through_activation(layer: Dense | Einsum, lead: str) -> Iterator[str]:
    name = _label(layer.activation)
    if name == "linear":
        yield f"g[{lead}] = dL/dy"
    else:
        yield f"g[{lead}] = dL/dz, which is dL/dy times the Jacobian of {name} at z"


def _product_cost(layer: Dense | Einsum, shape: tuple[int, ...], y: tuple[int, ...], flops: int) -> Cost:
    """The cost of a product and of its epilogue.

    Args:
      layer: which has activation, bias and regularizers.
      shape: of the input.
      y: the shape of the product.
      flops: of the product.
    """
    params, x = abstract(layer, shape)
    item, wide = jnp.dtype(layer.policy.compute_dtype).itemsize, layer.policy.accumulator_dtype.itemsize
    z = ShapeDtypeStruct(y, layer.policy.accumulator_dtype)
    moved = item * (x.size + params["kernel"].size) + wide * z.size
    bias = params["bias"].size if layer.use_bias else 0
    activated = activations.name_of(layer.activation) != "linear"
    cost = Cost(flops, 2 * flops, moved, 2 * moved)
    if layer.use_bias:
        cost += Cost(z.size, z.size, 0, wide * (z.size + bias))
    if activated:
        cost += Cost(*operations(activations.get(layer.activation), z), 0, 3 * wide * z.size)
    if layer.use_bias or activated:
        cost += Cost(0, 0, 2 * wide * z.size + wide * bias)
    output = jax.eval_shape(activations.get(layer.activation), z)
    for regularizer, w in (
        (layer.kernel_regularizer, params["kernel"]),
        (layer.bias_regularizer, params.get("bias")),
        (layer.activity_regularizer, output),
    ):
        penalty = regularizers.get(regularizer)
        cost += Cost() if penalty is None else Cost(*operations(penalty, w))
    return cost


def _example(layer: Dense) -> Example | None:
    """A layer of 3 inputs and 2 units with the same activation, applied to two rows of small whole numbers.

    There is none for a function or an axis of one's own, which may not fit such a small layer.
    """
    written = dict(layer.activation.arguments) if isinstance(layer.activation, activations.Activation) else {}
    if activations.name_of(layer.activation) is None or written.get("axis", -1) != -1:
        return None
    small = replace(
        layer, units=2, dtype="float32", kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None
    )
    x = jnp.array([[1.0, 2.0, -1.0], [0.0, 1.0, 3.0]])
    params = {"kernel": jnp.array([[1.0, 0.0], [2.0, -1.0], [0.0, 1.0]]), "bias": jnp.array([1.0, -1.0])}
    if not layer.use_bias:
        del params["bias"]
    bias = tuple(params["bias"].tolist()) if layer.use_bias else None
    z, y = replace(small, activation=None).apply(params, x), small.apply(params, x)
    return Example(_table(x), _table(params["kernel"]), bias, _table(z), _table(y))


def _table(x: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in np.asarray(x).tolist())
