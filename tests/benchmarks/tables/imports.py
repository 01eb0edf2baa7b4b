"""How long a library takes to import, in a Python of its own."""

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
        Case(f"import {PEERS[peer].imports}", "", peer): functools.partial(once, functools.partial(_import, peer))
        for peer in settings.peers
    }
    for measurement in measurements.values():
        measurement()  # compiles what Python has not compiled yet
    return Table(
        "imports",
        "Starting Python and importing a library",
        "seconds",
        "import jax",
        compared(medians(measurements, effort), reference=lambda _: Case("import jax", "", "plain")),
        "All but PyTorch import jax themselves.",
    )


def _import(peer: str) -> None:
    code = f"import {PEERS[peer].imports}"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "KERAS_BACKEND": "jax"})
