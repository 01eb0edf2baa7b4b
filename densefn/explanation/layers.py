"""Describes each layer of a model.

`Dense`, `Einsum`, `Function` and `Residual` have descriptions here. Any other layer is described by its parameters and
by XLA's counts.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import singledispatch
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import ShapeDtypeStruct

from densefn import activations, forms, precision, regularizers
from densefn._arguments import dims
from densefn._equation import Equation
from densefn._fans import fans_of
from densefn.compose import Residual
from densefn.dense import Dense
from densefn.einsum import Einsum
from densefn.explanation import formulas
from densefn.explanation.cost import Cost, abstract, counted, product_cost
from densefn.explanation.density import density
from densefn.explanation.example import example
from densefn.explanation.facts import Axis, Contraction, Parameter, Part, Product
from densefn.function import Function
from densefn.layer import InputShape, Layer, Shape
from densefn.param import Param, name_of


class Place(NamedTuple):
    """The place of a layer in a model: its path, its repetitions, and the dtype of its input."""

    path: str = ""
    times: int = 1
    dtype: Any = jnp.float32


def parts(layer: Layer, shape: Shape, place: Place) -> Iterator[Part]:
    """The parts of the layers inside a layer, and then the layer's own part."""
    dtype = place.dtype
    for name, times, inner, inner_shape in layer.inner(shape):
        path = f"{place.path}/{name or ''}".strip("/")
        yield from parts(inner, tuple(inner_shape or shape), Place(path, place.times * (times or 1), dtype))
        outputs = jax.eval_shape(inner.apply, *abstract(inner, sizes(inner_shape or shape), dtype))
        dtype = jnp.result_type(*jax.tree.leaves(outputs))  # a group may have several, of which no layer follows
    yield from own(layer, shape, place)


@singledispatch
def own(layer: Layer, shape: Shape, place: Place) -> Iterator[Part]:
    """The part of a layer itself, without the layers inside it. The cost of an unknown layer is XLA's count."""
    if not layer.inner(shape):
        yield _counted(layer, shape, place, f"{type(layer).__name__}(x[{dims(shape)}])")


def _counted(layer: Layer, shape: Shape, place: Place, expression: str, **found: Any) -> Part:
    equation = f"y[{dims(layer.output_shape(shape))}] = {expression}"
    cost = counted(layer.forward, *abstract(layer, sizes(shape), place.dtype))
    return _part(layer, shape, place, equation, cost, **found)


@own.register
def _(layer: Residual, shape: Shape, place: Place) -> Iterator[Part]:
    equation = f"y[{dims(shape)}] = x[{dims(shape)}] + f(x)"
    remark = "f stands for the layers inside. The gradient of x is dL/dy plus the gradient through f."
    count = math.prod(sizes(shape))
    size = count * jnp.dtype(place.dtype).itemsize
    # Forward, the sum reads two arrays and writes one. Backward, the sum of the two gradients of x does the same.
    sum_ = _part(Function("linear"), shape, place, equation, Cost(count, count, 3 * size, 3 * size), remarks=(remark,))
    yield replace(sum_, layer="x + ...")


@own.register
def _(layer: Function, shape: Shape, place: Place) -> Iterator[Part]:
    x = ShapeDtypeStruct(sizes(shape), place.dtype)
    equation = f"y[{dims(layer.output_shape(shape))}] = {formulas.name_of(layer.function)}(x[{dims(shape)}])"
    size = x.size * x.dtype.itemsize
    cost = replace(counted(activations.get(layer.function), x), forward_bytes=2 * size, backward_bytes=3 * size)
    yield _part(layer, shape, place, equation, cost, activation=formulas.defined(layer.function))


