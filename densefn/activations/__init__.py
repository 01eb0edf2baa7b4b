"""Activations by Keras's names: functions of one array, with Keras's arguments and defaults.

Most act on each entry of the array. `glu`, `softmax`, `log_softmax` and `sparsemax` act along an axis, which `glu`
halves. `Activation` is an activation with other arguments than the defaults.

Some defaults differ from those of `jax.nn`: `gelu` is exact (there it is the tanh approximation), and `leaky_relu` has
a slope of 0.2 (0.01 there and in PyTorch).

Source: `keras/src/activations/activations.py` of Keras 3.15.
"""

from densefn.activations.activation import NAMES as NAMES
from densefn.activations.activation import Activation as Activation
from densefn.activations.activation import AnyActivation as AnyActivation
from densefn.activations.activation import check as check
from densefn.activations.activation import get as get
from densefn.activations.activation import name_of as name_of
from densefn.activations.activation import output_shape as output_shape
from densefn.activations.functions import celu as celu
from densefn.activations.functions import elu as elu
from densefn.activations.functions import exponential as exponential
from densefn.activations.functions import gelu as gelu
from densefn.activations.functions import glu as glu
from densefn.activations.functions import hard_shrink as hard_shrink
from densefn.activations.functions import hard_sigmoid as hard_sigmoid
from densefn.activations.functions import hard_silu as hard_silu
from densefn.activations.functions import hard_swish as hard_swish
from densefn.activations.functions import hard_tanh as hard_tanh
from densefn.activations.functions import leaky_relu as leaky_relu
from densefn.activations.functions import linear as linear
from densefn.activations.functions import log_sigmoid as log_sigmoid
from densefn.activations.functions import log_softmax as log_softmax
from densefn.activations.functions import mish as mish
from densefn.activations.functions import relu as relu
from densefn.activations.functions import relu6 as relu6
from densefn.activations.functions import selu as selu
from densefn.activations.functions import sigmoid as sigmoid
from densefn.activations.functions import silu as silu
from densefn.activations.functions import soft_shrink as soft_shrink
from densefn.activations.functions import softmax as softmax
from densefn.activations.functions import softplus as softplus
from densefn.activations.functions import softsign as softsign
from densefn.activations.functions import sparse_plus as sparse_plus
from densefn.activations.functions import sparse_sigmoid as sparse_sigmoid
from densefn.activations.functions import sparsemax as sparsemax
from densefn.activations.functions import squareplus as squareplus
from densefn.activations.functions import swish as swish
from densefn.activations.functions import tanh as tanh
from densefn.activations.functions import tanh_shrink as tanh_shrink
from densefn.activations.functions import threshold as threshold
