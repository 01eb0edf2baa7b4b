"""Files as they are read, against pandas and NumPy, and where a config finds them."""

import csv
import gzip
import struct

import numpy as np
import pandas as pd
import polars as pl
import pytest

from densefn import data
from densefn.cli import main
from densefn.data import ArrayFile, Mnist, TableFile
from densefn.training import config, loop

CELLS = ["", "plain", "with, comma", 'with "quotes"', "two\nlines", " spaces ", "ünï-cödé", "3.5", "a;b", "tab\there"]


def random_cells(seed, rows=50, columns=4):
    draw = np.random.default_rng(seed)
    return [[CELLS[k] for k in draw.integers(0, len(CELLS), columns)] for _ in range(rows)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_random_tables_of_text_are_read_as_pandas_reads_them(seed, end, bom, tmp_path):
    suffix, delimiter = [(".csv", ","), (".tsv", "\t"), (".csv", ";"), (".CSV", ",")][seed % 4]
    path = tmp_path / f"table{suffix}"
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(bom)
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=seed % 3)
        writer.writerows([["a", "b", "c", "ü"], *random_cells(seed)])
        file.write(end * (seed % 2))
    table = data.read(path)
    text_alone = {"dtype": str, "keep_default_na": False, "skipinitialspace": True}
    expected = pd.read_csv(path, sep=delimiter, encoding="utf-8-sig", **text_alone)
    assert list(table.columns) == list(expected)
    for name in expected:
        assert table.columns[name].to_list() == list(expected[name])
    text = path.read_text(encoding="utf-8-sig")
    assert table.lines is not None
    for line, cells in zip(table.lines, expected.to_numpy(), strict=True):
        # The line on which a row begins has the beginning of its first cell.
        assert text.splitlines()[line - 1].lstrip('" ').startswith(cells[0].lstrip().split("\n")[0].replace('"', '""'))


def test_empty_lines_do_not_count_as_rows(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n\n1,2\n\n\n3,4\n\n")
    table = data.read(tmp_path / "a.csv")
    assert (table.columns["x"].to_list(), list(table.lines)) == (["1", "3"], [3, 6])


def test_many_rows_are_read_in_parts(tmp_path):
    frame = pd.DataFrame({"x": np.arange(20_000), "y": np.arange(20_000) * 0.5})
    frame.to_csv(tmp_path / "a.csv", index=False)
    table = data.read(tmp_path / "a.csv")
    np.testing.assert_array_equal(table.columns["y"].cast(pl.Float64), frame["y"])
    np.testing.assert_array_equal(table.lines, np.arange(2, 20_002))


X = np.random.default_rng(0).normal(3, 2, (40, 2, 3))
KINDS = np.arange(40) % 4


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.int64, ">f8", bool])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_every_kind_of_number_are_standardised_flat(dtype, order, tmp_path):
    x = np.asarray(X > 3 if dtype is bool else X, dtype, order=order)
    np.savez(tmp_path / "a.npz", images=x, kinds=KINDS, other=np.zeros(3))
    dataset = data.load(ArrayFile(str(tmp_path / "a.npz"), inputs="images", target="kinds"))
    order = np.random.default_rng(0).permutation(40)
    flat = x.reshape(40, 6).astype(np.float64)[order]
    mean, scale = flat[8:].mean(axis=0), flat[8:].std(axis=0)
    np.testing.assert_allclose(
        dataset.validation.x, (flat[:8] - mean) / np.where(scale, scale, 1), rtol=2e-6, atol=1e-6
    )
    np.testing.assert_array_equal(dataset.validation.y, KINDS[order][:8])
    assert dataset.preparation.classes == ("0", "1", "2", "3")
    assert dataset.preparation.features[-1] == "images[1, 2]"


def test_compressed_arrays_are_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=X, y=KINDS)
    np.testing.assert_array_equal(data.read(tmp_path / "a.npz").columns["x"], X)


@pytest.mark.parametrize(
    ("y", "classes", "outputs"),
    [
        (np.arange(40) % 3 == 0, ("false", "true"), 2),
        (np.array(["b", "c", "a", "b"] * 10), ("a", "b", "c"), 3),
        (np.arange(40) % 3 * 1.0, ("0", "1", "2"), 3),
        (np.arange(40) * 0.5, None, 1),
        (np.arange(80).reshape(40, 2), None, 2),
        (np.arange(40).reshape(40, 1) % 2, ("0", "1"), 2),
    ],
)
def test_the_task_of_arrays_is_found_from_the_targets(y, classes, outputs, tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=y)
    dataset = data.load(ArrayFile(str(tmp_path / "a.npz")))
    assert (dataset.preparation.classes, dataset.outputs) == (classes, outputs)
    assert len(dataset.preparation.targets) == (1 if classes else outputs)


