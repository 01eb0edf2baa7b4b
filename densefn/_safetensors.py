"""The safetensors layout, which other frameworks read too: arrays with a description, and checksums of both.

    8 bytes   length of the header, little-endian
    header    JSON: {name: {"dtype": "F32", "shape": [3, 2], "data_offsets": [begin, end]}, "__metadata__": {...}}
    data      the bytes of the arrays, in C order and little-endian, one after another without gaps

The metadata has each item of the description as JSON, and two items of checksums:

    sha256               a table of the SHA-256 of each array
    sha256_description   the SHA-256 of the header without the offsets

A file is not trusted. All sizes are checked against the size of the file before anything is read, and an array whose
checksum differs is an error.

Source: https://huggingface.co/docs/safetensors
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from io import BufferedReader
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

LARGEST_HEADER = 2**25
"""In bytes. A thousand layers with optimizer state need a tenth. Parsed JSON may take twenty times its size."""

_METADATA, _ARRAYS, _DESCRIPTION = "__metadata__", "sha256", "sha256_description"
_MOST_AXES = 64  # NumPy's limit
_ALIGNMENT = 8  # of the data, as in files of the package: the largest items have 8 bytes
_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn", "BF16": "bfloat16",
    "F16": "float16", "F32": "float32", "F64": "float64", "C64": "complex64",
}  # fmt: skip
_CODES = {name: code for code, name in _DTYPES.items()}


class _Entry(NamedTuple):
    """An array in the header: the format's code of its dtype, its shape, and where its bytes begin and end."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]


