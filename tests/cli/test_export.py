"""densefn export, as its user runs it, and what it writes, as its reader runs that."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from densefn import Dense, Sequential, checkpoint
from densefn.cli import main
from densefn.export import FORMATS, CheckError, formats
from tests.training.runs_made import seal

ROOT = Path(__file__).parents[2]

# Keras's variables are arrays in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def promotion():
    with jax.numpy_rank_promotion("allow"):  # which Keras needs
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "diabetes"
    config = str(ROOT / "configs" / "diabetes.toml")
    assert main(["train", config, "--run-dir", str(run), "--set", "train.epochs=2"]) == 0
    return run


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def bare(tmp_path):
    def save(layer):
        folder = tmp_path / "bare"
        folder.mkdir()
        checkpoint.save(folder / "model.safetensors", layer, layer.init(jax.random.key(0), (None, 4)), (None, 4))
        return folder

    return save


def predicted(run, rows):
    """The run's predictions in float64, from its files alone: a net of tanh layers and its standardisations."""
    prepared = json.loads((run / "preparation.json").read_text())
    y = (rows - np.array(prepared["mean"])) / np.array(prepared["scale"])
    with safe_open(run / "model.safetensors", "numpy") as file:
        for i, layer in enumerate(json.loads(file.metadata()["layer"])["layers"]):
            y = y @ file.get_tensor(f"{i}/kernel").astype(np.float64) + file.get_tensor(f"{i}/bias")
            y = {"tanh": np.tanh, None: np.asarray}[layer.get("activation")](y)
    target = prepared["target"]
    return y * np.array(target["scale"]) + np.array(target["mean"])


def diabetes(run, batch):
    prepared = json.loads((run / "preparation.json").read_text())
    drawn = np.random.default_rng(5).normal(size=(batch, 10))
    return (drawn * prepared["scale"] + prepared["mean"]).astype(np.float32)


@pytest.mark.parametrize("name", ["stablehlo", "keras", "onnx"])
def test_the_python_that_is_printed_runs_the_file_without_densefn(name, run, tmp_path, capsys):
    assert main(["export", str(run), "--format", name]) == 0
    out = capsys.readouterr().out
    assert f"{run / f'model.{name}'}: x float32 [batch, 10] of age, sex, bmi, bp" in out
    assert "run for 8 rows: outputs of up to " in out
    x = diabetes(run, 11)
    np.save(tmp_path / "x.npy", x)
    printed = out.partition("\n\n")[2]
    code = (
        "import sys, os; sys.modules['densefn'] = None; os.environ['KERAS_BACKEND'] = 'jax'\n"
        f"import numpy as np; x = np.load('x.npy')\n{printed}np.save('y.npy', np.asarray(y))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Targets are some hundreds: a few roundings of float32.
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), predicted(run, x), rtol=1e-5)


def test_safetensors_has_the_parameters_and_the_standardisation(run, tmp_path, capsys):
    assert main(["export", str(run), "--format", "safetensors", "-o", str(tmp_path / "it.safetensors")]) == 0
    found = {}
    exec(capsys.readouterr().out.partition("\n\n")[2], found)  # noqa: S102
    prepared = json.loads((run / "preparation.json").read_text())
    np.testing.assert_array_equal(found["params"]["inputs/mean"], prepared["mean"])
    np.testing.assert_array_equal(found["params"]["outputs/scale"], prepared["target"]["scale"])
    np.testing.assert_array_equal(found["params"]["0/kernel"], load_file(run / "model.safetensors")["0/kernel"])


def test_the_run_may_be_named_by_its_model(run, tmp_path):
    assert main(["export", str(run / "model.safetensors"), "--format", "onnx", "-o", str(tmp_path / "a.onnx")]) == 0
    assert main(["export", str(run), "--format", "onnx"]) == 0
    assert (tmp_path / "a.onnx").read_bytes() == (run / "model.onnx").read_bytes()


def test_a_model_without_a_preparation_takes_rows_as_its_layer_does(bare, capsys):
    folder = bare(Dense(3))
    assert main(["export", str(folder), "--format", "onnx"]) == 0
    assert f"{folder / 'model.onnx'}: x float32 [batch, 4]\n" in capsys.readouterr().out


