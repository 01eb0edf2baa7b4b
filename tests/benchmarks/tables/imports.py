"""How long a library takes to import, in a new Python process."""

import functools
import os
import subprocess
import sys

from tests.benchmarks.clock import Case, medians, once
from tests.benchmarks.peers import PEERS
from tests.benchmarks.record import Settings, Table, compared


def table(settings: Settings) -> Table:
    """Seconds of a process that imports it and ends."""
    effort = settings.effort._replace(rounds=1 if settings.quick else 5)
    measurements = {
        Case("import", "", peer): functools.partial(once, functools.partial(_import, peer)) for peer in settings.peers
    }
    if not settings.quick:
        medians(measurements, effort._replace(seconds=0, rounds=1))  # Python compiles what it has not compiled yet
    return Table(
        "imports",
        "Starting Python and importing a library",
        "seconds",
        "jax",
        compared(medians(measurements, effort)),
        "All but PyTorch import jax, which is what stands here for plain JAX.",
    )


def _import(peer: str) -> None:
    code = f"import {PEERS[peer].imports}"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "KERAS_BACKEND": "jax"})
