"""32 networks from 32 seeds, drawn and trained at once by one compiled program.

A training run is a pure function of a key, so `jax.vmap` over keys trains an ensemble: how much of an accuracy is luck?
The data are scikit-learn's handwritten digits.

    python examples/many_seeds.py
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from densefn import Dense, Sequential

MODEL = Sequential(Dense(32, "relu"), Dense(10))
OPTIMIZER = optax.adam(3e-3)
SEEDS, STEPS, BATCH = 32, 300, 64


def train(key: Array, x: Array, y: Array, held_out_x: Array, held_out_y: Array) -> Array:
    """The validation accuracy of one network, whose first parameters and batches are drawn from the key."""

    def step(state: tuple[Any, Any], rows: Array) -> tuple[tuple[Any, Any], None]:
        params, opt_state = state
        updates, opt_state = OPTIMIZER.update(jax.grad(loss)(params, rows), opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    def loss(params: Any, rows: Array) -> Array:
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(MODEL.apply(params, x[rows]), y[rows]))

    init_key, batch_key = jax.random.split(key)
    params = MODEL.init(init_key, (None, 64))
    batches = jax.random.randint(batch_key, (STEPS, BATCH), 0, len(x))
    (params, _), _ = lax.scan(step, (params, OPTIMIZER.init(params)), batches)
    return jnp.mean(jnp.argmax(MODEL.apply(params, held_out_x), axis=-1) == held_out_y)


def main() -> dict[str, float]:
    """Trains all networks, and prints the spread of their accuracies."""
    x, y = load_digits(return_X_y=True)
    x, held_out_x, y, held_out_y = map(jnp.asarray, train_test_split(x / 16, y, test_size=0.2, random_state=0))
    keys = jax.random.split(jax.random.key(0), SEEDS)
    start = time.perf_counter()
    train_all = jax.jit(jax.vmap(train, in_axes=(0, None, None, None, None)))
    accuracy = train_all(keys, x, y, held_out_x, held_out_y).block_until_ready()
    seconds = time.perf_counter() - start
    numbers = {name: float(getattr(accuracy, name)()) for name in ("mean", "std", "min", "max")}
    print(f"{SEEDS} networks of {STEPS} steps each in {seconds:.1f} s, compilation included")
    print("validation accuracy:", ", ".join(f"{name} {number:.4f}" for name, number in numbers.items()))
    return {**numbers, "seconds": seconds}


if __name__ == "__main__":
    main()
