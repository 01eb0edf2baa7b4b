"""Imports point one way, and `import densefn` costs little."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "densefn"

# What each package may import besides itself; the core is all that stands at the top, and it imports nothing else.
MAY_IMPORT = {
    "": set(),
    "explanation": {""},
    "export": {""},
    "data": {""},
    "training": {"", "data", "export"},
    "report": {"", "data", "training"},
    "cli": {"", "explanation", "export", "data", "training", "report"},
}

# The modules that import what JAX does not promise to keep.
OF_JAX = {"_jax", "export.jaxpr"}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "densefn":
            below = (node.module or "").removeprefix("densefn").removeprefix(".")
            for alias in node.names:
                name = f"{below}.{alias.name}".removeprefix(".")
                yield name if name in dict(modules()) else below


def package(module):
    return module.split(".")[0] if module.split(".")[0] in MAY_IMPORT else ""


@pytest.mark.parametrize(("module", "path"), list(modules()))
def test_packages_import_one_way(module, path):
    if module in ("", "__main__"):  # the table of contents, and the command
        return
    for other in imported(path):
        assert package(other) in MAY_IMPORT[package(module)] | {package(module)}, f"{module} imports {other}"


@pytest.mark.parametrize(("module", "path"), [pair for pair in modules() if pair[0] not in OF_JAX])
def test_what_jax_does_not_promise_to_keep_is_imported_by_two_modules(module, path):
    imports = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    private = ("jax.core", "jax.extend", "jax.interpreters", "jax.experimental", "jax._src")
    assert not [name for name in imports if name.startswith(private)], f"{module}: import it from densefn._jax"


def test_no_module_imports_one_that_imports_it():
    graph = {module: set(imported(path)) - {module} for module, path in modules() if module}
    graph.pop("training", None)
    TopologicalSorter(graph).prepare()


def test_importing_the_package_imports_jax_and_the_standard_library_alone():
    code = (
        "import sys, jax; before = set(sys.modules); import densefn.training; print(*sorted(set(sys.modules) - before))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    roots = {name.split(".")[0] for name in out.split()} - set(sys.stdlib_module_names)
    assert roots <= {"densefn", "jax"}


def test_importing_the_package_takes_a_fifth_of_the_time_of_jax_at_most(tmp_path):
    """Measured: a twelfth, as with the bytecode that an installed package has."""
    code = f"""if True:
        import sys, time
        began = time.process_time()
        import jax
        between = time.process_time()
        sys.pycache_prefix, sys.dont_write_bytecode = {str(tmp_path)!r}, False
        import densefn
        print((time.process_time() - between) / (between - began))
        assert "jax.extend" not in sys.modules  # a third more
        """
    # The first of them compiles to bytecode; what else runs on the machine only adds.
    times = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True) for _ in range(3)]
    assert min(float(time.stdout) for time in times) < 1 / 5
