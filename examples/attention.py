"""Dense as a part of a larger model: the projections of a self-attention block, on inputs `[rows, length, width]`.

    python examples/attention.py

The task is a look-up. One token of each sequence is marked, and the target is the content of that token.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from densefn import Dense

LENGTH, HEADS, SIZE, STEPS = 8, 2, 8, 300


@dataclass(frozen=True)
class Attention:
    """Multi-head self-attention: a value with its own `init` and `apply`, made of Dense layers."""

    heads: int
    size: int

    def parts(self) -> dict[str, Dense]:
        """The four projections by name."""
        width = self.heads * self.size
        return {name: Dense(width) for name in ("query", "key", "value", "output")}

    def init(self, key: Array, input_shape: tuple[int | None, ...]) -> dict[str, Any]:
        """Makes the parameters of each projection. The input of `output` is the concatenated heads."""
        keys = jax.random.split(key, 4)
        shapes = [input_shape, input_shape, input_shape, (None, self.heads * self.size)]
        parts = self.parts().items()
        return {name: part.init(k, shape) for (name, part), k, shape in zip(parts, keys, shapes, strict=True)}

    def apply(self, params: dict[str, Any], x: Array) -> Array:
        """`[rows, length, in] -> [rows, length, heads * size]`."""
        parts = self.parts()
        query, key, value = (
            parts[name].apply(params[name], x).reshape(*x.shape[:-1], self.heads, self.size)
            for name in ("query", "key", "value")
        )
        mixed = jax.nn.dot_product_attention(query, key, value)
        return parts["output"].apply(params["output"], mixed.reshape(*x.shape[:-1], -1))


def sequences(key: Array, rows: int) -> tuple[Array, Array]:
    """Tokens `[rows, LENGTH, 2]`, each a content and a mark, and targets `[rows]`: the content of the marked token."""
    content_key, mark_key = jax.random.split(key)
    content = jax.random.normal(content_key, (rows, LENGTH))
    marked = jax.random.randint(mark_key, (rows,), 0, LENGTH)
    mark = jax.nn.one_hot(marked, LENGTH)
    return jnp.stack([content, mark], axis=-1), jnp.sum(content * mark, axis=1)


def main() -> tuple[float, float]:
    """Trains, and returns the mean squared error on new sequences before and after."""
    block, head = Attention(HEADS, SIZE), Dense(1)
    block_key, head_key = jax.random.split(jax.random.key(0))
    params = {"block": block.init(block_key, (None, LENGTH, 2)), "head": head.init(head_key, (None, HEADS * SIZE))}
    optimizer = optax.adam(1e-2)

    def loss(params: Any, x: Array, y: Array) -> Array:
        pooled = block.apply(params["block"], x).mean(axis=1)
        return jnp.mean(jnp.square(head.apply(params["head"], pooled)[:, 0] - y))

    @jax.jit
    def train(params: Any) -> Any:
        def step(state, key):
            params, opt_state = state
            updates, opt_state = optimizer.update(jax.grad(loss)(params, *sequences(key, 64)), opt_state)
            return (optax.apply_updates(params, updates), opt_state), None

        keys = jax.random.split(jax.random.key(1), STEPS)
        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), keys)
        return params

    unseen = sequences(jax.random.key(2), 1000)
    before, after = float(loss(params, *unseen)), float(loss(train(params), *unseen))
    print(f"mean squared error {before:.3f} -> {after:.4f} in {STEPS} steps")
    return before, after


if __name__ == "__main__":
    main()
