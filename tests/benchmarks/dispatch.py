"""What a jitted call of a tiny model costs beside the same function of a raw pytree.

    python -m tests.benchmarks.dispatch

Both run in one process, in random order each round; printed are medians and their ratio.
"""

import random
import statistics
import time

import jax
import jax.numpy as jnp

from densefn import Dense, Sequential

ROUNDS, CALLS = 101, 200


def main() -> None:
    """Prints the microseconds of a call of each, and their ratio."""
    for depth in (1, 10):
        model = Sequential(*[Dense(16, "relu")] * depth)
        params = model.init(jax.random.key(0), (None, 16))
        x = jnp.ones((8, 16))

        def by_hand(params, x, depth=depth):
            for index in range(depth):
                layer = params[str(index)]
                x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
            return x

        functions = {"densefn": jax.jit(model.apply), "raw pytree": jax.jit(by_hand)}
        seconds: dict[str, list[float]] = {name: [] for name in functions}
        for function in functions.values():
            function(params, x).block_until_ready()
        for _ in range(ROUNDS):
            for name, function in random.sample(list(functions.items()), 2):
                began = time.perf_counter()
                for _ in range(CALLS):
                    y = function(params, x)
                y.block_until_ready()
                seconds[name].append((time.perf_counter() - began) / CALLS)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        ratio = medians["densefn"] / medians["raw pytree"]
        print(f"depth {depth}: " + ", ".join(f"{name} {1e6 * median:.1f} us" for name, median in medians.items()))
        print(f"depth {depth}: ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
