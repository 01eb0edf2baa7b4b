"""The instructions of this machine's processor on which the choice of a program depends."""

import functools
from pathlib import Path

import jax.numpy as jnp
from jax.typing import DTypeLike

# Linux's names of the instructions that XLA's kernels for a dtype need. Float16 has none: on no
# processor that was measured were its products faster than those of float32. Only x86 processors were measured.
_INSTRUCTIONS = {jnp.dtype(jnp.bfloat16): {"avx512_bf16", "amx_bf16"}}


def multiplies(dtype: DTypeLike) -> bool:
    """Whether this machine's processor multiplies numbers of a narrow dtype faster than those of float32.

    Args:
      dtype: bfloat16 or float16.

    Returns:
      False also if the system does not say: float32 products are fast on every processor.
    """
    return not _INSTRUCTIONS.get(jnp.dtype(dtype), set()).isdisjoint(_flags())


@functools.cache
def _flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    # One line for each core, all taken to be alike.
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return frozenset(next(flags, "").split())
