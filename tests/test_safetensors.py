"""The safetensors layout against the package of that name, and untrusted files."""

import json
import tracemalloc

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.flax
import safetensors.numpy

import densefn
from densefn import Dense, _safetensors
from densefn._archive import ArchiveError
from densefn._safetensors import Reader, pack

DRAW = np.random.default_rng(0)
NUMBERS = DRAW.normal(size=(3, 4))
ARRAYS = {
    "transposed": NUMBERS.T,
    "strided": NUMBERS[::2, ::-1],
    "in Fortran order": np.asfortranarray(NUMBERS),
    "broadcast": np.broadcast_to(NUMBERS[0], (5, 4)),
    "big-endian": NUMBERS.astype(">f4"),
    "big-endian integers": np.arange(5).astype(">i8"),
    "scalar": np.float32(2.5).reshape(()),
    "empty": np.zeros((0, 3), np.float32),
    "empty in the middle": np.zeros((2, 0, 3), np.int8),
    "bool": np.array([True, False, True]),
    "complex64": (NUMBERS + 1j).astype(np.complex64),
    "é/0": np.ones(1),
    **{f"{dtype}": NUMBERS.astype(dtype) for dtype in ("float16", "float32", "float64")},
    **{f"{kind}{bits}": np.arange(7, dtype=f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}
NARROW = {
    "bfloat16": NUMBERS.astype(ml_dtypes.bfloat16).T,
    "float8_e5m2": NUMBERS.astype(ml_dtypes.float8_e5m2),
    "float8_e4m3fn": NUMBERS.astype(ml_dtypes.float8_e4m3fn),
}


def read(path):
    with path.open("rb") as file:
        reader = Reader(file)
        return {name: reader.array(name) for name in reader.names}, reader.description


def check_same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype.newbyteorder("="), array.shape), name
        assert got[name].tobytes() == np.ascontiguousarray(array).astype(got[name].dtype).tobytes(), name


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.safetensors"


def test_the_package_reads_what_is_written(path):
    path.write_bytes(pack(ARRAYS, {"layer": "é"}))
    check_same(safetensors.numpy.load_file(path), ARRAYS)
    with safetensors.safe_open(path, "numpy") as file:
        assert json.loads(file.metadata()["layer"]) == "é"
    path.write_bytes(pack({"bfloat16": NARROW["bfloat16"]}, {}))
    np.testing.assert_array_equal(safetensors.flax.load_file(path)["bfloat16"], NARROW["bfloat16"])
    for name, held in safetensors.deserialize(pack(NARROW, {})):  # NumPy's names lack float8
        assert (held["shape"], held["data"]) == (list(NARROW[name].shape), NARROW[name].tobytes())


def test_what_is_written_comes_back(path):
    description = {"format": 1, "says": [None, "é", {"a": 0.1}]}
    path.write_bytes(pack(ARRAYS | NARROW, description))
    arrays, said = read(path)
    check_same(arrays, ARRAYS | NARROW)
    assert said == description


def test_what_the_package_writes_is_read(path):
    """The package writes no checksums. With ours in its metadata, the file is read in any order of arrays."""
    arrays = {name: np.array(array, array.dtype.newbyteorder("="), order="C") for name, array in ARRAYS.items()}
    path.write_bytes(pack(arrays, {"format": 1}))
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    safetensors.numpy.save_file(dict(reversed(arrays.items())), path, metadata)
    check_same(read(path)[0], arrays)
    safetensors.numpy.save_file(arrays, path)
    with pytest.raises(ValueError, match="its description does not match the SHA-256"):
        read(path)


def test_a_transposed_view_that_the_package_writes_wrong_is_written_right(path):
    array = np.arange(6.0).reshape(2, 3).T
    path.write_bytes(pack({"a": array}, {}))
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["a"], array)


def test_arrays_begin_at_multiples_of_their_item_size():
    for name in ("a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh"):
        content = pack({name: np.ones(3, np.int8), "w": np.ones(3), "v": np.ones(3, np.float16)}, {})
        length = int.from_bytes(content[:8], "little")
        table = json.loads(content[8 : 8 + length])
        assert length % 8 == 0
        starts = {each: table[each]["data_offsets"][0] for each in (name, "w", "v")}
        assert starts == {"w": 0, "v": 24, name: 30}


def test_a_dtype_that_the_layout_lacks_is_named():
    with pytest.raises(TypeError, match="0/kernel: expected one of the dtypes bool, uint8, .*, got complex128"):
        pack({"0/kernel": np.ones(2, complex)}, {})


def test_a_header_larger_than_any_that_is_read_is_not_written(monkeypatch):
    monkeypatch.setattr(_safetensors, "LARGEST_HEADER", 1000)
    with pytest.raises(ValueError, match="expected a header of at most 1,000 bytes, got 2,"):
        pack({}, {"notes": "x" * 2000})


