"""Models in files: whole, or refused."""

import hashlib
import json
import subprocess
import sys
import zipfile

import chex
import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.flax import load_file, save_file

from densefn import Dense, Repeat, Sequential, _disk, _safetensors, checkpoint, from_dict
from densefn._archive import ArchiveError
from tests import former
from tests.former import array

U16 = np.zeros((3, 4), np.uint16)

MODEL = Sequential(Dense(4, "relu"), Repeat(Dense(4, dtype="bfloat16"), times=2), "tanh", Dense(2, dtype="float16"))


@pytest.fixture
def params(key):
    return MODEL.init(key, (None, 3))


@pytest.fixture
def path(tmp_path, params):
    checkpoint.save(tmp_path / "model.safetensors", MODEL, params, (None, 3))
    return tmp_path / "model.safetensors"


def test_safetensors_reads_it(path, params):
    tensors = load_file(path)
    chex.assert_trees_all_equal(tensors["1/kernel"], params["1"]["kernel"])
    assert tensors["1/kernel"].dtype == jax.numpy.bfloat16
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
        assert from_dict(json.loads(metadata["layer"])) == MODEL
        assert json.loads(metadata["input_shape"]) == [None, 3]
        digests = json.loads(metadata["sha256"])
        assert digests["0/kernel"] == hashlib.sha256(file.get_tensor("0/kernel").tobytes()).hexdigest()


def test_a_file_that_safetensors_wrote_anew_is_read(path, params):
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, metadata)
    layer, loaded = checkpoint.load(path)
    assert layer == MODEL
    chex.assert_trees_all_equal(loaded, params)


def test_equal_models_are_equal_files(path, params, tmp_path):
    checkpoint.save(tmp_path / "again.npz", MODEL, params, (None, 3))
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


@pytest.fixture(params=["safetensors", "npz"])
def written(request, path):
    """A file in each layout that is read."""
    if request.param == "npz":
        path.write_bytes(former.archive(former.members(path, "layer.json")))
    return path


def test_both_layouts_come_back_as_they_were(written, params):
    layer, loaded = checkpoint.load(written)
    assert layer == MODEL
    chex.assert_trees_all_equal(loaded, params)
    chex.assert_trees_all_equal_dtypes(loaded, params)


def test_every_flipped_bit_in_the_data_is_found(written, params):
    whole = written.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(len(whole), size=200):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        written.write_bytes(damaged)
        try:
            layer, loaded = checkpoint.load(written)
        except ArchiveError:
            continue
        assert layer == MODEL  # a bit that says nothing, such as a date
        chex.assert_trees_all_equal(loaded, params)


def test_every_truncation_is_found(written):
    whole = written.read_bytes()
    for length in range(0, len(whole), 37):
        written.write_bytes(whole[:length])
        with pytest.raises(ArchiveError, match="model.safetensors: expected a model written by densefn"):
            checkpoint.load(written)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {k: v for k, v in m.items() if k != "layer.json"}, "layer.json"),
        (lambda m: {k: v for k, v in m.items() if k != "0/bias.npy"}, "expected the arrays"),
        (lambda m: {**m, "../evil.npy": b""}, "expected the arrays"),
        (lambda m: {**m, "0/bias.npy": array(np.zeros(5, "f"))}, r"0/bias of shape \(4,\) and float32, got \(5,\)"),
        (lambda m: {**m, "0/bias.npy": array(np.zeros(4, np.float64))}, "got .* and float64"),
        (lambda m: {**m, "0/bias.npy": array(np.array([None] * 4), allow_pickle=True)}, "and object"),
        (lambda m: {**m, "0/kernel.npy": array(np.zeros((3, 4), "f", order="F"))}, "expected 0/kernel in C order"),
        (lambda m: {**m, "0/bias.npy": m["0/bias.npy"][:-4]}, "reshape"),
        (lambda m: {**m, "0/bias.npy": b"not an array"}, "magic"),
        (lambda m: {**m, "layer.json": b"{}"}, "expected format 1, got None"),
        (lambda m: {**m, "layer.json": b'{"format": 1}'}, "a description with layer, input_shape, got one with format"),
        (
            lambda m: {**m, "layer.json": m["layer.json"].replace(b'"format": 1', b'"format": 2')},
            "later version of densefn",
        ),
        (lambda m: {**m, "layer.json": b"\xff"}, "utf-8"),
        (
            lambda m: {**m, "layer.json": b'{"format": 1, "input_shape": [2], "layer": {"layer": "os.system"}}'},
            "unknown layer",
        ),
    ],
)
def test_an_archive_that_is_not_a_model_is_refused(path, change, message):
    path.write_bytes(former.archive(change(former.members(path, "layer.json"))))
    with pytest.raises(ArchiveError, match=message):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("description", "arrays", "message"),
    [
        ({"format": 1}, {}, "a description with layer, input_shape, got one with format"),
        ({"format": 2}, {}, "expected format 1, got 2 of a later version of densefn"),
        ({}, {}, "expected format 1, got None"),
        ({"layer": {"layer": "os.system"}}, {}, "unknown layer"),
        ({}, {"kernel": np.zeros((3, 2), "f")}, r"expected the arrays \['bias', 'kernel'\], got \['kernel'\]"),
        ({}, {"kernel": np.zeros((3, 2)), "bias": np.zeros(2, "f")}, r"expected kernel of .* float32, got .* float64"),
        ({}, {"kernel": np.zeros((2, 3), "f"), "bias": np.zeros(2, "f")}, r"of shape \(3, 2\) .*, got \(2, 3\)"),
        ({"layer": {"units": 2, "dtype": "bfloat16"}}, {"kernel": U16[:, :2], "bias": U16[0, :2]}, "got .* uint16"),
    ],
)
def test_what_is_not_a_model_is_refused(tmp_path, description, arrays, message):
    if arrays or "layer" in description:
        description = {"format": 1, "layer": {"units": 2}, "input_shape": [None, 3], **description}
    (tmp_path / "a.safetensors").write_bytes(_safetensors.pack(arrays, description))
    with pytest.raises(ArchiveError, match=message):
        checkpoint.load(tmp_path / "a.safetensors")


def test_compressed_members_and_other_files_are_refused(path, tmp_path):
    path.write_bytes(former.archive(former.members(path, "layer.json"), zipfile.ZIP_DEFLATED))
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