@pytest.mark.parametrize("column", [0, 2, -1])
def test_a_target_may_be_a_column_of_an_array(column, tmp_path):
    rows = X.reshape(40, 6)
    np.save(tmp_path / "a.npy", rows)
    dataset = data.load(ArrayFile(str(tmp_path / "a.npy"), target=column))
    preparation = dataset.preparation
    order = np.random.default_rng(0).permutation(40)[:8]
    decoded = preparation.decode(np.asarray(dataset.validation.y)).values
    np.testing.assert_allclose(decoded[:, 0], rows[order, column], rtol=1e-6, atol=1e-6)
    # With the target among the columns, as in training, and without it.
    np.save(tmp_path / "new.npy", np.delete(rows, column, axis=1)[order])
    np.save(tmp_path / "old.npy", rows[order])
    for name in ("new.npy", "old.npy"):
        np.testing.assert_array_equal(preparation.inputs(data.read(tmp_path / name)), dataset.validation.x)
    np.testing.assert_array_equal(preparation.labels(data.read(tmp_path / "old.npy")), dataset.validation.y)


def test_targets_may_have_a_file_of_their_own(tmp_path):
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", KINDS)
    dataset = data.load(ArrayFile(str(tmp_path / "a.npy"), target=str(tmp_path / "b.npy")))
    np.testing.assert_array_equal(dataset.train.y, KINDS[np.random.default_rng(0).permutation(40)[8:]])


@pytest.mark.parametrize(("zipped", "suffix"), [(True, ".gz"), (False, ""), (False, ".gz")])
def test_mnist_s_own_files(zipped, suffix, tmp_path):
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (50, 28, 28), np.uint8), draw.integers(0, 10, 50, np.uint8)
    for part, rows in {"train": slice(0, 40), "t10k": slice(40, 50)}.items():
        for name, array in {"images-idx3": images[rows], "labels-idx1": labels[rows]}.items():
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            content = header + array.tobytes()
            path = tmp_path / f"{part}-{name}-ubyte{suffix}"
            path.write_bytes(gzip.compress(content) if zipped else content)
    dataset = data.load(Mnist(str(tmp_path), str(tmp_path / f"t10k-images-idx3-ubyte{suffix}")))
    np.testing.assert_array_equal(dataset.train.y, labels[:40])
    np.testing.assert_array_equal(dataset.validation.y, labels[40:])
    raw = np.asarray(dataset.validation.x) * dataset.preparation.scale + dataset.preparation.mean
    np.testing.assert_allclose(raw, images[40:].reshape(10, 784), atol=1e-4)  # of numbers up to 255, in float32
    assert len(data.load(Mnist(str(tmp_path))).validation.y) == 8


class TestPaths:
    CONFIG = """
        [data]
        path = "table.csv"
        target = "kind"
        [[model.layers]]
        units = 2
        [optimizer]
        name = "adam"
        learning_rate = 1e-2
        [train]
        epochs = 2
        """

    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "mine.toml").write_text(self.CONFIG)
        frame = pd.DataFrame({"x": np.arange(40), "kind": ["red", "blue"] * 20})
        frame.to_csv(folder / "table.csv")
        frame.assign(x=0).to_csv(tmp_path / "zeros.csv", index=False)
        return folder

    def test_a_path_in_a_config_is_relative_to_the_config(self, folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert config.load("project/mine.toml").data == TableFile(str(folder / "table.csv"), "kind")

    def test_a_path_on_the_command_line_is_relative_to_the_current_folder(self, folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        read = config.load("project/mine.toml", ["data.path=zeros.csv", "data.validation=~/other.csv"])
        assert read.data.path == str(tmp_path / "zeros.csv")
        assert read.data.validation.endswith("/other.csv")
        assert "~" not in read.data.validation

    def test_the_config_of_a_run_trains_the_same_from_another_folder(self, folder, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(folder)
        assert main(["train", "mine.toml", "--run-dir", "run"]) == 0
        told = "table.csv: 32 rows to train, 8 held out; 1 feature; target kind: classification, 2 classes"
        index = "table.csv: column 1, without a name, is taken for the index of pandas, and is no input"
        assert capsys.readouterr().out.splitlines()[:2] == [told, index]
        monkeypatch.chdir(tmp_path)
        assert main(["train", "project/run/config.toml", "--run-dir", "again"]) == 0
        assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
            folder / "run" / "model.safetensors"
        ).read_bytes()
        settings = config.load(tmp_path / "again" / "config.toml")
        assert settings.data.task == "classification"
        assert settings == loop.prepare(settings).config
        plan = loop.prepare(settings)
        assert data.read_preparation(folder / "run" / "preparation.json") == plan.dataset.preparation
