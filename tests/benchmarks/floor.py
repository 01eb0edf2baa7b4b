"""The floor of a row: its operations at the measured peak, then its bytes at the measured bandwidth."""

import functools
import importlib

import jax
import jax.numpy as jnp
from jax import Array

from tests.benchmarks.clock import Work, once

ADAM_BYTES = 28  # a parameter, its gradient and two moments are read, all but the gradient written: 7 x 4 bytes


class Machine:
    """The peak and the bandwidth, each measured when first asked for.

    Args:
      quick: whether to measure with small arrays, which tells little.
      with_pytorch: whether PyTorch's products count too: the fastest sets the peak.
    """

    def __init__(self, *, quick: bool, with_pytorch: bool):
        self._quick = quick
        self._makers = ["plain", "pytorch"] if with_pytorch else ["plain"]

    def floor(self, flops: float, moved: float, dtype: str) -> float:
        """The seconds of this many operations on operands of a dtype and of this many bytes moved."""
        return flops / self.peak(dtype) + moved / self.bandwidth()

    @functools.cache  # noqa: B019 - there is one machine
    def peak(self, dtype: str) -> float:
        """Operations a second of the fastest of a few products of big square matrices."""
        sizes = (256,) if self._quick else (1024, 2048) if jax.default_backend() == "cpu" else (4096, 8192)
        modules = [importlib.import_module(f"tests.benchmarks.peers.{maker}") for maker in self._makers]
        return max(2 * n**3 / _best(module.square_product(n, dtype)) for module in modules for n in sizes)

    @functools.cache  # noqa: B019
    def bandwidth(self) -> float:
        """Bytes a second of an addition in place to an array that no cache holds, which reads and writes each once."""
        x = jnp.ones((1 << (18 if self._quick else 26),), jnp.float32)
        add = jax.jit(lambda x: x + 1, donate_argnums=0)

        def work() -> Array:
            nonlocal x
            x = add(x)
            return x

        return 2 * x.nbytes / _best(work)


def _best(work: Work, calls: int = 15) -> float:
    once(work)
    return min(once(work) for _ in range(calls))
