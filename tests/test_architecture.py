"""Imports point one way, and `import densefn` costs little."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "densefn"

# Each room may import from the rooms of the lines above it, and from those beside it that the second table names.
ROOMS = [
    {"values", "errors", "equation", "processor", "_disk", "_interrupted", "npz"},
    {"checks"},
    {"training.ranges"},
    {"precision"},
    {"activations"},
    {"narrow", "fans"},
    {"dot"},
    {"initializers", "regularizers", "constraints"},
    {"param"},
    {"forms.form"},
    {"forms.low_rank", "forms.ntk"},
    {"forms"},
    {"keras_config", "keras_einsum"},
    {"layer", "archive"},
    {"dense", "einsum"},
    {"compose"},
    {"partition", "walk"},
    {"convert", "projection", "serialize", "summary", "explanation.formulas", "explanation.cost"},
    {"checkpoint", "explanation.facts"},
    {"explanation.parts", "explanation.document", "explanation.picture"},
    {"explanation.text", "explanation.page"},
    {"explanation.whole"},
    {"explanation"},
    {"explanation.formats"},
    {"export.model"},
    {"export.graph"},
    {"export.operations"},
    {"export.program"},
    {""},  # the package itself: a table of contents
    {"export.keras", "export.onnx", "export.safetensors", "export.stablehlo"},
    {"export.formats"},
    {"export"},
    {"training.data.table"},
    {"training.data.packed", "training.data.layout", "training.data.header", "training.data.moments"},
    {"training.data.cells", "training.data.text", "training.data.arrays", "training.data.bundled"},
    {"training.data.files", "training.data.synthetic", "training.data.columns", "training.data.whole_numbers"},
    {"training.data.targets"},
    {"training.data.preparation", "training.data.target_fit"},
    {"training.data.fit", "training.data.rows"},
    {"training.data.section"},
    {"training.data.by_name", "training.data.by_path"},
    {"training.data.settings"},
    {"training.data.loading"},
    {
        "training.data",
        "training.optimizer",
        "training.loss_scale",
        "training.log",
        "training.pairs",
        "training.toml_text",
    },
    {"training.environment", "training.folder", "training.signals"},
    {"training.average", "training.losses", "training.metrics"},
    {"training.stopping"},
    {"training.config", "training.step"},
    {"training.inside", "training.passes", "training.report.reading"},
    {"training.report.plot", "training.report.tables"},
    {"training.report.page"},
    {"training.goal", "training.report", "training.taken", "training.tensorboard", "training.trained"},
    {"training.loop"},
    {"training.snapshot"},
    {"training.runs"},
    {"training.progress"},
    {"cli.console"},
    {"cli.configs"},
    {"cli.evaluate", "cli.explain", "cli.export", "cli.predict", "cli.report", "cli.train"},
    {"cli"},
    {"__main__"},
]


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


@pytest.mark.parametrize(("module", "path"), [pair for pair in modules() if pair[0] != "training"])
def test_imports_point_one_way(module, path):
    levels = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
    for other in imported(path):
        assert levels[other] < levels[module], f"densefn.{module} imports densefn.{other}"


def test_importing_the_package_imports_jax_and_the_standard_library_alone():
    code = "import sys, jax; before = set(sys.modules); import densefn; print(*sorted(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    roots = {name.split(".")[0] for name in out.split()} - set(sys.stdlib_module_names)
    assert roots <= {"densefn", "jax"}


def test_importing_the_package_takes_a_fifth_of_the_time_of_jax_at_most():
    """Measured: an eighth."""
    code = """if True:
        import time
        began = time.process_time()
        import jax
        between = time.process_time()
        import densefn
        print((time.process_time() - between) / (between - began))
        """
    # The first of them may compile to bytecode; what else runs on the machine only adds.
    times = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True) for _ in range(3)]
    assert min(float(time.stdout) for time in times) < 1 / 5
