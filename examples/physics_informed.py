"""A physics-informed network: solves `u'' = -pi^2 sin(pi x)` on [0, 1] with `u(0) = u(1) = 0`, without data.

The network is `u`, and `jax.grad` of `jax.grad` is its second derivative. The loss is the mean squared residual of the
equation, plus the squared values on the boundary. The exact solution is `sin(pi x)`.

    python examples/physics_informed.py
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from densefn import Dense, Sequential

MODEL = Sequential(Dense(32, "tanh"), Dense(32, "tanh"), Dense(1))
STEPS, POINTS = 1000, 64
OPTIMIZER = optax.adam(optax.cosine_decay_schedule(1e-2, STEPS))


def u(params: Any, x: Array) -> Array:
    """The network as a function of one number."""
    return MODEL.apply(params, x[None])[0]


def residual(params: Any, x: Array) -> Array:
    """The residual of the equation, `u'' + pi^2 sin(pi x)`, at one point."""
    return jax.grad(jax.grad(u, argnums=1), argnums=1)(params, x) + jnp.pi**2 * jnp.sin(jnp.pi * x)


def objective(params: Any) -> Array:
    """The mean squared residual on the interval, plus the squared values on its boundary."""
    inside = jax.vmap(residual, in_axes=(None, 0))(params, jnp.linspace(0, 1, POINTS))
    boundary = jax.vmap(u, in_axes=(None, 0))(params, jnp.array([0.0, 1.0]))
    return jnp.mean(jnp.square(inside)) + jnp.sum(jnp.square(boundary))


@jax.jit
def train(params: Any) -> tuple[Any, Array]:
    """The trained parameters, and the loss before each step."""

    def step(state: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], Array]:
        params, opt_state = state
        loss, gradient = jax.value_and_grad(objective)(params)
        updates, opt_state = OPTIMIZER.update(gradient, opt_state)
        return (optax.apply_updates(params, updates), opt_state), loss

    (params, _), losses = lax.scan(step, (params, OPTIMIZER.init(params)), length=STEPS)
    return params, losses


def main() -> dict[str, float]:
    """Trains, and prints the largest error on a grid that is finer than the training points."""
    params, losses = train(MODEL.init(jax.random.key(0), (1,)))
    x = jnp.linspace(0, 1, 1001)
    error = float(jnp.max(jnp.abs(jax.vmap(u, in_axes=(None, 0))(params, x) - jnp.sin(jnp.pi * x))))
    print(f"loss: {losses[0]:.2e} before, {losses[-1]:.2e} after {STEPS} steps")
    print(f"largest error of u: {error:.1e}")
    return {"before": float(losses[0]), "after": float(losses[-1]), "error": error}


if __name__ == "__main__":
    main()
