"""Data-parallel training on two (virtual CPU) devices, by `jax.pmap` and by `jax.jit` with a sharded batch.

Both give the same parameters as one device, up to rounding. Penalties need no special care. The penalty of a kernel is
the same on each device, so the mean over the devices does not change it. The penalty of an activity is a mean over the
batch, so the mean over the devices is the penalty of the whole batch.

    python examples/data_parallel.py
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, NamedSharding, P, lax
from jax.sharding import AxisType
from sklearn.datasets import load_digits

from densefn import L2, Dense, Sequential

MODEL = Sequential(Dense(64, "relu", kernel_regularizer=L2(1e-3), activity_regularizer=L2(1e-3)), Dense(10))
# SGD, because Adam divides each gradient by its own size, which magnifies the rounding of small gradients.
OPTIMIZER = optax.sgd(0.1, momentum=0.9)
DEVICES, STEPS, BATCH = 2, 100, 64


def objective(params: Any, x: Array, y: Array) -> Array:
    """The mean cross entropy plus the penalty."""
    logits, penalty = MODEL.forward(params, x)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y)) + penalty


def make_train(gradient: Callable[..., Any]) -> Callable[[Any, Array, Array], Any]:
    """Makes `train(params, x, y) -> params`: a step for each batch along the first axis of `x` and `y`."""

    def step(state: tuple[Any, Any], batch: tuple[Array, Array]) -> tuple[tuple[Any, Any], None]:
        params, opt_state = state
        updates, opt_state = OPTIMIZER.update(gradient(params, *batch), opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    def train(params: Any, x: Array, y: Array) -> Any:
        (params, _), _ = lax.scan(step, (params, OPTIMIZER.init(params)), (x, y))
        return params

    return train


def largest_difference(a: Any, b: Any) -> float:
    """The largest absolute difference between entries of two trees."""
    return max(jax.tree.leaves(jax.tree.map(lambda a, b: float(np.max(np.abs(np.asarray(a) - np.asarray(b)))), a, b)))


def main() -> dict[str, float]:
    """Trains in three ways, and prints how much the results differ."""
    jax.config.update("jax_num_cpu_devices", DEVICES)
    x, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).integers(len(x), size=(STEPS, BATCH))
    x, y = x[rows] / 16, y[rows]
    params = MODEL.init(jax.random.key(0), (None, 64))
    gradient = jax.grad(objective)

    alone = jax.jit(make_train(gradient))(params, x, y)

    def mean_gradient(params: Any, x: Array, y: Array) -> Any:
        return lax.pmean(gradient(params, x, y), "devices")

    mapped = jax.pmap(make_train(mean_gradient), "devices", in_axes=(None, 1, 1), out_axes=None)(
        params, x.reshape(STEPS, DEVICES, -1, 64), y.reshape(STEPS, DEVICES, -1)
    )

    # On an Auto axis XLA chooses the sharding of each array. On an Explicit axis, the default, the sharding is part of
    # an array's type.
    mesh = jax.make_mesh((DEVICES,), ("batch",), axis_types=(AxisType.Auto,))
    sharded = jax.jit(make_train(gradient))(params, *jax.device_put((x, y), NamedSharding(mesh, P(None, "batch"))))

    pairs = {"pmap, sharded": (mapped, sharded), "pmap, alone": (mapped, alone), "sharded, alone": (sharded, alone)}
    differences = {name: largest_difference(a, b) for name, (a, b) in pairs.items()}
    print(f"{jax.device_count()} devices, {STEPS} steps; largest difference between final parameters:")
    for name, difference in differences.items():
        print(f"  {name}: {difference:.1e}")
    return differences


if __name__ == "__main__":
    main()
