"""Collects the code blocks of the README and the pages as tests, and runs each page in a separate temporary folder.

Classes that a page or a docstring registers are unregistered after it, as another may register the same name.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

_ROOT = Path(__file__).parent


def _enter(namespace: dict[str, Any]) -> None:
    """Enters a temporary folder, where a page may write files and read the configs."""
    folder = Path(tempfile.mkdtemp())
    (folder / "configs").symlink_to(_ROOT / "configs")
    namespace["_before"] = Path.cwd(), folder, _names()
    os.chdir(folder)


def _leave(namespace: dict[str, Any]) -> None:
    before, folder, names = namespace["_before"]
    os.chdir(before)
    shutil.rmtree(folder)
    _restore(names)


def _names() -> dict[str, Any]:
    from densefn import _registry

    return dict(_registry.NAMES)


def _restore(names: dict[str, Any]) -> None:
    from densefn import _registry

    _registry.NAMES.clear()
    _registry.NAMES.update(names)


@pytest.fixture(autouse=True)
def registered(request):
    """Unregisters the classes that a docstring registers."""
    names = _names()
    yield
    if isinstance(request.node, pytest.DoctestItem):
        _restore(names)


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    excludes=["docs/coming-from-*.md", "docs/dense.md"],
    setup=_enter,
    teardown=_leave,
).pytest()
