"""ONNX: the operations that JAX traces, as a graph of ONNX's operators, for onnxruntime and others.

Parameters are constants under their paths, `0/kernel`. The output is `y`; several outputs have their paths for names.
All that is known of a model are the primitives of which it is made, so a layer or a function of the user's goes along
if ONNX has operators for its primitives.

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

# The oldest operators that will do, and the file format of their time: runtimes since 2023 take both.
_OPSET, _FORMAT = 18, 8


def write(model: Model, path: Path) -> None:
    """Writes a model to a file.

    Raises:
      ExportError: names the operation for which ONNX has none, or the output whose name another tensor has.
    """
    traced = jax.jit(model.apply).trace(model.params, model.symbolic)
    graph = Graph({name: axis for axis, name in enumerate(model.axes) if isinstance(name, str)}, "x")
    leaves = jax.tree_util.tree_leaves_with_path(model.params)
    names = [graph.constant(w, name_of(path)) for path, w in leaves]
    shapes = {name_of(path) or "y": y.shape for path, y in jax.tree_util.tree_leaves_with_path(traced.out_info)}
    computed = run(graph, traced.jaxpr, [*names, "x"], [True] * len(shapes))
    if taken := {"x", *names, *(made for node in graph.nodes for made in node.output)} & set(shapes):
        raise ExportError(f"ONNX: expected outputs with names of their own, got {taken.pop()!r}")
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
    """The function of rows that a file holds."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [y.name for y in session.get_outputs()]

    def run(x: np.ndarray) -> Any:
        ys = dict(zip(names, map(np.asarray, session.run(names, {"x": x})), strict=True))
        return ys["y"] if names == ["y"] else ys

    return run
