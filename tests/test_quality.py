"""The linter, the formatter and the type checker, so that one command checks everything."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    ["ruff format --check .", "ruff check .", f"basedpyright --pythonpath {sys.executable}"],
    ids=["format", "lint", "types"],
)
def test_passes(command):
    done = subprocess.run([sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
