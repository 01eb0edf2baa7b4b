"""The functions behind the names, with Keras's arguments and defaults."""

import jax
import jax.numpy as jnp
from jax import Array

from densefn.precision import widen


def linear(x: Array) -> Array:
    """`x`, Keras's name for no activation."""
    return x


def relu(x: Array, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    """`max(x, 0)`.

    With arguments: `min(x, max_value)` above the threshold, `negative_slope (x - threshold)` below it.

    Args:
      x: any shape.
      negative_slope: at least 0.
      max_value: at least 0; None is no bound.
      threshold: at least 0.

    Returns:
      An array like `x`.

    >>> relu(jnp.array([-1.0, 0.5, 9.0]), negative_slope=0.25, max_value=6.0)
    Array([-0.25,  0.5 ,  6.  ], dtype=float32)
    """
    if negative_slope and max_value is None and threshold == 0.0:
        return leaky_relu(x, negative_slope)
    # `jax.nn.relu` has the slope 0 at 0, as in Keras.
    above = jnp.where(x > threshold, x, jnp.zeros_like(x)) if threshold else jax.nn.relu(x)
    if max_value == 6.0 and threshold == 0.0:
        above = jax.nn.relu6(x)  # as in Keras: the slope at 6 is 0, while that of `jnp.clip` at a bound is 1/2
    elif max_value is not None:
        above = jnp.clip(above, 0.0, max_value)
    return above - negative_slope * jax.nn.relu(threshold - x) if negative_slope else above


def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """`x` where `x >= 0`, `negative_slope x` elsewhere.

    Args:
      x: any shape.
      negative_slope: any number.

    Returns:
      An array like `x`.

    >>> leaky_relu(jnp.array([-1.0, 2.0]))
    Array([-0.2,  2. ], dtype=float32)
    """
    return jax.nn.leaky_relu(x, negative_slope)


def gelu(x: Array, approximate: bool = False) -> Array:
    """`x Phi(x)`, where Phi is the distribution function of the unit normal.

    Args:
      x: any shape.
      approximate: whether to approximate Phi by tanh.

    Returns:
      An array like `x`.

    Reference: Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.

    >>> round(float(gelu(jnp.array(2.0))), 4)
    1.9545
    """
    return jax.nn.gelu(x, approximate)


def glu(x: Array, axis: int = -1) -> Array:
    """`a sigmoid(b)`, where `a` and `b` are the two halves of `x` along an axis.

    Args:
      x: any shape of rank 1 or more.
      axis: an axis of even size.

    Returns:
      An array like `x`, half as long along the axis.

    Raises:
      ValueError: if the size of the axis is odd.

    Reference: Dauphin et al., "Language Modeling with Gated Convolutional Networks", 2017.

    >>> glu(jnp.array([2.0, 4.0, 0.0, 0.0]))
    Array([1., 2.], dtype=float32)
    """
    if x.shape[axis] % 2:
        raise ValueError(f"glu: expected an even size along axis {axis}, got an array of shape {x.shape}")
    return jax.nn.glu(x, axis)


def squareplus(x: Array, b: float = 4.0) -> Array:
    """`(x + sqrt(x^2 + b)) / 2`.

    Args:
      x: any shape.
      b: at least 0. The larger it is, the smoother is the corner at 0; with 0 the function is `relu`.

    Returns:
      An array like `x`.

    >>> squareplus(jnp.array([-1.5, 0.0, 1.5]))
    Array([0.5, 1. , 2. ], dtype=float32)
    """
    return jax.nn.squareplus(x, b)


def soft_shrink(x: Array, threshold: float = 0.5) -> Array:
    """`sign(x) max(|x| - threshold, 0)`.

    Args:
      x: any shape.
      threshold: any number.

    Returns:
      An array like `x`.

    >>> soft_shrink(jnp.array([-2.0, 0.25, 1.0]))
    Array([-1.5,  0. ,  0.5], dtype=float32)
    """
    nearer = jnp.where(x < -threshold, x + threshold, jnp.zeros_like(x))
    return jnp.where(x > threshold, x - threshold, nearer)


def hard_shrink(x: Array, threshold: float = 0.5) -> Array:
    """`x` where `|x| > threshold`, 0 elsewhere.

    Args:
      x: any shape.
      threshold: any number.

    Returns:
      An array like `x`.

    >>> hard_shrink(jnp.array([-2.0, 0.25, 1.0]))
    Array([-2.,  0.,  1.], dtype=float32)
    """
    return jnp.where(jnp.abs(x) > threshold, x, jnp.zeros_like(x))


def tanh_shrink(x: Array) -> Array:
    """`x - tanh(x)`."""
    return x - jnp.tanh(x)


def threshold(x: Array, threshold: float, default_value: float) -> Array:
    """`x` where `x > threshold`, `default_value` elsewhere.

    The arguments have no defaults. In a layer, use `Activation`.

    Args:
      x: any shape.
      threshold: any number.
      default_value: any number.

    Returns:
      An array like `x`.

    >>> threshold(jnp.array([-2.0, 0.5, 3.0]), 1.0, -1.0)
    Array([-1., -1.,  3.], dtype=float32)
    """
    return jnp.where(x > threshold, x, jnp.full_like(x, default_value))


def sparsemax(x: Array, axis: int = -1) -> Array:
    """The point of the probability simplex that is nearest to `x`: `max(x - tau, 0)`.

    The threshold tau makes the sum 1. Let `z_1 >= z_2 >= ...` be the sorted entries of `x`, and `k` the largest index
    with `1 + k z_k > z_1 + ... + z_k`. Then `tau = (z_1 + ... + z_k - 1) / k`. (Keras's has another tau on JAX for
    `k > 1`, with which the sum is not 1.)

    Args:
      x: any shape of rank 1 or more.
      axis: the axis of the simplex.

    Returns:
      An array like `x`, which sums to 1 along the axis.

    Reference: Martins and Astudillo, "From Softmax to Sparsemax", 2016.

    >>> sparsemax(jnp.array([0.5, 0.0, -3.0]))
    Array([0.75, 0.25, 0.  ], dtype=float32)
    """
    dtype, x = x.dtype, jnp.moveaxis(widen(x), axis, -1)
    # The result depends on differences only. Without this line, sums of large entries would round the 1 away.
    x = x - jnp.max(x, axis=-1, keepdims=True)
    z = -jnp.sort(-x, axis=-1)
    sums = jnp.cumsum(z, axis=-1)
    k = jnp.broadcast_to(jnp.arange(1, x.shape[-1] + 1, dtype=x.dtype), x.shape)
    supported = 1 + k * z > sums
    size = jnp.sum(supported, axis=-1, keepdims=True, dtype=x.dtype)
    tau = (jnp.sum(jnp.where(supported, z, jnp.zeros_like(z)), axis=-1, keepdims=True) - 1) / size
    return jnp.moveaxis(jax.nn.relu(x - tau), -1, axis).astype(dtype)


# JAX's functions that are the same as Keras's.
celu = jax.nn.celu
elu = jax.nn.elu
exponential = jnp.exp
hard_sigmoid = jax.nn.hard_sigmoid
hard_silu = jax.nn.hard_silu
hard_swish = jax.nn.hard_silu
hard_tanh = jax.nn.hard_tanh
log_sigmoid = jax.nn.log_sigmoid
log_softmax = jax.nn.log_softmax
mish = jax.nn.mish
relu6 = jax.nn.relu6
selu = jax.nn.selu
sigmoid = jax.nn.sigmoid
silu = jax.nn.silu
softmax = jax.nn.softmax
softplus = jax.nn.softplus
softsign = jax.nn.soft_sign
sparse_plus = jax.nn.sparse_plus
sparse_sigmoid = jax.nn.sparse_sigmoid
swish = jax.nn.silu
tanh = jnp.tanh
