"""The tables, each a module with a function `table(settings)`, in the order in which they are measured."""

import importlib

from tests.benchmarks.record import Settings, Table

TABLES = (
    "layers",
    "steps",
    "dispatch",
    "eager",
    "compilation",
    "imports",
    "inits",
    "memory",
    "accuracy",
    "throughput",
    "streaming",
)


def measure(name: str, settings: Settings) -> Table:
    """The table of this name."""
    return importlib.import_module(f"tests.benchmarks.tables.{name}").table(settings)
