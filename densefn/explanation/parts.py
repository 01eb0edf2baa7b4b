"""The parts of a model: what can be said of each of its layers.

A layer that is registered here is explained in its own terms, any other by its parameters and by what XLA counts.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import singledispatch
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, ShapeDtypeStruct

from densefn import activations, regularizers
from densefn.compose import Function, Repeat, Residual, Sequential
from densefn.dense import Dense
from densefn.einsum import Einsum
from densefn.explanation import formulas
from densefn.explanation.cost import Cost, abstract, operations
from densefn.explanation.facts import Example, Parameter, Part, Product
from densefn.fans import fans_of
from densefn.layer import Layer, Shape
from densefn.param import Param, name_of


@singledispatch
def parts(layer: Layer, shape: Shape, path: str, times: int) -> Iterator[Part]:
    """The parts of a layer; those of a layer that is not known here are one part, whose cost XLA tells."""
    params, x = abstract(layer, sizes(shape))
    forward, backward = operations(layer.forward, params, x)
    equation = f"y[{dims(layer.output_shape(shape))}] = {type(layer).__name__}(x[{dims(shape)}])"
    yield _part(layer, shape, path, times, equation=equation, cost=Cost(forward, backward))


@parts.register
def _(layer: Sequential, shape: Shape, path: str, times: int) -> Iterator[Part]:
    for name, inner in layer.named():
        yield from parts(inner, shape, f"{path}/{name}".strip("/"), times)
        shape = layer.shape(inner.output_shape(shape))


@parts.register
def _(layer: Repeat, shape: Shape, path: str, times: int) -> Iterator[Part]:
    yield from parts(layer.body, shape, path, times * layer.times)


@parts.register
def _(layer: Residual, shape: Shape, path: str, times: int) -> Iterator[Part]:
    yield from parts(layer.body, shape, path, times)
    size = 4 * math.prod(sizes(shape))
    equation = f"y[{dims(shape)}] = x[{dims(shape)}] + the layers above"
    remark = "The input is added to the output of the layers above; the gradient of either is that of y."
    # Forward, two arrays are read and one is written; back, two gradients of the input are added.
    cost = Cost(size / 4, size / 4, 3 * size, 3 * size)
    yield replace(
        _part(Function("linear"), shape, path, times, equation=equation, remarks=(remark,), cost=cost), layer="x + ..."
    )


@parts.register
def _(layer: Function, shape: Shape, path: str, times: int) -> Iterator[Part]:
    x = ShapeDtypeStruct(sizes(shape), jnp.float32)
    name = activations.name_of(layer.function) or "the function"
    equation = f"y[{dims(layer.output_shape(shape))}] = {name}(x[{dims(shape)}])"
    size = 4 * math.prod(x.shape)
    cost = Cost(*operations(activations.get(layer.function), x), 2 * size, 3 * size)
    yield _part(layer, shape, path, times, equation=equation, remarks=tuple(_activation(layer.function)), cost=cost)


@parts.register
def _(layer: Dense, shape: Shape, path: str, times: int) -> Iterator[Part]:
    inner, units, rows = shape[-1] or 0, layer.units, math.prod(sizes(shape)[:-1])
    lead = dims((*shape[:-1], units))
    product = f"x[{dims(shape)}] @ kernel[{inner}, {units}]" + (f" + bias[{units}]" if layer.use_bias else "")
    batch = dims(shape[:-1]).replace(", ", " * ") or "1"
    yield _part(
        layer,
        shape,
        path,
        times,
        equation=_with_activation(layer, shape, lead, product),
        remarks=(*_rows(shape), *_activation(layer.activation), *_activity(layer), *_precision(layer)),
        gradients=(
            *_through_activation(layer, lead),
            f"dL/dkernel[{inner}, {units}] = x^T[{inner}, {batch}] @ g[{batch}, {units}]",
            *([f"dL/dbias[{units}] = sum of g over its {batch} rows"] if layer.use_bias else []),
            f"dL/dx[{dims(shape)}] = g[{lead}] @ kernel^T[{units}, {inner}]",
        ),
        cost=_product_cost(layer, sizes(shape), (rows * inner, inner * units, rows * units), 2 * rows * inner * units),
        product=Product(rows if None not in shape[:-1] else None, inner, units, layer.use_bias),
        example=_example(layer),
    )


@parts.register
def _(layer: Einsum, shape: Shape, path: str, times: int) -> Iterator[Part]:
    equation, axes = layer.axes(sizes(shape))
    declared = layer.declare(sizes(shape))
    kernel = declared["kernel"].shape
    lead = dims(tuple(axes[axis] for axis in equation.y))
    product = f"einsum('{equation}', x[{dims(shape)}], kernel[{dims(kernel)}])"
    bias = f" + bias[{dims(declared['bias'].shape)}]" if layer.use_bias else ""
    x, weights, y = (math.prod(axes[axis] for axis in letters) for letters in equation)
    yield _part(
        layer,
        shape,
        path,
        times,
        equation=_with_activation(layer, shape, lead, product + bias),
        remarks=(*_activation(layer.activation), *_activity(layer), *_precision(layer)),
        gradients=(
            *_through_activation(layer, lead),
            f"dL/dkernel[{dims(kernel)}] = einsum('{equation.x},{equation.y}->{equation.kernel}', x, g)",
            *(["dL/dbias = sum of g over the axes that the bias lacks"] if layer.use_bias else []),
            f"dL/dx[{dims(shape)}] = einsum('{equation.y},{equation.kernel}->{equation.x}', g, kernel)",
        ),
        cost=_product_cost(layer, sizes(shape), (x, weights, y), 2 * math.prod(axes.values())),
    )


def dims(shape: Shape) -> str:
    """Writes a shape, with N for any number: `"N, 100"`."""
    return ", ".join("N" if n is None else str(n) for n in shape)


def _part(layer: Layer, shape: Shape, path: str, times: int, **found: Any) -> Part:
    params, x = abstract(layer, sizes(shape))
    y = jax.eval_shape(layer.apply, params, x)
    declared = jax.tree_util.tree_leaves_with_path(layer.declare(shape))
    parameters = tuple(_parameter(name_of(where), p, times) for where, p in declared)
    cost = found.pop("cost") * times
    return Part(
        path=path,
        layer=repr(layer),
        times=times,
        input_shape=shape,
        output_shape=layer.output_shape(shape),
        output_bytes=times * y.size * y.dtype.itemsize,
        parameters=parameters,
        cost=cost,
        **{"remarks": (), "gradients": (), **found},
    )


def _parameter(name: str, p: Param, times: int) -> Parameter:
    shape = tuple(n or 0 for n in p.full_shape)
    return Parameter(
        name,
        shape,
        times * p.count,
        times * p.count * jnp.dtype(p.dtype).itemsize,
        formulas.initial(p.initializer, p.fans or fans_of(shape)),
        formulas.penalty(p.regularizer, name) if p.regularizer else None,
        formulas.projected(p.constraint, name) if p.constraint else None,
    )


def sizes(shape: Shape) -> tuple[int, ...]:
    """A shape of numbers: one example where any number will do."""
    return tuple(1 if n is None else n for n in shape)


def _with_activation(layer: Dense | Einsum, shape: Shape, lead: str, product: str) -> str:
    name = activations.name_of(layer.activation)
    if name == "linear":
        return f"y[{lead}] = {product}"
    return f"y[{dims(layer.output_shape(shape))}] = {name or 'activation'}(z), z[{lead}] = {product}"


def _rows(shape: Shape) -> Iterator[str]:
    rows, lead = dims(shape[:-1]), len(shape) - 1
    if lead > 1:
        yield f"The leading dimensions ({rows}) are kept: it is one product of their rows, as if x were a matrix."
    yield f"The last axis of x, {shape[-1]} long, is contracted with the first of the kernel."
    if lead:
        yield (
            f"One product serves all {rows.replace(', ', ' * ')} examples at once: each row of y is what the layer "
            "makes of that row of x alone."
        )


def _activation(activation: activations.AnyActivation | None) -> Iterator[str]:
    name = activations.name_of(activation)
    if name != "linear":
        yield f"{name or 'activation'}(z) = {formulas.activation(activation)}"


def _activity(layer: Dense | Einsum) -> Iterator[str]:
    regularizer = regularizers.get(layer.activity_regularizer)
    if regularizer is not None:
        yield f"Penalty of the output: {formulas.penalty(regularizer, 'y')} / the number of examples."


def _precision(layer: Dense | Einsum) -> Iterator[str]:
    policy = layer.policy
    if policy.compute_dtype != "float32":
        yield (
            f"Parameters are stored in {policy.param_dtype}, the product has operands in {policy.compute_dtype} and "
            f"accumulates in {policy.accumulator_dtype}, the output is {policy.output_dtype}."
        )


def _through_activation(layer: Dense | Einsum, lead: str) -> Iterator[str]:
    name = activations.name_of(layer.activation)
    if name == "linear":
        yield f"g[{lead}] = dL/dy"
    else:
        yield f"g[{lead}] = dL/dz, which is dL/dy times the derivative of {name or 'the activation'} at z"


def _product_cost(layer: Dense | Einsum, shape: tuple[int, ...], axes: tuple[int, int, int], flops: int) -> Cost:
    """The cost of a product and of its epilogue.

    Args:
      layer: which has activation, bias and regularizers.
      shape: of the input.
      axes: the number of entries of input, kernel and output.
      flops: of the product.
    """
    x, kernel, y = axes
    params, _ = abstract(layer, shape)
    item, wide = jnp.dtype(layer.policy.compute_dtype).itemsize, layer.policy.accumulator_dtype.itemsize
    moved = item * (x + kernel) + wide * y
    cost = Cost(flops, 2 * flops, moved, 2 * moved)
    bias = params["bias"].size if layer.use_bias else 0
    if layer.use_bias:
        cost += Cost(y, y, 0, wide * (y + bias))
    activation = activations.get(layer.activation)
    if activation is not activations.linear:
        cost += Cost(*operations(activation, ShapeDtypeStruct((y,), jnp.float32)), 0, 3 * wide * y)
    if layer.use_bias or activation is not activations.linear:
        cost += Cost(0, 0, 2 * wide * y + wide * bias)
    for regularizer, name in ((layer.kernel_regularizer, "kernel"), (layer.bias_regularizer, "bias")):
        penalty = regularizers.get(regularizer)
        cost += Cost() if penalty is None else Cost(*operations(penalty, params[name]))
    return cost


def _example(layer: Dense) -> Example:
    """A layer of 3 inputs and 2 units with the same activation, applied to two rows of small whole numbers."""
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
