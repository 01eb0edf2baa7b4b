"""A trained model as a file that others run: safetensors, StableHLO, Keras, ONNX.

A module a format, each with `write`, from a model to a file, and `read`, from a file to a function of rows. `export`
writes, reads back, and compares.
"""

from densefn.export.formats import FORMATS as FORMATS
from densefn.export.formats import CheckError as CheckError
from densefn.export.formats import Export as Export
from densefn.export.formats import export as export
from densefn.export.model import Affine as Affine
from densefn.export.model import ExportError as ExportError
from densefn.export.model import Model as Model
