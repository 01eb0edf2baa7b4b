"""Collects the code blocks of the README and of the pages as tests, each page in a folder of its own."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

_ROOT = Path(__file__).parent


def _enter(namespace: dict[str, Any]) -> None:
    """A page may write files, and may read what a clone has beside it."""
    folder = Path(tempfile.mkdtemp())
    (folder / "configs").symlink_to(_ROOT / "configs")
    namespace["_folders"] = Path.cwd(), folder
    os.chdir(folder)


def _leave(namespace: dict[str, Any]) -> None:
    before, folder = namespace["_folders"]
    os.chdir(before)
    shutil.rmtree(folder)


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    excludes=["docs/coming-from-*.md", "docs/dense.md"],
    setup=_enter,
    teardown=_leave,
).pytest()
