"""What a report has to say of where it was made."""

import os
import platform
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import jax

from tests.benchmarks.peers import PEERS

_EXTENSIONS = "avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8"


def facts(peers: Iterable[str]) -> dict[str, str]:
    """The machine, the versions and the date, by name."""
    device = jax.devices()[0]
    versions = {PEERS[peer].package: PEERS[peer].version for peer in ("densefn", "plain", *peers)}
    model, extensions = _processor()
    return {
        "date": f"{datetime.now():%Y-%m-%d %H:%M}",
        "device": f"{device.platform}, {device.device_kind}",
        "processor": f"{model}, {os.cpu_count()} cores",
        "its extensions": extensions,
        "Python": platform.python_version(),
        "versions": ", ".join(f"{package} {version}" for package, version in versions.items()),
    }


def _processor() -> tuple[str, str]:
    """The processor's name, and which extensions it has of those that matter to matrix products."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), "unknown"
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    flags = said.get("flags", said.get("Features", "")).split()
    found = [extension for extension in _EXTENSIONS if extension in flags]
    return said.get("model name", platform.machine()), ", ".join(found) or "none of " + ", ".join(_EXTENSIONS)
