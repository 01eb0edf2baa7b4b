"""densefn: Keras's Dense layer as two pure JAX functions."""

import typing as _typing
import warnings as _warnings

from densefn import _interrupted as _interrupted
from densefn import activations as activations
from densefn import constraints as constraints
from densefn import forms as forms
from densefn import initializers as initializers
from densefn import regularizers as regularizers
from densefn._errors import LayerError as LayerError
from densefn._registry import register as register
from densefn.activations import Activation as Activation
from densefn.checkpoint import load as load
from densefn.checkpoint import save as save
from densefn.compose import Repeat as Repeat
from densefn.compose import Residual as Residual
from densefn.compose import Sequential as Sequential
from densefn.constraints import MaxNorm as MaxNorm
from densefn.constraints import MinMaxNorm as MinMaxNorm
from densefn.constraints import NonNeg as NonNeg
from densefn.constraints import UnitNorm as UnitNorm
from densefn.convert import convert as convert
from densefn.dense import Dense as Dense
from densefn.einsum import Einsum as Einsum
from densefn.explanation import explain as explain
from densefn.frozen import Frozen as Frozen
from densefn.function import Function as Function
from densefn.group import Group as Group
from densefn.layer import Layer as Layer
from densefn.layer import Output as Output
from densefn.param import Param as Param
from densefn.partition import combine as combine
from densefn.partition import partition as partition
from densefn.precision import Policy as Policy
from densefn.projection import projection as projection
from densefn.regularizers import L1 as L1
from densefn.regularizers import L1L2 as L1L2
from densefn.regularizers import L2 as L2
from densefn.regularizers import OrthogonalRegularizer as OrthogonalRegularizer
from densefn.remat import Remat as Remat
from densefn.serialize import from_dict as from_dict
from densefn.serialize import to_dict as to_dict
from densefn.summary import summary as summary
from densefn.walk import walk as walk

__version__ = "0.1.0"

if not _typing.TYPE_CHECKING:  # with `__getattr__`, a type checker would accept any name

    def __getattr__(name):
        """The initializers by their former names. Some of these, such as `Identity`, are layers in other libraries."""
        cls = initializers.NAMES.get(name)
        if cls is None or cls.__name__ != name:
            raise AttributeError(f"module 'densefn' has no attribute {name!r}")
        new = f"densefn.initializers.{name}"
        _warnings.warn(f"densefn.{name} is deprecated; use {new}", DeprecationWarning, stacklevel=2)
        return cls