def file(header, data=bytes(16)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: object = "F32", shape: object = (4,), offsets: object = (0, 16), **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


FILES = {
    "nothing": (b"", "expected 8 bytes more, got 0"),
    "no header": (b"\x08" + bytes(7), "its first 8 bytes announce a header of 8 bytes, and the file has 8"),
    "a length of 16 EiB": (b"\xff" * 16, "announce a header of 18,446,744,073,709,551,615 bytes"),
    "a length beyond the end": (file({})[:-17], "announce a header of 2 bytes"),
    "a header over the limit": ((2**26).to_bytes(8, "little") + bytes(2**26), "announce a header of 67,108,864 bytes"),
    "no JSON": (file(b"{"), "Expecting property name"),
    "no UTF-8": (file(b"\xff\xfe\xfd"), "codec can't decode"),
    "nested": (file(b"[" * 100_000), "recursion"),
    "nested tables": (file(b'{"a":' * 100_000), "recursion"),
    "a list": (file([1]), "expected a header that is a JSON object"),
    "NaN": (file(b'{"a": NaN}'), "expected finite numbers, got NaN"),
    "5000 digits": (file(b'{"a": ' + b"9" * 5000 + b"}"), "4300"),
    "a name twice": (file(b'{"a": 1, "a": 1}'), "expected different names"),
    "a field twice": (file(b'{"a": {"dtype": 1, "dtype": 2}}'), "expected different names"),
    "metadata that is a list": (file({"__metadata__": []}), "expected texts by name in the metadata"),
    "metadata of numbers": (file({"__metadata__": {"a": 1}}), "expected texts by name in the metadata"),
    "an entry that is a number": (file({"a": 1}), "a: expected dtype, shape and data_offsets, got 1"),
    "an entry that lacks its shape": (file({"a": {"dtype": "F32", "data_offsets": [0, 16]}}), "expected dtype, shape"),
    "an entry with more": (file({"a": entry(strides=[1])}), "expected dtype, shape"),
    "a dtype unknown": (file({"a": entry("O8")}), "a: expected one of the dtypes BOOL, .*, got 'O8'"),
    "a dtype that is a list": (file({"a": entry([])}), r"expected one of the dtypes BOOL, .*, got \[\]"),
    "a negative size": (file({"a": entry(shape=[-2, -2])}), "expected a shape of at most 64 axes"),
    "a size that is no number": (file({"a": entry(shape=[4.0])}), "expected a shape of at most 64 axes"),
    "a size that is a truth value": (file({"a": entry(shape=[True, 4])}), "expected a shape of at most 64 axes"),
    "a shape that is a number": (file({"a": entry(shape=4)}), "expected a shape of at most 64 axes"),
    "100 axes": (file({"a": entry(shape=[1] * 100)}), "expected a shape of at most 64 axes"),
    "a huge size": (file({"a": entry(shape=[10**12])}), "expected the bytes of F32 .*, got 16"),
    "sizes whose product overflows": (file({"a": entry(shape=[2**62, 4, 2**62])}), "expected the bytes of F32"),
    "a huge size and none": (file({"a": entry(shape=[2**64, 0], offsets=[0, 0])}), "at most 64 axes"),
    "one offset": (file({"a": entry(offsets=[16])}), "expected two offsets"),
    "offsets backwards": (file({"a": entry(offsets=[16, 0])}), "expected the bytes of F32"),
    "a negative offset": (file({"a": entry(offsets=[-16, 0])}), "expected two offsets"),
    "an offset after the end": (file({"a": entry(offsets=[16, 32])}), "expected bytes from 0 on, got 16"),
    "an end after the end": (file({"a": entry(shape=[8], offsets=[0, 32])}), "expected arrays of 16 bytes"),
    "bytes of no array": (file({"a": entry(shape=[2], offsets=[0, 8])}), "expected arrays of 16 bytes"),
    "overlap": (
        file({"a": entry(), "b": entry(shape=[2], offsets=[8, 16])}),
        "b: expected bytes from 16 on, got 8: arrays overlap",
    ),
    "one place": (file({"a": entry(), "b": entry()}), "b: expected bytes from 16 on, got 0: arrays overlap"),
    "a gap": (file({"a": entry(shape=[1], offsets=[0, 4]), "b": entry(shape=[2], offsets=[8, 16])}), "or leave a gap"),
    "a long name": (file({"a" * 10**5: 1}), "a{1900,2000}[.]{3}$"),
    "no checksums": (file({"a": entry()}), "its description does not match the SHA-256"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_of_the_layout_is_refused(name, path):
    content, message = FILES[name]
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ArchiveError, match=rf"a\.safetensors: expected a model written by densefn, .*{message}"):
        densefn.load(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_each_changed_byte_is_found(path):
    """By the checksum of the description or of an array. Only changed blanks and a changed order are no error."""
    layer = Dense(2, "tanh", dtype="bfloat16")
    params = {"kernel": jnp.asarray(NUMBERS[:, :2], jnp.bfloat16), "bias": jnp.zeros(2, jnp.bfloat16)}
    densefn.save(path, layer, params, (None, 3))
    whole = path.read_bytes()
    found = set()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            read_layer, read_params = densefn.load(path)
        except ArchiveError as error:
            found.add(str(error).split(": ", 2)[2].partition(" the SHA")[0])
            continue
        assert read_layer == layer
        check_same({k: np.asarray(v) for k, v in read_params.items()}, {k: np.asarray(v) for k, v in params.items()})
    assert {"its description does not match", "kernel does not match", "bias does not match"} <= found
