"""What the bits of a run depend on beside its config and its rows: JAX's settings, versions, and the device."""

import os
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax

import densefn

_SETTINGS = (
    "jax_enable_x64",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_random_seed_offset",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
)
"""That give a run other numbers: one that goes on needs the ones with which it began."""

_PACKAGES = ("jax", "jaxlib", "numpy", "optax")


def read() -> dict[str, Any]:
    """What this process computes with, as plain data."""
    settings = {name: getattr(jax.config, name, None) for name in _SETTINGS}
    versions = {"densefn": densefn.__version__, **{name: metadata.version(name) for name in _PACKAGES}}
    device, flags = jax.local_devices()[0].device_kind, os.environ.get("XLA_FLAGS", "")
    return {"settings": settings, "versions": {**versions, "device": device, "XLA_FLAGS": flags}}


def differences(then: Mapping[str, Any], kind: str) -> list[str]:
    """What is not as it was when a run began, each as `name = now (then: before)`.

    Args:
      then: as `read` returned it.
      kind: "settings", with which a run gives other numbers, or "versions", with which it may give other roundings.
    """
    now, before = read()[kind], then[kind]
    return [
        f"{name} = {now.get(name)} (then: {before.get(name)})"
        for name in now | before
        if now.get(name) != before.get(name)
    ]
