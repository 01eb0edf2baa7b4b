"""The gradient of each example by `jax.vmap` of `jax.grad`, then clipped as in differentially private training.

    python examples/per_example_gradients.py

Reference: Abadi et al., "Deep Learning with Differential Privacy", 2016.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from sklearn.datasets import load_iris

from densefn import Dense, Sequential

CLIP = 1.0


class Result(NamedTuple):
    """What the example found.

    Attributes:
      norms: of the gradient of each example, `[rows]`.
      clipped: the same norms after clipping, `[rows]`.
      difference: the largest difference between the mean of the gradients and the gradient of the batch.
    """

    norms: Array
    clipped: Array
    difference: Array


def main() -> Result:
    """Prints the range of the norms, and compares the mean gradient with the gradient of the batch."""
    x, y = (jnp.asarray(column) for column in load_iris(return_X_y=True))
    model = Sequential(Dense(16, "tanh"), Dense(3))
    params = model.init(jax.random.key(0), (None, 4))

    def loss(params, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(model.apply(params, x), y).mean()

    each = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0, 0)))(params, x, y)
    norm = jax.vmap(optax.tree.norm)
    norms = norm(each)
    print(f"{len(x)} gradients, with norms from {norms.min():.2f} to {norms.max():.2f}, {norms.mean():.2f} on average")

    mean = jax.tree.map(lambda g: g.mean(axis=0), each)
    differs = jax.tree.map(lambda one, two: jnp.max(jnp.abs(one - two)), mean, jax.grad(loss)(params, x, y))
    difference = jnp.max(jnp.stack(jax.tree.leaves(differs)))
    print(f"their mean differs from the gradient of the batch by at most {difference:.1e}")

    scale = jnp.minimum(1, CLIP / norms)
    clipped = norm(jax.vmap(lambda scale, g: jax.tree.map(lambda leaf: scale * leaf, g))(scale, each))
    print(f"after clipping each gradient, the largest norm is {clipped.max():.3f}")
    return Result(norms, clipped, difference)


if __name__ == "__main__":
    main()
