"""Files that someone has made to do harm, by what they are: models, rows, configs."""

import gzip
import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from densefn import _safetensors


class Evil:
    """What runs a program when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch executed",))


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return memory.getvalue()


def _layer(layer: Any, shape: Any = (None, 2), **arrays: bytes) -> bytes:
    description = json.dumps({"format": 1, "layer": layer, "input_shape": list(shape)})
    return _zip({"layer.json": description.encode(), **{f"{name}.npy": content for name, content in arrays.items()}})


def _tensors(description: dict[str, Any], **arrays: Any) -> bytes:
    return _safetensors.pack(arrays, {"format": 1, "layer": {"units": 2}, "input_shape": [None, 2], **description})


def _announced(header: bytes, length: int | None = None, data: bytes = b"") -> bytes:
    """The bytes of a file whose header is this, and as long as it says."""
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def _entries(**entries: Any) -> bytes:
    return _announced(json.dumps(entries).encode(), data=bytes(16))


def _entry(rng: random.Random) -> dict[str, Any]:
    shape = rng.choice([[4], [2, 2], [rng.choice(_HUGE)], [10**12, 10**12], [1] * 1000, "4", [4.0], [True, 4]])
    begin, end = rng.choice([(0, 16), (16, 0), (0, 2**62), (-16, 0), (8, 24)])
    return {"dtype": rng.choice(["F32", "BF16", "O", None]), "shape": shape, "data_offsets": [begin, end]}


def _header(shape: str, dtype: str = "'<f4'", content: bytes = b"") -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + content


def _saved(array: Any) -> bytes:
    memory = io.BytesIO()
    np.save(memory, array, allow_pickle=True)
    return memory.getvalue()


def _nested(depth: int) -> Any:
    layer: Any = {"layer": "Dense", "units": 2}
    for _ in range(depth):
        layer = {"layer": "Residual", "body": layer}
    return layer


def _dense(rng: random.Random) -> dict[str, Any]:
    return {"layer": "Dense", "units": rng.choice([2, 3])}


_HUGE = (10**6, 10**9, 10**12, 2**63, 10**30, -1, 0)
_SHAPES = (
    "(10**12,)",
    "(2147483647, 2147483647)",
    "(-1, 2)",
    "(1e9,)",
    "(" * 90 + ")" * 90,
    "(9" + "9" * 4000 + ",)",
    "()",
)
_DTYPES = ("'|O'", "'<U2147483647'", "'|V1000000000'", "[('a', '<f4')] * 3", "'<f4', 'x': __import__('os')", "'>m8'")

MODELS: dict[str, Callable[[random.Random], bytes]] = {
    "a pickle": lambda rng: pickle.dumps(Evil()),
    "an array of objects": lambda rng: _layer(_dense(rng), kernel=_saved(np.array([Evil()], object))),
    "a layer repeated": lambda rng: _layer({"layer": "Repeat", "times": rng.choice(_HUGE), "body": _dense(rng)}),
    "thousands of layers": lambda rng: _layer(
        {"layer": "Sequential", "layers": [_dense(rng)] * rng.choice([2000, 50_000])}
    ),
    "layers in layers": lambda rng: _layer(_nested(rng.choice([50, 300]))),
    "nested JSON": lambda rng: _zip({"layer.json": b'{"layer": ' + b"[" * rng.choice([5_000, 10**6])}),
    "huge units": lambda rng: _layer({"layer": "Dense", "units": rng.choice(_HUGE)}),
    "a huge input": lambda rng: _layer(_dense(rng), [None, rng.choice(_HUGE)]),
    "a long shape": lambda rng: _layer(_dense(rng), [rng.choice([2, 10**6])] * rng.choice([40, 5000])),
    "a header's shape": lambda rng: _layer(_dense(rng), kernel=_header(rng.choice(_SHAPES)), bias=_saved(np.zeros(2))),
    "a header's dtype": lambda rng: _layer(_dense(rng), kernel=_header("(2, 2)", rng.choice(_DTYPES))),
    "another class": lambda rng: _layer(
        {"layer": rng.choice(["os.system", "builtins.eval", "Lambda", "__class__", 3])}
    ),
    "a class to import": lambda rng: _layer(
        {"layer": "Dense", "units": 2, "activation": rng.choice(["os.system", "__import__", "eval"])}
    ),
    "a bomb": lambda rng: _zip({"layer.json": b" " * rng.choice([10**7, 10**9 // 4])}, zipfile.ZIP_DEFLATED),
    "a path that climbs": lambda rng: _zip({"../mine.txt": b"x", "/tmp/x": b"x", "layer.json": b"{}"}),  # noqa: S108
    "a name twice": lambda rng: _layer(_dense(rng))[:-22] + _layer(_dense(rng)),
    "tensors of a layer repeated": lambda rng: _tensors(
        {"layer": {"layer": "Repeat", "times": rng.choice(_HUGE), "body": _dense(rng)}}
    ),
    "tensors of other shapes": lambda rng: _tensors({}, kernel=np.zeros(rng.choice([(2, 3), (0, 2), (4,), ()]))),
    "tensors of huge units": lambda rng: _tensors({"layer": {"units": rng.choice(_HUGE)}}),
    "tensors at any place": lambda rng: _entries(**{name: _entry(rng) for name in ("kernel", "bias")}),
    "tensors announced": lambda rng: _announced(b"{}", rng.choice([3, 2**31, 2**63, 2**64 - 1])),
    "tensors in brackets": lambda rng: _announced(rng.choice([b"[", b'{"a":', b"[[],"]) * rng.choice([5_000, 10**6])),
    "tensors without a checksum": lambda rng: _announced(
        json.dumps({"__metadata__": {"format": "1", "layer": '{"units": 2}', "sha256": rng.choice("{[1")}}).encode()
    ),
    "a tensor of a long name": lambda rng: _tensors({}, **{"x" * rng.choice([10**5, 10**6]): np.zeros(2)}),
    "a number of many digits": lambda rng: _zip(
        {"layer.json": b'{"format": 1' + b"0" * rng.choice([5000, 10**6]) + b"}"}
    ),
}

TABLES: dict[str, Callable[[random.Random], tuple[str, bytes]]] = {
    "a packed bomb": lambda rng: (
        "x.csv.gz",
        gzip.compress(b"a,b,c,y\n" + b"1,2,red," * rng.choice([10**6, 3 * 10**7])),
    ),
    "a pickle as rows": lambda rng: (f"x.{rng.choice(['npy', 'npz', 'csv', 'parquet'])}", pickle.dumps(Evil())),
    "objects as rows": lambda rng: ("x.npy", _saved(np.array([Evil()] * 3, object))),
    "a header of rows": lambda rng: ("x.npy", _header(rng.choice(_SHAPES), content=bytes(64))),
    "a dtype of rows": lambda rng: ("x.npy", _header("(4,)", rng.choice(_DTYPES), bytes(64))),
    "an archive of rows": lambda rng: ("x.npz", _zip({"x.npy": _header(rng.choice(_SHAPES)), "y.npy": b""})),
    "a bomb of rows": lambda rng: (
        "x.npz",
        _zip({"x.npy": _header("(25000000,)", content=bytes(10**8))}, zipfile.ZIP_DEFLATED),
    ),
    "an IDX of rows": lambda rng: ("x-ubyte", struct.pack(">I3I", 0x00000803, *[rng.choice([2**31, 2**32 - 1])] * 3)),
    "Parquet's magic": lambda rng: (
        "x.parquet",
        b"PAR1" + rng.randbytes(64) + struct.pack("<I", rng.choice([60, 2**31])) + b"PAR1",
    ),
    "a quote without end": lambda rng: ("x.csv", b'a,b,c,y\n1,2,"' + b"x\n" * rng.choice([10, 10**6])),
    "one very long line": lambda rng: ("x.csv", b"a,b,c,y\n" + b"1" * 10**7),
    "very many commas": lambda rng: ("x.csv", b"," * rng.choice([10**5, 10**6])),
}


_MODEL = """\
[data]
path = "data/rows.csv"
target = "y"
[optimizer]
name = "sgd"
learning_rate = 0.1
[train]
epochs = 1
"""
CONFIGS: dict[str, Callable[[random.Random], bytes]] = {
    "a config of brackets": lambda rng: b"a = " + b"[" * rng.choice([10**4, 10**6]),
    "a config of dots": lambda rng: b".".join([b"a"] * rng.choice([10**4])) + b" = 1",
    "a config of digits": lambda rng: b"a = 1" + b"0" * rng.choice([5000, 10**6]),
    "a config that reads devices": lambda rng: _MODEL.replace("data/rows.csv", "/dev/zero").encode(),
    "a config of zeros": lambda rng: bytes(rng.choice([10**6, 10**7])),
    "a config that repeats": lambda rng: (
        _MODEL + f'[[model.layers]]\nlayer = "Repeat"\ntimes = {rng.choice(_HUGE[:4])}\n'
        "body = { units = 6 }\n[[model.layers]]\nunits = 2\n"
    ).encode(),
    "a config of many mistakes": lambda rng: (_MODEL + "[[model.layers]]\nunit = 1\n" * rng.choice([30, 100])).encode(),
}
