"""Models in files: whole, or refused."""

import io
import json
import subprocess
import sys
import zipfile

import chex
import numpy as np
import pytest

from densefn import Dense, Repeat, Sequential, _disk, checkpoint
from densefn._archive import ArchiveError

MODEL = Sequential(Dense(4, "relu"), Repeat(Dense(4, dtype="bfloat16"), times=2), "tanh", Dense(2, dtype="float16"))


@pytest.fixture
def params(key):
    return MODEL.init(key, (None, 3))


@pytest.fixture
def path(tmp_path, params):
    checkpoint.save(tmp_path / "model.npz", MODEL, params, (None, 3))
    return tmp_path / "model.npz"


def test_comes_back_as_it_was(path, params):
    layer, loaded = checkpoint.load(path)
    assert layer == MODEL
    chex.assert_trees_all_equal(loaded, params)
    chex.assert_trees_all_equal_dtypes(loaded, params)


def test_numpy_reads_it(path, params):
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["0/kernel"], params["0"]["kernel"])


def test_equal_models_are_equal_files(path, params, tmp_path):
    checkpoint.save(tmp_path / "again.npz", MODEL, params, (None, 3))
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_every_flipped_bit_in_the_data_is_found(path, params):
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(len(whole), size=200):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            layer, loaded = checkpoint.load(path)
        except ArchiveError:
            continue
        assert layer == MODEL  # a bit that says nothing, such as a date
        chex.assert_trees_all_equal(loaded, params)


def test_every_truncation_is_found(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(ArchiveError, match="model.npz: expected a model written by densefn"):
            checkpoint.load(path)


def rewritten(path, change, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path) as archive:
        members = change({name: archive.read(name) for name in archive.namelist()})
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def array(value, **options):
    memory = io.BytesIO()
    np.save(memory, value, **options)
    return memory.getvalue()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {k: v for k, v in m.items() if k != "layer.json"}, "layer.json"),
        (lambda m: {k: v for k, v in m.items() if k != "0/bias.npy"}, "expected the arrays"),
        (lambda m: {**m, "../evil.npy": b""}, "expected the arrays"),
        (
            lambda m: {**m, "0/bias.npy": array(np.zeros(5, np.float32))},
            r"0/bias of shape \(4,\) and float32, got \(5,\)",
        ),
        (lambda m: {**m, "0/bias.npy": array(np.zeros(4, np.float64))}, "got .* and float64"),
        (lambda m: {**m, "0/bias.npy": array(np.array([None] * 4), allow_pickle=True)}, "and object"),
        (lambda m: {**m, "0/bias.npy": m["0/bias.npy"][:-4]}, "reshape"),
        (lambda m: {**m, "0/bias.npy": b"not an array"}, "magic"),
        (lambda m: {**m, "layer.json": b"{}"}, "expected format 1, got None"),
        (lambda m: {**m, "layer.json": b'{"format": 1}'}, "layer"),
        (lambda m: {**m, "layer.json": m["layer.json"].replace(b'"format": 1', b'"format": 2')}, "later densefn"),
        (lambda m: {**m, "layer.json": b"\xff"}, "utf-8"),
        (
            lambda m: {**m, "layer.json": json.dumps({"format": 1, "layer": {"layer": "os.system"}}).encode()},
            "unknown layer",
        ),
    ],
)
def test_what_is_not_a_model_is_refused(path, change, message):
    rewritten(path, change)
    with pytest.raises(ArchiveError, match=message):
        checkpoint.load(path)


def test_compressed_members_and_other_files_are_refused(path, tmp_path):
    rewritten(path, lambda m: m, zipfile.ZIP_DEFLATED)
    with pytest.raises(ArchiveError, match="not compressed"):
        checkpoint.load(path)
    with pytest.raises(ArchiveError, match="No such file"):
        checkpoint.load(tmp_path / "none.npz")


def test_a_save_that_is_killed_leaves_the_file_before_it(tmp_path):
    code = """
import itertools, sys, pathlib
from densefn._disk import replace as write
for n in itertools.count():
    write(pathlib.Path(sys.argv[1]), bytes([n % 256]) * 2_000_000)
    print(n, flush=True)
"""
    path = tmp_path / "file"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            done = int(writer.stdout.readline())
        writer.kill()
    content = path.read_bytes()
    assert len(content) == 2_000_000
    assert len(set(content)) == 1
    assert content[0] >= done


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="directory"):
        _disk.replace(tmp_path / "taken", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Repeat(Dense(3), times=10**9), "repeated at most 1,000,000 times, got 1,000,000,000"),
        (Repeat(Repeat(Dense(3), times=10**5), times=10**4), "repeated at most 1,000,000 times, got 1,000,000,000"),
        (Sequential(*[Dense(3)] * 2000), "a model of at most 1,000 layers, got more"),
        (Dense(10**9), r"at most 100,000,000 numbers, got the shape \(None, 1000000000\)"),
    ],
    ids=["repeated", "repeated twice", "many", "wide"],
)
def test_a_model_larger_than_any_that_is_read_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        checkpoint.check(layer, (None, 3))
