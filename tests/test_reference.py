"""Every public name has an entry in the reference, and every entry is a public name."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENTRIES = {
    name
    for page in (ROOT / "docs" / "reference").glob("*.md")
    for name in re.findall(r"^\.\. (?:auto\w+|py:data):: (\S+)$", page.read_text(), flags=re.MULTILINE)
}
_BELOW = "activations constraints data export forms initializers regularizers report training"
MODULES = ["densefn", *(f"densefn.{name}" for name in _BELOW.split())]


def public(path):
    """The names of a module that are for users: `__all__`; else what it defines or imports as itself."""
    module = importlib.import_module(path)
    if hasattr(module, "__all__"):
        return set(module.__all__)
    names = set()
    for node in ast.parse(Path(module.__file__).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom) and node.module != "densefn":  # from densefn come the modules
            names |= {alias.name for alias in node.names if alias.name == alias.asname}
    return {name for name in names if not name.startswith("_")}


def of(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_an_entry(module):
    entries = {id(of(entry)) for entry in ENTRIES}
    missing = [name for name in public(module) if id(of(f"{module}.{name}")) not in entries]
    assert not missing


@pytest.mark.parametrize("entry", sorted(ENTRIES))
def test_every_entry_is_a_public_name_with_a_docstring(entry):
    path, _, name = entry.rpartition(".")
    assert path in MODULES
    assert name in public(path)
    assert of(entry).__doc__
