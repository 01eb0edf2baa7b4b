"""The floor of a row: its operations at the measured peak, then its bytes at the measured bandwidth.

Both are measured in turn with the rows, and the best of all rounds counts, so that a machine that is busy for a while
does not lower them.
"""

import importlib

import jax
import jax.numpy as jnp
from jax import Array

from tests.benchmarks.clock import Work, once

ADAM_BYTES = 28  # a parameter, its gradient and two moments are read, all but the gradient written: 7 x 4 bytes


class Machine:
    """The best rates that were seen of products and of memory.

    Args:
      quick: whether to measure with small arrays, which tells little.
      with_pytorch: whether PyTorch's products count too: the fastest sets the peak.
    """

    def __init__(self, *, quick: bool, with_pytorch: bool):
        self._best = dict.fromkeys(("float32", "bfloat16", "bytes"), 0.0)
        self._probes = [_bandwidth(1 << (18 if quick else 26))]
        size = 256 if quick else 2048 if jax.default_backend() == "cpu" else 8192
        for maker in ["plain", "pytorch"] if with_pytorch else ["plain"]:
            module = importlib.import_module(f"tests.benchmarks.peers.{maker}")
            for dtype in ("float32", "bfloat16"):
                self._probes.append((dtype, 2 * size**3, module.square_product(size, dtype)))
        self.sample()

    def sample(self) -> None:
        """Measures each once more."""
        for kind, amount, work in self._probes:
            self._best[kind] = max(self._best[kind], amount / once(work))

    def floor(self, flops: float, moved: float, dtype: str) -> float:
        """The seconds of this many operations on operands of a dtype and of this many bytes moved."""
        return flops / self._best[dtype] + moved / self._best["bytes"]


def _bandwidth(size: int) -> tuple[str, float, Work]:
    """An addition in place to an array that no cache holds, which reads and writes each byte once."""
    x = jnp.ones((size,), jnp.float32)
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def work() -> Array:
        nonlocal x
        x = add(x)
        return x

    return "bytes", 2 * x.nbytes, work
