"""What the processor of this machine can do, as far as the choice of a program depends on it."""

import functools
from pathlib import Path

import jax.numpy as jnp
from jax.typing import DTypeLike

# Linux's names of the instructions that XLA's kernels for a dtype need. Float16 has none: its products were as slow as
# float32's where they were measured. Processors other than x86 were not measured.
_INSTRUCTIONS = {jnp.dtype(jnp.bfloat16): {"avx512_bf16", "amx_bf16"}}


def multiplies(dtype: DTypeLike) -> bool:
    """Whether this machine's processor multiplies numbers of a narrow dtype faster than those of float32.

    Args:
      dtype: bfloat16 or float16.

    Returns:
      False also where the system does not tell: a float32 product is fast everywhere.
    """
    return not _INSTRUCTIONS.get(jnp.dtype(dtype), set()).isdisjoint(_flags())


@functools.cache
def _flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    # The first processor's: the others of a machine are taken to have the same.
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return frozenset(next(flags, "").split())
