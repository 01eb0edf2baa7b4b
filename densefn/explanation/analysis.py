"""Analyzes a layer: its parts, their totals, and the program that XLA compiles for it."""

import math
from typing import Any

import jax

from densefn.explanation.cost import Cost, abstract, compiled, there_and_back, with_cotangent
from densefn.explanation.facts import Facts, Memory
from densefn.explanation.layers import Place, parts, sizes
from densefn.explanation.machines import Machine, find
from densefn.explanation.page import fragment
from densefn.explanation.text import text
from densefn.layer import Layer, Shape, is_shape
from densefn.partition import partition
from densefn.summary import summary


class Explanation(Facts):
    """The facts about a layer. They print as text, and a notebook shows them as a page."""

    def __str__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return fragment(self)


# The most entries of an array. More of them, 4 TiB in float32, fit the memory of no accelerator.
_MOST = 2**40


def analyze(layer: Layer, shape: Shape, machine: str | Machine | None) -> Explanation:
    """Analyzes a layer for inputs of a valid shape."""
    machines = find(machine)
    _check(layer, sizes(shape))
    found = tuple(parts(layer, shape, Place()))
    params, x = abstract(layer, sizes(shape))
    trainable, frozen = map(jax.tree.leaves, partition(layer, params))
    size, changed = map(_bytes, (trainable + frozen, trainable))
    return Explanation(
        layer=repr(layer),
        input_shape=shape,
        output_shape=layer.output_shape(shape),
        count=sum(leaf.size for leaf in trainable + frozen),
        frozen=sum(leaf.size for leaf in frozen),
        parts=found,
        cost=sum((part.cost for part in found), Cost()),
        memory=Memory(size, changed, 2 * changed, x.size * x.dtype.itemsize + sum(part.output_bytes for part in found)),
        forward=compiled(layer.forward, params, x),
        training=compiled(there_and_back(layer.forward), *with_cotangent(layer.forward, params, x)),
        model=summary(layer, shape),
        rooflines=tuple(machine.roofline([(part.cost, part.operands) for part in found]) for machine in machines),
    )


def _bytes(leaves: list[Any]) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def _check(layer: Layer, shape: tuple[int, ...]) -> None:
    """Checks, without computing, that the layer can be initialized, applied and projected."""
    counts = [math.prod(shape), *(p.count for p in jax.tree.leaves(layer.declare(shape)))]
    outputs = jax.tree.leaves(layer.output_shape(shape), is_leaf=is_shape)  # a group may have several
    if max(*counts, *(math.prod(sizes(output)) for output in outputs)) > _MOST:
        raise ValueError(f"{layer!r}: expected arrays of at most 2^40 entries, got more for an input {shape}")
    params = jax.eval_shape(lambda: layer.init(jax.random.key(0), shape))
    jax.eval_shape(layer.project, params)
