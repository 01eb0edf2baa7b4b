"""The ONNX operators for JAX's primitives.

Most primitives are one operator. Each of the others has a function here, whose arguments are the graph, JAX's equation
and the names of the input tensors. It adds nodes to the graph and returns the names of the output tensors.
"""

import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.lax import GatherScatterMode
from onnx import TensorProto

from densefn.export.graph import NARROW, Graph, element_type
from densefn.export.jaxpr import JaxprEqn
from densefn.export.model import ExportError


def array(v: Any) -> Any:
    """The abstract array of a variable, with its `shape` and `dtype`."""
    return v.aval


def _operator(name: str) -> Callable[..., str]:
    return lambda graph, eqn, *xs: graph.node(name, *xs)


def _one(graph: Graph, eqn: JaxprEqn) -> str:
    """Adds the number 1 in the dtype of an equation's operand."""
    dtype = array(eqn.invars[0]).dtype
    return graph.constant(np.ones((), np.float32 if dtype in NARROW else dtype))


def _same(graph: Graph, eqn: JaxprEqn, x: str, *_: str) -> str:
    return x


def _not_equal(graph: Graph, eqn: JaxprEqn, x: str, y: str) -> str:
    return graph.node("Not", graph.node("Equal", x, y))


def _square(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    return graph.node("Mul", x, x)


def _integer_pow(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    return graph.node("Pow", x, graph.integers(eqn.params["y"]))


def _rsqrt(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    return graph.node("Reciprocal", graph.node("Sqrt", x))


def _expm1(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    """`exp(x) - 1` as `tanh(x / 2) * (exp(x) + 1)`, which does not cancel for a small `x`."""
    one = _one(graph, eqn)
    half = graph.node("Div", x, graph.node("Add", one, one))
    return graph.node("Mul", graph.node("Tanh", half), graph.node("Add", graph.node("Exp", x), one))


def _log1p(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    """`log(1 + x)` as `x log(w) / (w - 1)` with the rounded `w = 1 + x`, which does not cancel for a small `x`.

    Reference: Goldberg, "What Every Computer Scientist Should Know About Floating-Point Arithmetic", 1991, theorem 4.
    """
    one = _one(graph, eqn)
    w = graph.node("Add", x, one)
    log = graph.node("Log", w)
    near = graph.node("Div", graph.node("Mul", x, log), graph.node("Sub", w, one))
    near = graph.node("Where", graph.node("Equal", w, one), x, near)  # 0 / 0 where 1 + x rounds to 1
    return graph.node("Where", graph.node("Equal", w, x), log, near)  # inf / inf where x is infinite


def _erfc(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    # ONNX has no erfc. The relative error of 1 - erf(x) grows with x. Its absolute error is at most a rounding of 1.
    return graph.node("Sub", _one(graph, eqn), graph.node("Erf", x))


def _select_n(graph: Graph, eqn: JaxprEqn, which: str, *cases: str) -> str:
    if len(cases) != 2:
        raise ExportError(f"ONNX: expected a choice between two arrays, got {len(cases)}")
    return graph.node("Where", which, cases[1], cases[0])


def _convert_element_type(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    before, after = element_type(array(eqn.invars[0]).dtype), element_type(array(eqn.outvars[0]).dtype)
    return x if before == after else graph.node("Cast", x, to=after)


# ONNX broadcasts the tensors of these operators, so thin ones need not be expanded, and their result is thin.
ELEMENTWISE: dict[str, Callable[..., str]] = {
    "abs": _operator("Abs"),
    "add": _operator("Add"),
    "and": _operator("And"),
    "ceil": _operator("Ceil"),
    "convert_element_type": _convert_element_type,
    "copy": _same,
    "cos": _operator("Cos"),
    "div": _operator("Div"),
    "eq": _operator("Equal"),
    "erf": _operator("Erf"),
    "erfc": _erfc,
    "exp": _operator("Exp"),
    "expm1": _expm1,
    "floor": _operator("Floor"),
    "ge": _operator("GreaterOrEqual"),
    "gt": _operator("Greater"),
    "held_constant": _same,
    "integer_pow": _integer_pow,
    "le": _operator("LessOrEqual"),
    "log": _operator("Log"),
    "log1p": _log1p,
    "logistic": _operator("Sigmoid"),
    "lt": _operator("Less"),
    "max": _operator("Max"),
    "min": _operator("Min"),
    "mul": _operator("Mul"),
    "narrow_value": _same,
    "ne": _not_equal,
    "neg": _operator("Neg"),
    "not": _operator("Not"),
    "or": _operator("Or"),
    "pow": _operator("Pow"),
    "row_major": _same,
    "rsqrt": _rsqrt,
    "select_n": _select_n,
    "sign": _operator("Sign"),
    "sin": _operator("Sin"),
    "sqrt": _operator("Sqrt"),
    "square": _square,
    "stop_gradient": _same,
    "sub": _operator("Sub"),
    "tanh": _operator("Tanh"),
}


def _broadcast_in_dim(graph: Graph, eqn: JaxprEqn, x: str, *_: str) -> str:
    sizes, kept = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    new = [axis for axis in range(len(sizes)) if axis not in kept]
    x = graph.node("Unsqueeze", x, graph.integers(new)) if new else x
    graph.thin.add(x)  # not expanded yet: most operators broadcast it, so the wide array is not stored
    return x


def _reshape(graph: Graph, eqn: JaxprEqn, x: str, *_: str) -> str:
    # By default a size of 0 means the size of the input's axis.
    return graph.node("Reshape", x, graph.shape(eqn.params["new_sizes"]), allowzero=1)


def _squeeze(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    return graph.node("Squeeze", x, graph.integers(eqn.params["dimensions"]))


def _transpose(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    return graph.node("Transpose", x, perm=eqn.params["permutation"])


def _concatenate(graph: Graph, eqn: JaxprEqn, *xs: str) -> str:
    return graph.node("Concat", *xs, axis=eqn.params["dimension"])


def _split(graph: Graph, eqn: JaxprEqn, x: str) -> Sequence[str]:
    sizes = eqn.params["sizes"]
    return graph.several(len(sizes), "Split", x, graph.integers(sizes), axis=eqn.params["axis"])


def _slice(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    start, limit, strides = (eqn.params[name] for name in ("start_indices", "limit_indices", "strides"))
    axes = range(len(start))
    steps = graph.integers(strides or [1] * len(start))
    return graph.node("Slice", x, graph.shape(start), graph.shape(limit), graph.integers(axes), steps)


def _gather(graph: Graph, eqn: JaxprEqn, x: str, start: str) -> str:
    """A gather of one window, to which JAX lowers `x[..., 0]` if a size is free."""
    dimensions, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    # The other modes define the result of an index out of bounds. Slice has another result.
    if array(eqn.invars[1]).ndim != 1 or eqn.params["mode"] != GatherScatterMode.PROMISE_IN_BOUNDS:
        raise ExportError("ONNX: expected an index of numbers, such as x[..., 0], got an index of arrays")
    axes = dimensions.start_index_map
    start = graph.node("Cast", start, to=TensorProto.INT64)
    limit = graph.node("Add", start, graph.shape([sizes[axis] for axis in axes]))
    window = graph.node("Slice", x, start, limit, graph.integers(axes))
    dropped = dimensions.collapsed_slice_dims
    return graph.node("Squeeze", window, graph.integers(dropped)) if dropped else window


def _reduction(name: str) -> Callable[..., str]:
    return lambda graph, eqn, x: graph.node(name, x, graph.integers(eqn.params["axes"]), keepdims=0)


def _cumsum(graph: Graph, eqn: JaxprEqn, x: str) -> str:
    axis = graph.constant(np.int64(eqn.params["axis"]))
    return graph.node("CumSum", x, axis, reverse=int(eqn.params["reverse"]))


def _sort(graph: Graph, eqn: JaxprEqn, *xs: str) -> str:
    if len(xs) != 1:
        raise ExportError("ONNX: expected a sort of one array, got a sort of several arrays by the first")
    axis = eqn.params["dimension"]
    size = graph.shape([array(eqn.outvars[0]).shape[axis]])
    # ONNX has no operator for a sort. TopK gives the n smallest of n entries in order, which is the sorted array.
    return graph.several(2, "TopK", xs[0], size, axis=axis, largest=0, sorted=1)[0]


def _iota(graph: Graph, eqn: JaxprEqn, *_: str) -> str:
    shape, axis = eqn.params["shape"], eqn.params["dimension"]
    if not all(isinstance(size, int) for size in shape):
        raise ExportError(f"ONNX: expected iota with known sizes, got {shape}")
    spread = [size if i == axis else 1 for i, size in enumerate(shape)]
    return graph.constant(np.broadcast_to(np.arange(shape[axis]).reshape(spread), shape).astype(eqn.params["dtype"]))


def _dot_general(graph: Graph, eqn: JaxprEqn, x: str, w: str) -> str:
    """A MatMul if x's last axis is contracted with a matrix's first, else an Einsum with a letter for each axis."""
    (x_sum, w_sum), (x_batch, w_batch) = eqn.params["dimension_numbers"]
    x_rank, w_rank = (array(v).ndim for v in eqn.invars)
    if (tuple(x_sum), tuple(w_sum), tuple(x_batch), w_rank) == ((x_rank - 1,), (0,), (), 2):
        return graph.node("MatMul", x, w)
    letters = iter(string.ascii_letters)
    of_x = [next(letters) for _ in range(x_rank)]
    of_w = [next(letters) for _ in range(w_rank)]
    for i, j in zip((*x_sum, *x_batch), (*w_sum, *w_batch), strict=True):
        of_w[j] = of_x[i]
    batch = [of_x[i] for i in x_batch]
    free = [axis for axis in of_x if axis not in of_w] + [axis for axis in of_w if axis not in of_x]
    return graph.node("Einsum", x, w, equation=f"{''.join(of_x)},{''.join(of_w)}->{''.join(batch + free)}")


# These operators do not broadcast, so thin tensors are expanded first.
OTHERS: dict[str, Callable[..., str | Sequence[str]]] = {
    "broadcast_in_dim": _broadcast_in_dim,
    "concatenate": _concatenate,
    "cumsum": _cumsum,
    "dot_general": _dot_general,
    "gather": _gather,
    "iota": _iota,
    "reduce_max": _reduction("ReduceMax"),
    "reduce_min": _reduction("ReduceMin"),
    "reduce_prod": _reduction("ReduceProd"),
    "reduce_sum": _reduction("ReduceSum"),
    "reshape": _reshape,
    "slice": _slice,
    "sort": _sort,
    "split": _split,
    "squeeze": _squeeze,
    "transpose": _transpose,
}
