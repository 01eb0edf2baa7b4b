"""A network of two pure functions, `init` and `apply`: what all JAX libraries can be brought to, and are timed as."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from tests.benchmarks.clock import Work
from tests.benchmarks.network import Network

Params = Any
State = tuple[Params, Any]


@dataclass(frozen=True)
class Pure:
    """The protocol `Built`, for a JAX library.

    Args:
      network: what it computes.
      draw: `key -> params`.
      apply: `(params, x) -> y`.
      jit: with which a user of the library compiles a call.
      draw_compiles: whether `draw` may be traced.
    """

    network: Network
    draw: Callable[[Array], Params]
    apply: Callable[[Params, Array], Array]
    jit: Callable[[Any], Any] = jax.jit
    draw_compiles: bool = True

    def forward(self) -> Work:
        params, (x, _) = self._params(), jax.device_put(self.network.batch())
        call = self.jit(self.apply)
        return lambda: call(params, x)

    def eager(self, *, trace: bool) -> Work:
        """A call that is not compiled, or only its trace."""
        params, (x, _) = self._params(), jax.device_put(self.network.batch())

        def traced() -> Any:
            def call(params: Params, x: Array) -> Array:  # a new one each time: JAX keeps the trace of one it knows
                return self.apply(params, x)

            return jax.make_jaxpr(call)(params, x)

        return traced if trace else lambda: self.apply(params, x)

    def backward(self) -> Work:
        def both(params: Params, x: Array, g: Array) -> Any:
            y, gradients = jax.vjp(self.apply, params, x)
            return y, gradients(g.astype(y.dtype))

        params, (x, g) = self._params(), jax.device_put(self.network.batch())
        call = jax.jit(both)
        return lambda: call(params, x, g)

    def step(self) -> Work:
        state, (x, y) = self._state(), jax.device_put(self.network.batch())
        step = jax.jit(self._step, donate_argnums=0)

        def work() -> Any:
            nonlocal state
            state, loss = step(state, x, y)
            return state, loss

        return work

    def init(self, *, compiled: bool) -> Work | None:
        if compiled and not self.draw_compiles:
            return None
        draw, key = jax.jit(self.draw) if compiled else self.draw, jax.random.key(0)
        return lambda: draw(key)

    def weight_gradient(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        @jax.jit
        def gradient(params: Params, x: Array, g: Array) -> Params:
            y, pull_back = jax.vjp(lambda params: self.apply(params, x), params)
            return pull_back(g.astype(y.dtype))[0]

        weight = max(jax.tree.leaves(gradient(self._params(), x, g)), key=jnp.size)
        return np.asarray(weight if weight.shape == (x.shape[1], g.shape[1]) else weight.T)

    def step_bytes(self) -> int | None:
        step = jax.jit(self._step, donate_argnums=0)
        used = step.lower(self._state(), *self.network.batch()).compile().memory_analysis()
        held = used.temp_size_in_bytes + used.argument_size_in_bytes + used.output_size_in_bytes
        return held - used.alias_size_in_bytes

    def _params(self) -> Params:
        return self.draw(jax.random.key(0))

    def _state(self) -> State:
        params = self._params()
        return params, _ADAM.init(params)

    def _step(self, state: State, x: Array, y: Array) -> tuple[State, Array]:
        def loss(params: Params) -> Array:
            return jnp.mean(jnp.square(self.apply(params, x).astype(jnp.float32) - y))

        params, opt_state = state
        value, gradient = jax.value_and_grad(loss)(params)
        updates, opt_state = _ADAM.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), value


_ADAM = optax.adam(1e-3)
