"""Reads and compares what a run's numbers depend on: JAX's settings, versions of packages, the device."""

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
"""Settings that change a run's numbers: a resumed run needs the same ones."""

_PACKAGES = ("jax", "jaxlib", "numpy", "optax")


def read() -> dict[str, Any]:
    """The environment of this process, as plain data."""
    settings = {name: getattr(jax.config, name, None) for name in _SETTINGS}
    versions = {"densefn": densefn.__version__, **{name: metadata.version(name) for name in _PACKAGES}}
    device, flags = jax.local_devices()[0].device_kind, os.environ.get("XLA_FLAGS", "")
    return {"settings": settings, "versions": {**versions, "device": device, "XLA_FLAGS": flags}}


def differences(then: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The differences from the environment in which a run began, each as `name = now (then: before)`.

    Args:
      then: as `read` returned it.

    Returns:
      The changed settings, which change a run's numbers, and the changed versions, which may change its roundings.
    """
    now = read()
    return _differences(now["settings"], then["settings"]), _differences(now["versions"], then["versions"])


def _differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys([*now, *then])
    return [f"{name} = {now.get(name)} (then: {then.get(name)})" for name in names if now.get(name) != then.get(name)]
