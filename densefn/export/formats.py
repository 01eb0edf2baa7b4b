"""The export formats by name, and `export`, which writes a file, reads it back and compares it with the model."""

import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np

from densefn.export.model import Model

# Two batch sizes, because a program with a fixed size runs for one of them only.
_BATCHES = (1, 7)


class Format(NamedTuple):
    """A format.

    Attributes:
      suffix: the suffix of its files.
      usage: Python code that loads and runs a file named FILE.
      is_program: whether the file holds a program, which takes rows in the units of the data.
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
    """The functions in the module of a format."""

    def write(self, model: Model, path: Path) -> None:
        """Writes a model to a file.

        Raises:
          ExportError: if the format cannot express the model.
        """
        ...

    def read(self, path: Path) -> Callable[[np.ndarray], Any]:
        """Reads a file as a function of rows, which returns an array, or a dict of several arrays."""
        ...


class CheckError(Exception):
    """The exported model's outputs differ from those of the model."""


class Export(NamedTuple):
    """An exported model, and how its outputs compare with the model's.

    Attributes:
      content: the bytes of the file.
      difference: the largest absolute difference of the outputs, in their units. The model is given float64 rows.
      largest: the largest absolute value of the outputs.
      rows: the number of rows that were compared.
    """

    content: bytes
    difference: float
    largest: float
    rows: int


def export(model: Model, name: str) -> Export:
    """Exports a model, reads the file back, and compares its outputs with the model's for eight random rows.

    The tolerance is a number of roundings. A rounding has the relative size `eps` of a dtype:

    - 1024 of the outputs' dtype, because sums of thousands of terms may be taken in another order;
    - 16 of bfloat16 or float16, if a layer computes in one of them;
    - 4 of each input, in units of its column's scale: a program's rows are rounded to its dtype, the model's are not;
    - 4 of each output, for its conversion to the units of the data.

    The first three are relative to the largest output of the layer, and the last to the converted output.

    Args:
      model: the model.
      name: the name of the format, one of `FORMATS`.

    Returns:
      The bytes of the file, and the result of the comparison.

    Raises:
      ExportError: if the format cannot express the model, or its dtype cannot tell the values of a column apart.
      CheckError: if the outputs differ by more than the tolerance, or none is finite.
      ModuleNotFoundError: if the package that the format needs is not installed.

    >>> from densefn import Dense
    >>> layer = Dense(3, "tanh")
    >>> params = layer.init(jax.random.key(0), (None, 5))
    >>> made = export(Model(layer, params, (None, 5)), "stablehlo")
    >>> made.difference < 1e-6
    True
    >>> jax.export.deserialize(bytearray(made.content)).call(np.ones((2, 5), np.float32)).shape
    (2, 3)
    """
    # Imported here, because each format needs another package.
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
      CheckError: if the outputs have other names, or one of them differs by more than the tolerance.
    """
    if not isinstance(expected, dict):
        return _compared(model, expected, got, relative)
    if not isinstance(got, dict) or set(got) != set(expected):
        raise CheckError(f"expected the exported model to have the outputs {sorted(expected)}, got others")
    return max(_compared(model, y, got[name], relative) for name, y in expected.items())


def _compared(model: Model, expected: np.ndarray, got: np.ndarray, relative: float) -> float:
    """The largest difference of one output.

    Raises:
      CheckError: if it is larger than the tolerance.
    """
    if got.shape != expected.shape:
        raise CheckError(f"expected the exported model's outputs to have shape {expected.shape}, got {got.shape}")
    mean, scale = model.outputs.arrays(model.dtype) if model.outputs else np.array([0, 1], model.dtype)
    finite = np.isfinite(expected)
    y, made = (np.where(finite, outputs, 0) for outputs in (expected, got))
    difference = np.abs(made - y)
    largest = np.max(np.abs(y - mean) / scale, initial=0, where=finite)
    allowed = relative * largest * scale + 4 * np.finfo(model.dtype).eps * np.abs(y)
    if not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        raise CheckError("expected the exported model's outputs to be infinite or NaN where the model's are")
    if not np.all(difference <= allowed):  # also where a difference is NaN
        worst = np.argmax(difference - allowed)  # NaN counts as the maximum
        raise CheckError(
            "expected the exported model's outputs to differ from the model's by at most "
            f"{allowed.flat[worst]:.2g}, got {difference.flat[worst]:.2g}"
        )
    return float(np.max(difference, initial=0))


def _relative(program: str, dtype: np.dtype) -> float:
    """The tolerance relative to the largest output.

    Args:
      program: the model as StableHLO text, which contains the dtype of every array.
      dtype: the dtype of the outputs.
    """
    # StableHLO writes the type of an array as tensor<3x4xbf16>.
    narrow = {"xbf16>": jnp.bfloat16, "xf16>": jnp.float16}
    rounded = max((float(jnp.finfo(narrow[name]).eps) for name in narrow if name in program), default=0.0)
    return 1024 * float(np.finfo(dtype).eps) + 16 * rounded
