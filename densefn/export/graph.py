"""Builds an ONNX graph: its nodes, its constants, and the sizes of its free axes.

bfloat16 and float16 arrays become float32 tensors that hold only values of the narrow dtype. Operators compute in
float32, and a Cast to the narrow dtype and back rounds their results, as XLA does on a CPU. So Cast is the only
operator that a runtime must have for narrow dtypes.

Source: https://onnx.ai/onnx/operators
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from densefn.export.model import ExportError

NARROW = {np.dtype(jnp.bfloat16): TensorProto.BFLOAT16, np.dtype(jnp.float16): TensorProto.FLOAT16}


def element_type(dtype: Any) -> int:
    """The number of the ONNX element type that represents a dtype."""
    dtype = np.dtype(dtype)
    return TensorProto.FLOAT if dtype in NARROW else helper.np_dtype_to_tensor_dtype(dtype)


class Graph:
    """Nodes and constants, in the order in which they are added. A tensor is identified by its name.

    Args:
      free: for the symbol of each free size, the axis of the graph's input that has this size.
      source: the name of the graph's input.

    Attributes:
      nodes: the nodes.
      constants: the constants.
      thin: the tensors with length 1 along an axis where JAX's array is longer. Operators broadcast them.
    """

    def __init__(self, free: dict[str, int], source: str):
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.thin: set[str] = set()
        self._free, self._source = free, source
        self._sizes: dict[str, str] = {}

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output. Returns the output's name."""
        return self.several(1, operator, *inputs, **attributes)[0]

    def several(self, count: int, operator: str, *inputs: str, **attributes: Any) -> list[str]:
        """Adds a node with several outputs. Returns their names."""
        names = [f"{operator.lower()}_{len(self.nodes)}{f'_{i}' if count > 1 else ''}" for i in range(count)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def constant(self, value: Any, name: str | None = None) -> str:
        """Adds a constant. A narrow one is stored in its dtype, and cast to float32 by a node."""
        array = np.asarray(value)
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return self.node("Cast", name, to=TensorProto.FLOAT) if array.dtype in NARROW else name

    def integers(self, values: int | Sequence[int]) -> str:
        """Adds an int64 constant, such as axes, sizes or positions."""
        return self.constant(np.asarray(values, np.int64))

    def shape(self, sizes: Sequence[Any]) -> str:
        """Adds a tensor of sizes, some of which may be free.

        Raises:
          ExportError: if a size is computed from free ones, such as `2*batch`.
        """
        if all(isinstance(size, int) for size in sizes):
            return self.integers(sizes)
        return self.node("Concat", *map(self._size, sizes), axis=0)

    def _size(self, size: Any) -> str:
        if isinstance(size, int):
            return self.integers([size])
        symbol = str(size)
        if symbol not in self._free:
            raise ExportError(f"ONNX: expected each size to be a number or a size of the input, got {symbol}")
        if symbol not in self._sizes:
            axis = self._free[symbol]
            self._sizes[symbol] = self.node("Shape", self._source, start=axis, end=axis + 1)
        return self._sizes[symbol]

    def rounded(self, name: str, dtype: Any) -> str:
        """Rounds a tensor's values to a dtype, if that is a narrow one."""
        if (narrow := NARROW.get(np.dtype(dtype))) is None:
            return name
        return self.node("Cast", self.node("Cast", name, to=narrow), to=TensorProto.FLOAT)

    def full(self, name: str, sizes: Sequence[Any]) -> str:
        """Expands a thin tensor to these sizes."""
        return self.node("Expand", name, self.shape(sizes)) if name in self.thin and sizes else name
