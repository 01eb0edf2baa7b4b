"""Collects the code blocks of the README and of the pages as tests, each page in a folder of its own.

What a page or a docstring registers is forgotten after it: others may register a class of the same name.
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
    """A page may write files, and may read what a clone has beside it."""
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
    """The classes that a docstring registers are forgotten after it."""
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