@own.register
def _(layer: Dense, shape: Shape, place: Place) -> Iterator[Part]:
    if forms.get(layer.kernel_form) != forms.PLAIN:
        yield _formed(layer, shape, place, f"x[{dims(shape)}] @ W")
        return
    inner, units, batch = shape[-1] or 0, layer.units, sizes(shape)[:-1]
    lead, name = dims((*shape[:-1], units)), formulas.name_of(layer.activation)
    product = f"x[{dims(shape)}] @ kernel[{inner}, {units}]" + (f" + bias[{units}]" if layer.use_bias else "")
    examples = dims(shape[:-1]).replace(", ", " * ") or "1"
    rows = "only row" if examples == "1" else f"{examples} rows"
    first = dims(shape[:1]) if batch else "1"
    yield _part(
        layer,
        shape,
        place,
        _with_activation(layer, shape, lead, product),
        product_cost(layer, sizes(shape), (*batch, units), 2 * math.prod(batch) * inner * units),
        remarks=(*_rows(shape), *_precision(layer)),
        activation=formulas.defined(layer.activation),
        activity=_activity(layer, first),
        gradients=(
            *formulas.through(layer.activation, lead),
            f"dL/dkernel[{inner}, {units}] = x^T[{inner}, {examples}] @ g[{examples}, {units}]",
            *([f"dL/dbias[{units}] = sum of g over its {rows}"] if layer.use_bias else []),
            f"dL/dx[{dims(shape)}] = g[{lead}] @ kernel^T[{units}, {inner}]",
        ),
        product=Product(shape, units, layer.use_bias, name, layer.output_shape(shape)),
        example=example(layer),
        operands=layer.policy.compute_dtype,
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
    repeated = f", broadcast along {summed}" if summed else ""
    first = next((dims((named[axis],)) for axis in equation.y if axis not in equation.kernel), "1")
    product = f"einsum('{equation}', x[{dims(shape)}], kernel[{dims(kernel)}])"
    bias = f" + bias[{dims(declared['bias'].shape)}]" if layer.use_bias else ""
    y = tuple(axes[axis] for axis in equation.y)
    yield _part(
        layer,
        shape,
        place,
        _with_activation(layer, shape, lead, product + bias),
        product_cost(layer, sizes(shape), y, 2 * math.prod(axes.values())),
        remarks=tuple(_precision(layer)),
        activation=formulas.defined(layer.activation),
        activity=_activity(layer, first),
        gradients=(
            *formulas.through(layer.activation, lead),
            f"dL/dkernel[{dims(kernel)}] = einsum('{equation.x},{equation.y}->{equation.kernel}', x, g)",
            *(["dL/dbias = sum of g over the axes that the bias lacks"] if layer.use_bias else []),
            f"dL/dx[{dims(shape)}] = einsum('{equation.y},{equation.kernel}->{gradient}', g, kernel){repeated}",
        ),
        contraction=Contraction(tuple(_axis(letter, equation, size) for letter, size in named.items())),
        operands=layer.policy.compute_dtype,
    )


def _axis(letter: str, equation: Equation, size: int | None) -> Axis:
    arrays = zip(("x", "kernel", "y"), equation, strict=True)
    return Axis(letter, size, tuple(name for name, letters in arrays if letter in letters))


def _formed(layer: Dense | Einsum, shape: Shape, place: Place, product: str) -> Part:
    """The part of a layer whose kernel has a form. It has the form's formula, and its cost is XLA's count."""
    name, bias = formulas.name_of(layer.activation), " + bias" if layer.use_bias else ""
    expression = f"{product}{bias}" if name == "linear" else f"{name}({product}{bias})"
    formula = f"W = {forms.get(layer.kernel_form).formula}. W is never stored."
    return _counted(
        layer,
        shape,
        place,
        expression,
        remarks=(formula, *_precision(layer)),
        activation=formulas.defined(layer.activation),
        operands=layer.policy.compute_dtype,
    )


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
    fans = p.fans or fans_of(shape)
    return Parameter(
        name,
        shape,
        times * p.count,
        times * p.count * jnp.dtype(p.dtype).itemsize,
        p.initializer.formula(fans),
        formulas.applied(p.regularizer, name) if p.regularizer else None,
        formulas.applied(p.constraint, name) if p.constraint else None,
        density(p.initializer, name, fans),
    )


def sizes(shape: InputShape) -> tuple[int, ...]:
    """The shape with N = 1."""
    return tuple(1 if n is None else n for n in shape)


def _with_activation(layer: Dense | Einsum, shape: Shape, lead: str, product: str) -> str:
    name = formulas.name_of(layer.activation)
    if name == "linear":
        return f"y[{lead}] = {product}"
    return f"y[{dims(layer.output_shape(shape))}] = {name}(z), z[{lead}] = {product}"


def _rows(shape: Shape) -> Iterator[str]:
    lead = shape[:-1]
    number = dims(lead).replace(", ", " * ")
    if len(lead) > 1:
        yield f"The product takes x as one matrix of {number} rows. The output keeps the leading axes of x."
    yield f"The product sums over the last axis of x and the first of the kernel, both of length {shape[-1]}."
    if lead:
        yield "Each row of x is multiplied by the kernel separately, so no row affects another."


def _activity(layer: Dense | Einsum, batch: str) -> str | None:
    """The formula of the output's penalty, which is divided by the size of the batch axis."""
    regularizer = regularizers.get(layer.activity_regularizer)
    return None if regularizer is None else f"({formulas.applied(regularizer, 'y')}) / {batch}"


def _precision(layer: Dense | Einsum) -> Iterator[str]:
    policy = layer.policy
    if policy != precision.get("float32"):
        yield (
            f"Parameters are stored in {policy.param_dtype}. The product multiplies in {policy.compute_dtype} and sums "
            f"in {policy.accumulator_dtype}. The output is {policy.output_dtype}."
        )
