"""A program that JAX has traced, as nodes of a graph of ONNX.

Calls of other programs are written out where they stand, and the repetitions of a scan one after the other. What the
wanted outputs do not depend on is left out: the penalties of a layer.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from densefn._jax import ClosedJaxpr, Jaxpr, JaxprEqn, Literal
from densefn.export.graph import Graph
from densefn.export.model import ExportError
from densefn.export.operations import ELEMENTWISE, OTHERS, array

# The primitives that call a program, and the parameter that has it.
_CALLS = {
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "jit": "jaxpr",
    "remat2": "jaxpr",
}


def run(graph: Graph, program: ClosedJaxpr, inputs: Sequence[str], wanted: Sequence[bool]) -> list[str]:
    """Adds what a program computes to a graph.

    Args:
      graph: to which it is added.
      program: the program.
      inputs: the tensors of its inputs.
      wanted: for each of its outputs, whether it is needed.

    Returns:
      The tensors of its outputs; "" for one that is not wanted.

    Raises:
      ExportError: names a primitive for which there is no operator.
    """
    jaxpr = program.jaxpr
    tensors: dict[Any, str] = dict(zip(jaxpr.invars, inputs, strict=True))
    tensors |= {v: graph.constant(value) for v, value in zip(jaxpr.constvars, program.consts, strict=True)}

    def tensor(v: Any) -> str:
        return _literal(graph, v) if isinstance(v, Literal) else tensors[v]

    for eqn, used in _needed(jaxpr, wanted):
        tensors |= zip(eqn.outvars, _applied(graph, eqn, [tensor(v) for v in eqn.invars], used), strict=True)
    return [tensor(v) if want else "" for v, want in zip(jaxpr.outvars, wanted, strict=True)]


def _needed(jaxpr: Jaxpr, wanted: Sequence[bool]) -> Iterator[tuple[JaxprEqn, list[bool]]]:
    """The equations on which the wanted outputs depend, each with which of its own outputs are needed."""
    needed = {v for v, want in zip(jaxpr.outvars, wanted, strict=True) if want and not isinstance(v, Literal)}
    kept = []
    for eqn in reversed(jaxpr.eqns):
        used = [v in needed for v in eqn.outvars]
        if any(used):
            kept.append((eqn, used))
            needed |= {v for v in eqn.invars if not isinstance(v, Literal)}
    return reversed(kept)


def _literal(graph: Graph, literal: Literal) -> str:
    name = graph.constant(np.asarray(literal.val, array(literal).dtype))
    graph.thin.add(name)
    return name


def _applied(graph: Graph, eqn: JaxprEqn, xs: list[str], used: list[bool]) -> Sequence[str]:
    """The tensors of an equation's outputs."""
    name = eqn.primitive.name
    if name in _CALLS:
        return run(graph, _closed(eqn.params[_CALLS[name]]), xs, used)
    if name == "scan":
        return _scanned(graph, eqn, xs, used)
    if name in ELEMENTWISE:
        made = [graph.rounded(ELEMENTWISE[name](graph, eqn, *xs), array(eqn.outvars[0]).dtype)]
        if graph.thin.issuperset(xs):
            graph.thin.update(made)
        return made
    if name in OTHERS:
        made = OTHERS[name](graph, eqn, *(graph.full(x, array(v).shape) for x, v in zip(xs, eqn.invars, strict=True)))
        return [made] if isinstance(made, str) else made
    raise ExportError(f"ONNX: expected operations that have an operator there, got JAX's {name!r}")


def _closed(program: ClosedJaxpr | Jaxpr) -> ClosedJaxpr:
    return program if isinstance(program, ClosedJaxpr) else ClosedJaxpr(program, ())


def _scanned(graph: Graph, eqn: JaxprEqn, xs: list[str], used: list[bool]) -> Sequence[str]:
    """The carry after all repetitions of a scan.

    Its inputs are constants, the first carry and arrays of which each repetition takes a slice, its outputs the last
    carry and arrays to which each gives one. Those with slices have an axis more than in the body.
    """
    body, length = _closed(eqn.params["jaxpr"]), eqn.params["length"]
    sliced = sum(_axes(v) > _axes(w) for v, w in zip(eqn.invars, body.jaxpr.invars, strict=True))
    kept = [_axes(v) == _axes(w) for v, w in zip(eqn.outvars, body.jaxpr.outvars, strict=True)]
    if any(use and not keep for use, keep in zip(used, kept, strict=True)):
        raise ExportError("ONNX: expected a scan of which the carry alone is used, got one with stacked outputs")
    first, last = len(xs) - sliced - sum(kept), len(xs) - sliced
    constants, carry, slices = xs[:first], xs[first:last], [_unstacked(graph, x, length) for x in xs[last:]]
    for i in reversed(range(length)) if eqn.params["reverse"] else range(length):
        done = run(graph, body, [*constants, *carry, *(each[i] for each in slices)], kept)
        carry = done[: len(carry)]
    return [*carry, *[""] * (len(used) - len(carry))]


def _axes(v: Any) -> int:
    return array(v).ndim


def _unstacked(graph: Graph, x: str, count: int) -> list[str]:
    parts = graph.several(count, "Split", x, graph.integers([1] * count), axis=0)
    return [graph.node("Squeeze", part, graph.integers([0])) for part in parts]
