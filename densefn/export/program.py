"""Adds a program that JAX traced to an ONNX graph.

Called programs are inlined and scans are unrolled. Equations on which no wanted output depends, such as those of a
layer's penalty, are left out.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from densefn.export.graph import Graph
from densefn.export.jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn, Literal
from densefn.export.model import ExportError
from densefn.export.operations import ELEMENTWISE, OTHERS, array

# The primitives that call a program, and the name of the parameter that holds it.
_CALLS = {
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "jit": "jaxpr",
    "remat2": "jaxpr",
}


def run(graph: Graph, program: ClosedJaxpr, inputs: Sequence[str], wanted: Sequence[bool]) -> list[str]:
    """Adds a program's equations to a graph.

    Args:
      graph: the graph.
      program: the program.
      inputs: the names of the tensors for its inputs.
      wanted: whether each of its outputs is needed.

    Returns:
      The names of the tensors for its outputs; "" for an output that is not wanted.

    Raises:
      ExportError: if a primitive has no operator in ONNX.
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
    """The equations on which the wanted outputs depend. Each has one flag per output: whether it is needed."""
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
    """Adds an equation to the graph. Returns the tensors of its outputs."""
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
    raise ExportError(f"ONNX: expected primitives that have an operator in ONNX, got JAX's {name!r}")


def _closed(program: ClosedJaxpr | Jaxpr) -> ClosedJaxpr:
    return program if isinstance(program, ClosedJaxpr) else ClosedJaxpr(program, ())


def _scanned(graph: Graph, eqn: JaxprEqn, xs: list[str], used: list[bool]) -> Sequence[str]:
    """Unrolls a scan. Returns its last carry.

    The inputs of a scan are constants, the first carry, and stacked arrays, from which each step reads one slice. Its
    outputs are the last carry, and stacked arrays, to which each step writes one slice. A stacked array has one more
    axis than its slice in the body.
    """
    body, length = _closed(eqn.params["jaxpr"]), eqn.params["length"]
    sliced = sum(_axes(v) > _axes(w) for v, w in zip(eqn.invars, body.jaxpr.invars, strict=True))
    kept = [_axes(v) == _axes(w) for v, w in zip(eqn.outvars, body.jaxpr.outvars, strict=True)]
    if any(use and not keep for use, keep in zip(used, kept, strict=True)):
        raise ExportError("ONNX: expected a scan whose carry is used, got one whose stacked outputs are used")
    first, last = len(xs) - sliced - sum(kept), len(xs) - sliced
    constants, carry, slices = xs[:first], xs[first:last], [_unstacked(graph, x, length) for x in xs[last:]]
    # A scan in reverse takes the last slice first.
    for i in reversed(range(length)) if eqn.params["reverse"] else range(length):
        done = run(graph, body, [*constants, *carry, *(each[i] for each in slices)], kept)
        carry = done[: len(carry)]
    return [*carry, *[""] * (len(used) - len(carry))]


def _axes(v: Any) -> int:
    return array(v).ndim


def _unstacked(graph: Graph, x: str, count: int) -> list[str]:
    parts = graph.several(count, "Split", x, graph.integers([1] * count), axis=0)
    return [graph.node("Squeeze", part, graph.integers([0])) for part in parts]
