"""A training loop of your own, with a densefn model and an optax optimizer.

The step adds the penalty of the layers to the loss, and applies their constraints after the update. It donates its
state, so XLA can update it in place. The data are scikit-learn's handwritten digits.

    python examples/optax_loop.py
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from densefn import L2, Dense, MaxNorm, Sequential

MODEL = Sequential(Dense(128, "relu", kernel_regularizer=L2(1e-4), kernel_constraint=MaxNorm(1.5)), Dense(10))
OPTIMIZER = optax.adam(2e-3)
STEPS, BATCH = 600, 64


def objective(params: Any, x: Array, y: Array) -> Array:
    """The mean cross entropy plus the penalty of the kernels."""
    logits, penalty = MODEL.forward(params, x)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y)) + penalty


@partial(jax.jit, donate_argnums=(0, 1))
def step(params: Any, opt_state: Any, x: Array, y: Array) -> tuple[Any, Any]:
    """Gradient, update, projection."""
    gradient = jax.grad(objective)(params, x, y)
    updates, opt_state = OPTIMIZER.update(gradient, opt_state)
    return MODEL.project(optax.apply_updates(params, updates)), opt_state


def main() -> dict[str, float]:
    """Trains, and prints the accuracy on held-out digits."""
    x, y = load_digits(return_X_y=True)
    x, held_out_x, y, held_out_y = train_test_split(x / 16, y, test_size=0.2, random_state=0)
    params = MODEL.init(jax.random.key(0), (None, 64))
    opt_state = OPTIMIZER.init(params)
    for rows in np.random.default_rng(0).integers(len(x), size=(STEPS, BATCH)):
        params, opt_state = step(params, opt_state, x[rows], y[rows])
    accuracy = float(jnp.mean(jnp.argmax(MODEL.apply(params, jnp.asarray(held_out_x)), axis=-1) == held_out_y))
    longest = float(jnp.max(jnp.linalg.norm(params["0"]["kernel"], axis=0)))
    print(f"validation accuracy after {STEPS} steps: {accuracy:.3f}")
    print(f"longest column of the first kernel: {longest:.3f}")
    return {"accuracy": accuracy, "longest": longest}


if __name__ == "__main__":
    main()
