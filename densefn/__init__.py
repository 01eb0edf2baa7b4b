"""densefn: Keras's Dense layer as two pure JAX functions."""

from densefn import activations as activations
from densefn import constraints as constraints
from densefn import initializers as initializers
from densefn import regularizers as regularizers
from densefn.activations import Activation as Activation
from densefn.compose import Function as Function
from densefn.compose import Repeat as Repeat
from densefn.compose import Residual as Residual
from densefn.compose import Sequential as Sequential
from densefn.constraints import MaxNorm as MaxNorm
from densefn.constraints import MinMaxNorm as MinMaxNorm
from densefn.constraints import NonNeg as NonNeg
from densefn.constraints import UnitNorm as UnitNorm
from densefn.dense import Dense as Dense
from densefn.einsum import Einsum as Einsum
from densefn.explanation import explain as explain
from densefn.initializers import Constant as Constant
from densefn.initializers import GlorotNormal as GlorotNormal
from densefn.initializers import GlorotUniform as GlorotUniform
from densefn.initializers import HeNormal as HeNormal
from densefn.initializers import HeUniform as HeUniform
from densefn.initializers import Identity as Identity
from densefn.initializers import LecunNormal as LecunNormal
from densefn.initializers import LecunUniform as LecunUniform
from densefn.initializers import Ones as Ones
from densefn.initializers import Orthogonal as Orthogonal
from densefn.initializers import RandomNormal as RandomNormal
from densefn.initializers import RandomUniform as RandomUniform
from densefn.initializers import TruncatedFanIn as TruncatedFanIn
from densefn.initializers import TruncatedNormal as TruncatedNormal
from densefn.initializers import UniformFanIn as UniformFanIn
from densefn.initializers import VarianceScaling as VarianceScaling
from densefn.initializers import Zeros as Zeros
from densefn.layer import Layer as Layer
from densefn.layer import Output as Output
from densefn.precision import Policy as Policy
from densefn.projection import projection as projection
from densefn.regularizers import L1 as L1
from densefn.regularizers import L1L2 as L1L2
from densefn.regularizers import L2 as L2
from densefn.regularizers import OrthogonalRegularizer as OrthogonalRegularizer
from densefn.serialize import from_dict as from_dict
from densefn.serialize import to_dict as to_dict
from densefn.summary import summary as summary

__version__ = "0.1.0"
