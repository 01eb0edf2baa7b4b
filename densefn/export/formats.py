"""The formats by name, and the one way to make a file of any: write it, read it back, and run it beside the model."""

import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np

from densefn.export.model import Model

_BATCHES = (1, 7)


class Format(NamedTuple):
    """A format.

    Attributes:
      suffix: of its files.
      usage: the Python that runs a file called FILE.
      is_program: whether the file computes outputs from rows in their own units.
    """

    suffix: str
    usage: str
    is_program: bool = True


FORMATS = {
    "safetensors": Format(
        ".safetensors",
        """\
from safetensors import safe_open
with safe_open("FILE", "numpy") as file:
    params = {path: file.get_tensor(path) for path in file.keys()}
""",
        is_program=False,
    ),
    "stablehlo": Format(
        ".stablehlo",
        """\
import jax.export
model = jax.export.deserialize(bytearray(open("FILE", "rb").read()))
y = model.call(x)
""",
    ),
    "keras": Format(
        ".keras",
        """\
import keras
model = keras.models.load_model("FILE")
y = model.predict(x)
""",
    ),
    "onnx": Format(
        ".onnx",
        """\
import onnxruntime
session = onnxruntime.InferenceSession("FILE")
(y,) = session.run(["y"], {"x": x})
""",
    ),
}


class _Module(Protocol):
    """What the module of a format has."""

    def write(self, model: Model, path: Path) -> None:
        """Writes a model to a file.

        Raises:
          ExportError: names what of the model the format cannot express.
        """
        ...

    def read(self, path: Path) -> Callable[[np.ndarray], Any]:
        """The function of rows that a file holds: it gives an array, or a dict of several."""
        ...


class CheckError(Exception):
    """An exported model that does not reproduce the outputs."""


class Export(NamedTuple):
    """An exported model.

    Attributes:
      content: of the file.
      difference: the largest between its outputs and the model's of rows that are not rounded, in the outputs' units.
      largest: of the outputs that were compared, without its sign.
      rows: how many were compared.
    """

    content: bytes
    difference: float
    largest: float
    rows: int


def export(model: Model, name: str) -> Export:
    """Makes a file of a model, reads it back from a folder of its own, and runs it beside the model.

    The outputs may differ by roundings, relative to the largest before it is given back in its units: 1024 of the
    outputs' dtype, for sums of thousands of terms in another order, and 16 of a narrower one in which a layer computes,
    for the few of each layer. Giving them back in their units is 4 more, relative to each. The model is given rows of
    float64, and a program those of its dtype: 4 more, as wide as its numbers are apart where the columns lie.

    Args:
      model: the model.
      name: of the format, one of `FORMATS`.

    Returns:
      The bytes of the file, and how it compares.

    Raises:
      ExportError: names what of the model the format cannot express, or a column that its dtype rounds away.
      CheckError: if the outputs differ by more, or none is finite.
      ModuleNotFoundError: names the package that the format needs.

    >>> from densefn import Dense
    >>> layer = Dense(3, "tanh")
    >>> params = layer.init(jax.random.key(0), (None, 5))
    >>> made = export(Model(layer, params, (None, 5)), "stablehlo")
    >>> made.difference < 1e-6
    True
    >>> jax.export.deserialize(bytearray(made.content)).call(np.ones((2, 5), np.float32)).shape
    (2, 3)
    """
    # Loaded by those who ask, for each needs a package of its own.
    module = cast("_Module", importlib.import_module(f"densefn.export.{name}"))
    examples = [model.example(batch) for batch in _BATCHES]
    rows, rounded = examples, 0.0
    if FORMATS[name].is_program:
        for affine, what in ((model.inputs, "column"), (model.outputs, "target")):
            if affine:
                affine.check_spacing(model.dtype, what)
        rows = [x.astype(model.dtype) for x in examples]
        rounded = 4 * float(model.inputs.spacing(model.dtype).max(initial=0)) if model.inputs else 0.0
    program = jax.jit(model.apply).lower(model.params, examples[0].astype(model.dtype))
    relative = _relative(program.as_text(), model.dtype) + rounded
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{FORMATS[name].suffix}"
        module.write(model, path)
        run = module.read(path)
        expected = [model.predict(x) for x in examples]
        differences = [_differences(model, y, run(x), relative) for x, y in zip(rows, expected, strict=True)]
        finite = [y[np.isfinite(y)] for y in jax.tree.leaves(expected)]
        if not any(y.size for y in finite):
            raise CheckError(f"none of the model's outputs for {sum(_BATCHES)} rows is finite")
        largest = max(float(np.max(np.abs(y), initial=0)) for y in finite)
        return Export(path.read_bytes(), max(differences), largest, sum(_BATCHES))


def _differences(model: Model, expected: Any, got: Any, relative: float) -> float:
    """The largest difference of all outputs.

    Raises:
      CheckError: if the outputs are others, or one of them is not reproduced.
    """
    if not isinstance(expected, dict):
        return _compared(model, expected, got, relative)
    if not isinstance(got, dict) or set(got) != set(expected):
        raise CheckError(f"the exported model gives other outputs than {sorted(expected)}")
    return max(_compared(model, y, got[name], relative) for name, y in expected.items())


def _compared(model: Model, expected: np.ndarray, got: np.ndarray, relative: float) -> float:
    """The largest difference, which is one of roundings.

    Raises:
      CheckError: if it is not.
    """
    if got.shape != expected.shape:
        raise CheckError(f"the exported model gives outputs of shape {got.shape}, the model {expected.shape}")
    mean, scale = model.outputs.arrays(model.dtype) if model.outputs else np.array([0, 1], model.dtype)
    finite = np.isfinite(expected)
    y, made = (np.where(finite, outputs, 0) for outputs in (expected, got))
    difference = np.abs(made - y)
    largest = np.max(np.abs(y - mean) / scale, initial=0, where=finite)
    allowed = relative * largest * scale + 4 * np.finfo(model.dtype).eps * np.abs(y)
    if np.any(difference > allowed) or not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        raise CheckError(
            "the exported model does not reproduce the outputs: they differ by "
            f"{np.max(difference):.2g}, of which roundings explain {np.max(allowed):.2g}"
        )
    return float(np.max(difference, initial=0))


def _relative(program: str, dtype: np.dtype) -> float:
    """How far roundings may take outputs apart, relative to the largest.

    Args:
      program: of the model, as StableHLO, in which the dtypes of all arrays stand.
      dtype: of the outputs.
    """
    narrow = {"xbf16>": jnp.bfloat16, "xf16>": jnp.float16}
    rounded = max((float(jnp.finfo(narrow[name]).eps) for name in narrow if name in program), default=0.0)
    return 1024 * float(np.finfo(dtype).eps) + 16 * rounded
