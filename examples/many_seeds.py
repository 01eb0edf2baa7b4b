"""Trains 32 networks from 32 seeds in one compiled program.

How much of an accuracy is luck? `make_train` turns a config into a pure function of a key, so `jax.vmap` over keys
trains an ensemble. The data are scikit-learn's handwritten digits.

    python examples/many_seeds.py
"""

import time

import jax

from densefn.training import make_train, prepare

SEEDS = 32
CONFIG = {
    "data": {"name": "digits", "batch_size": 64},
    "model": {"layers": [{"units": 32, "activation": "relu"}, {"units": 10}]},
    "optimizer": {"name": "adam", "learning_rate": 3e-3},
    "train": {"epochs": 13},
}


def main() -> dict[str, float]:
    """Trains all networks, and prints the spread of their accuracies."""
    train = make_train(prepare(CONFIG))
    start = time.perf_counter()
    state, metrics = jax.block_until_ready(jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), SEEDS)))
    seconds = time.perf_counter() - start
    accuracy = metrics["val_accuracy"][:, -1]
    numbers = {name: float(getattr(accuracy, name)()) for name in ("mean", "std", "min", "max")}
    print(f"{SEEDS} networks of {state.step[0]} steps each in {seconds:.1f} s, compilation included")
    print("validation accuracy:", ", ".join(f"{name} {number:.4f}" for name, number in numbers.items()))
    return {**numbers, "seconds": seconds}


if __name__ == "__main__":
    main()