def pack(arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> bytes:
    """The bytes of a file.

    Args:
      arrays: arrays by name, of any memory order and byte order.
      description: objects by name that JSON can express.

    Raises:
      TypeError: if the format lacks the dtype of an array, which is named.
      ValueError: if the header is larger than `LARGEST_HEADER`.
    """
    entries, parts, begin = {}, [], 0
    # Sorted by item size, largest first: each array then begins at a multiple of its item size, as readers that map the
    # file into memory need it.
    for name, array in sorted(arrays.items(), key=lambda pair: (-pair[1].dtype.itemsize, pair[0])):
        if (code := _CODES.get(array.dtype.name)) is None:
            raise TypeError(f"{name}: expected one of the dtypes {', '.join(_CODES)}, got {array.dtype}")
        native = array.astype(array.dtype.newbyteorder("="), copy=False)  # JAX runs on little-endian machines alone
        parts.append(native.tobytes())
        end = begin + len(parts[-1])
        entries[name] = _Entry(code, list(array.shape), [begin, end])
        begin = end
    digests = {name: hashlib.sha256(part).hexdigest() for name, part in zip(entries, parts, strict=True)}
    metadata = {name: json.dumps(said) for name, said in {**description, _ARRAYS: digests}.items()}
    metadata[_DESCRIPTION] = _digest(entries, metadata)
    table = {_METADATA: metadata, **{name: entry._asdict() for name, entry in entries.items()}}
    header = json.dumps(table, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    if len(header) > LARGEST_HEADER:
        raise ValueError(f"expected a header of at most {LARGEST_HEADER:,} bytes, got {len(header):,}")
    return b"".join([len(header).to_bytes(8, "little"), header, *parts])


class Reader:
    """A file that is open, whose header has been checked.

    Attributes:
      size: of the file, in bytes.
      description: the parsed items of the description by name.
      names: the names of the arrays.

    Raises:
      ValueError: if the file is not of this layout, not complete, or does not match its checksums. Errors of the JSON
        reader, such as `RecursionError`, are not caught.
    """

    def __init__(self, file: BufferedReader):
        self._file, self.size = file, os.fstat(file.fileno()).st_size
        file.seek(0)
        length = int.from_bytes(_exactly(file, 8), "little")
        if length > min(self.size - 8, LARGEST_HEADER):
            raise ValueError(f"its first 8 bytes announce a header of {length:,} bytes, and the file has {self.size:,}")
        table = _parsed(_exactly(file, length))
        self._start = 8 + length
        if not isinstance(table, dict):
            raise ValueError("expected a header that is a JSON object")  # noqa: TRY004
        metadata = _texts(table.pop(_METADATA, {}))
        self._entries = {name: _entry(name, given) for name, given in table.items()}
        _check_places(self._entries, self.size - self._start)
        if metadata.pop(_DESCRIPTION, None) != _digest(self._entries, metadata):
            raise ValueError("its description does not match the SHA-256 that was saved with it")
        self.description = {name: _parsed(text) for name, text in metadata.items()}
        self._digests = _texts(self.description.pop(_ARRAYS, {}))
        self.names = list(self._entries)

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """The shape and dtype of an array."""
        entry = self._entries[name]
        return tuple(entry.shape), _dtype(entry)

    def array(self, name: str) -> np.ndarray:
        """Reads an array.

        Raises:
          ValueError: if its bytes do not match the checksum.
        """
        entry = self._entries[name]
        begin, end = entry.data_offsets
        self._file.seek(self._start + begin)
        content = _exactly(self._file, end - begin)
        if hashlib.sha256(content).hexdigest() != self._digests.get(name):
            raise ValueError(f"{name} does not match the SHA-256 that was saved with it")
        return np.frombuffer(content, _dtype(entry)).reshape(entry.shape)


def _dtype(entry: _Entry) -> np.dtype:
    return jnp.dtype(_DTYPES[entry.dtype])


def _digest(entries: Mapping[str, _Entry], metadata: Mapping[str, str]) -> str:
    """The SHA-256 of a header without its offsets: other programs may write the arrays in another order."""
    says = [metadata, {name: [entry.dtype, entry.shape] for name, entry in entries.items()}]
    return hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()


def _entry(name: str, given: Any) -> _Entry:
    if not isinstance(given, dict) or given.keys() != set(_Entry._fields):
        raise ValueError(f"{name}: expected dtype, shape and data_offsets, got {_short(given)}")
    entry = _Entry(**given)
    if not isinstance(entry.dtype, str) or entry.dtype not in _DTYPES:
        raise ValueError(f"{name}: expected one of the dtypes {', '.join(_DTYPES)}, got {_short(entry.dtype)}")
    if not _are_counts(entry.shape) or len(entry.shape) > _MOST_AXES:
        raise ValueError(f"{name}: expected a shape of at most {_MOST_AXES} axes, got {_short(entry.shape)}")
    if not _are_counts(entry.data_offsets) or len(entry.data_offsets) != 2:
        raise ValueError(f"{name}: expected two offsets, got {_short(entry.data_offsets)}")
    begin, end = entry.data_offsets
    if math.prod(entry.shape) * _dtype(entry).itemsize != end - begin:
        raise ValueError(f"{name}: expected the bytes of {entry.dtype} {_short(entry.shape)}, got {end - begin}")
    return entry


def _check_places(entries: Mapping[str, _Entry], size: int) -> None:
    """Checks that the arrays fill the data one after another, so that none overlap."""
    place = 0
    for name, entry in sorted(entries.items(), key=lambda pair: pair[1].data_offsets):
        begin, end = entry.data_offsets
        if begin != place:
            raise ValueError(f"{name}: expected bytes from {place:,} on, got {begin:,}: arrays overlap or leave a gap")
        place = end
    if place != size:
        raise ValueError(f"expected arrays of {size:,} bytes, which the file has after its header, got {place:,}")


def _are_counts(given: Any) -> bool:
    return isinstance(given, list) and all(type(each) is int and 0 <= each < 2**63 for each in given)


def _texts(given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(text, str) for text in given.values()):
        raise ValueError(f"expected texts by name in the metadata, got {_short(given)}")
    return given


def _parsed(text: str | bytes) -> Any:
    return json.loads(text, object_pairs_hook=_table, parse_constant=refuse)


def _table(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    # Python's reader keeps the last of two equal keys, others the first: a file could differ between readers.
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("expected different names, and one occurs twice")
    return table


def _exactly(file: BufferedReader, count: int) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise ValueError(f"expected {count:,} bytes more, got {len(content):,}")
    return content


def refuse(constant: str) -> None:
    """Refuses NaN and the infinities, which Python's reader accepts and JSON does not have."""
    raise ValueError(f"expected finite numbers, got {constant}")


def _short(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."
