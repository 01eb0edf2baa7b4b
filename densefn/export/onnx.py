"""Exports to ONNX: the primitives that JAX traces become ONNX operators, for onnxruntime and other runtimes.

A parameter is a constant whose name is its path, such as `0/kernel`. The input is `x` and the output `y`. Several
outputs are named by their paths. A user's layer or function is exported if ONNX has operators for its primitives.

Source: https://onnx.ai/onnx
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import onnxruntime
from onnx import helper

import densefn
from densefn.export.graph import Graph, element_type
from densefn.export.model import ExportError, Model
from densefn.export.program import run
from densefn.param import name_of

# The oldest opset with the operators used here, and the file format of its release: runtimes since 2023 read both.
_OPSET, _FORMAT = 18, 8


def write(model: Model, path: Path) -> None:
    """Writes a model to a file.

    Raises:
      ExportError: if a primitive has no operator in ONNX, or an output has the name of another tensor.
    """
    traced = jax.jit(model.apply).trace(model.params, model.symbolic)
    graph = Graph({name: axis for axis, name in enumerate(model.axes) if isinstance(name, str)}, "x")
    leaves = jax.tree_util.tree_leaves_with_path(model.params)
    names = [graph.constant(w, name_of(path)) for path, w in leaves]
    shapes = {name_of(path) or "y": y.shape for path, y in jax.tree_util.tree_leaves_with_path(traced.out_info)}
    computed = run(graph, traced.jaxpr, [*names, "x"], [True] * len(shapes))
    if taken := {"x", *names, *(made for node in graph.nodes for made in node.output)} & set(shapes):
        raise ExportError(f"ONNX: expected outputs with names that no other tensor has, got {taken.pop()!r}")
    # An output is a copy under its own name: the same tensor may be two outputs, or a parameter.
    for last, (name, shape) in zip(computed, shapes.items(), strict=True):
        graph.nodes.append(helper.make_node("Identity", [graph.full(last, shape)], [name]))
    x = helper.make_tensor_value_info("x", element_type(model.dtype), model.axes)
    ys = [
        helper.make_tensor_value_info(
            name, element_type(model.dtype), [n if isinstance(n, int) else str(n) for n in shape]
        )
        for name, shape in shapes.items()
    ]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "densefn", [x], ys, graph.constants),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_FORMAT,
        producer_name="densefn",
        producer_version=densefn.__version__,
    )
    onnx.checker.check_model(made, full_check=True)
    path.write_bytes(made.SerializeToString())


def read(path: Path) -> Callable[[np.ndarray], Any]:
    """Reads a file as a function of rows."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [y.name for y in session.get_outputs()]

    def run(x: np.ndarray) -> Any:
        ys = dict(zip(names, map(np.asarray, session.run(names, {"x": x})), strict=True))
        return ys["y"] if names == ["y"] else ys

    return run