def failed(capsys, *arguments):
    status = main(["export", *arguments])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1
    return status, captured.err


def test_a_folder_that_is_no_run(tmp_path, capsys):
    status, message = failed(capsys, str(tmp_path), "--format", "onnx")
    assert status == 2
    assert f"{tmp_path / 'model.safetensors'}: expected a model written by densefn" in message


@pytest.mark.parametrize("name", ["model.safetensors", "preparation.json"])
def test_a_broken_file(name, run, capsys):
    (run / name).write_bytes((run / name).read_bytes()[:100])
    status, message = failed(capsys, str(run), "--format", "onnx")
    assert status == 2
    assert message.startswith(f"{run / name}: it is not as the run wrote it")
    assert not (run / "model.onnx").exists()


def test_files_that_do_not_go_together(run, capsys):
    layer = Dense(1)
    checkpoint.save(run / "model.safetensors", layer, layer.init(jax.random.key(0), (None, 4)), (None, 4))
    _, message = failed(capsys, str(run), "--format", "onnx")
    assert message.startswith(f"{run / 'model.safetensors'}: it is not as the run wrote it")
    seal(run)
    status, message = failed(capsys, str(run), "--format", "onnx")
    assert status == 2
    assert "expected a mean and a scale for each of the 4 features, got 10 and 10" in message


def test_what_a_format_cannot_express_is_named_and_nothing_written(bare, capsys):
    folder = bare(Sequential(Dense(3), Dense(4, "sparsemax")))
    status, message = failed(capsys, str(folder), "--format", "keras")
    assert status == 2
    assert "Keras cannot express Dense(units=4, activation='sparsemax') at '1'" in message
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]


def test_an_export_that_does_not_reproduce_the_outputs_is_not_written(run, capsys, monkeypatch):
    (run / "model.onnx").write_text("as it was")
    monkeypatch.setattr(formats, "_BATCHES", (0,))

    def wrong(*_):
        raise CheckError("expected the exported outputs to differ by at most 1")

    monkeypatch.setattr(formats, "_compared", wrong)
    status, message = failed(capsys, str(run), "--format", "onnx")
    assert status == 1
    assert message.startswith(f"{run}: nothing is written: expected the exported outputs")
    assert (run / "model.onnx").read_text() == "as it was"


@pytest.mark.parametrize(
    ("name", "package"),
    [("stablehlo", "flatbuffers"), ("keras", "keras"), ("onnx", "onnxruntime")],
)
def test_a_missing_package_is_named_with_its_extra(name, package, run, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, f"densefn.export.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    status, message = failed(capsys, str(run), "--format", name)
    assert status == 2
    assert message == f"export to {name} needs the package {package}: pip install 'densefn[export]'\n"


def test_an_output_that_cannot_be_written(run, tmp_path, capsys):
    assert failed(capsys, str(run), "--format", "keras", "-o", "a.onnx") == (
        2,
        "--output: expected the name of a file that ends in .keras, got a.onnx\n",
    )
    for name in ("model.safetensors", "state.safetensors"):
        message = f"--output: expected another name than that of the run's own file, got {run / name}\n"
        assert failed(capsys, str(run), "--format", "safetensors", "-o", str(run / name)) == (2, message)
    status, message = failed(capsys, str(run), "--format", "onnx", "-o", str(tmp_path / "none" / "a.onnx"))
    assert (status, message) == (2, f"--output {tmp_path / 'none' / 'a.onnx'}: No such file or directory\n")


def test_help_shows_how_each_file_is_run(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    out = capsys.readouterr().out
    for made in FORMATS.values():
        assert all(f"  {line}\n" in out for line in made.usage.splitlines())


def test_a_column_that_float32_rounds_away_is_named(run, capsys):
    prepared = json.loads((run / "preparation.json").read_text())
    prepared["mean"][2] += 1.7e9
    (run / "preparation.json").write_text(json.dumps(prepared))
    seal(run)
    status, message = failed(capsys, str(run), "--format", "onnx")
    assert status == 2
    assert message.startswith("column 'bmi': float32, the dtype of the file's input")
    assert not (run / "model.onnx").exists()
    assert main(["export", str(run), "--format", "safetensors"]) == 0
    assert (run / "exported.safetensors").exists()
