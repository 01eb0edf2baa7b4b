"""Initializers with Keras's names, arguments and distributions.

An initializer is called as in JAX, `initializer(key, shape, dtype)`. The functions of `jax.nn.initializers` are
accepted too. A kernel is `[in, units]`, with `fan_in = in` and `fan_out = units`.

An initializer with a `seed` ignores the key and gives the values of Keras's JAX backend for that seed, bit for bit.
Without a seed it draws from the key, and layers with equal initializers have different values.

Source: `keras/src/initializers/random_initializers.py` and `constant_initializers.py` of Keras 3.15.
"""

from densefn.initializers.distributions import TRUNCATED_STDDEV as TRUNCATED_STDDEV
from densefn.initializers.distributions import Constant as Constant
from densefn.initializers.distributions import Identity as Identity
from densefn.initializers.distributions import Ones as Ones
from densefn.initializers.distributions import Orthogonal as Orthogonal
from densefn.initializers.distributions import RandomNormal as RandomNormal
from densefn.initializers.distributions import RandomUniform as RandomUniform
from densefn.initializers.distributions import TruncatedNormal as TruncatedNormal
from densefn.initializers.distributions import Zeros as Zeros
from densefn.initializers.initializer import FromFunction as FromFunction
from densefn.initializers.initializer import Initializer as Initializer
from densefn.initializers.names import NAMES as NAMES
from densefn.initializers.names import AnyInitializer as AnyInitializer
from densefn.initializers.names import check as check
from densefn.initializers.names import get as get
from densefn.initializers.scaling import ByFans as ByFans
from densefn.initializers.scaling import GlorotNormal as GlorotNormal
from densefn.initializers.scaling import GlorotUniform as GlorotUniform
from densefn.initializers.scaling import HeNormal as HeNormal
from densefn.initializers.scaling import HeUniform as HeUniform
from densefn.initializers.scaling import LecunNormal as LecunNormal
from densefn.initializers.scaling import LecunUniform as LecunUniform
from densefn.initializers.scaling import Scaled as Scaled
from densefn.initializers.scaling import TruncatedFanIn as TruncatedFanIn
from densefn.initializers.scaling import UniformFanIn as UniformFanIn
from densefn.initializers.scaling import VarianceScaling as VarianceScaling
