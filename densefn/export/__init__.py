"""Exports a trained model to a file that other libraries run: safetensors, StableHLO, Keras or ONNX.

Each format is a module with two functions. `write` writes a model to a file. `read` reads a file as a function of
rows. `export` writes a file, reads it back and compares the outputs.
"""

from densefn.export.formats import FORMATS as FORMATS
from densefn.export.formats import CheckError as CheckError
from densefn.export.formats import Export as Export
from densefn.export.formats import export as export
from densefn.export.model import Affine as Affine
from densefn.export.model import ExportError as ExportError
from densefn.export.model import Model as Model
