"""Reads arrays from files: NumPy's `.npz` and `.npy`, and the IDX files in which MNIST is distributed.

Nothing is unpickled, and the size that a header announces is compared with that of the file before memory is taken.
"""

import io
import math
import re
import struct
import zipfile
from pathlib import Path
from typing import IO, Literal

import numpy as np

from densefn import _npz
from densefn.data import gzipped
from densefn.data.table import DataError, Table, nfc, shown_path

SUFFIXES = (".npz", ".npy")

_IDX = re.compile(r"(images|labels)[-.]idx(\d)-ubyte(\.gz)?$")
_MOST_AXES = 32
_LAST_CHARACTER, _SURROGATES = 0x10FFFF, (0xD800, 0xDFFF)


def is_idx(path: Path) -> bool:
    """Whether the name is that of an IDX file, such as `train-images-idx3-ubyte.gz`."""
    return _IDX.search(path.name) is not None


def read_npy(path: Path) -> Table:
    """Maps one array, which has no name, into memory: its rows are read when they are taken."""
    shown = shown_path(path)
    try:
        with path.open("rb") as file:
            shape, order, dtype = _header(file, path.stat().st_size, shown)
            array = _as_text(np.memmap(file, dtype, "r", file.tell(), shape, order), shown)
    except _npz.BROKEN as error:
        raise _broken(shown, "an array as numpy.save writes it", error) from None
    return Table(shown, {"": array})


def read_npz(path: Path) -> Table:
    """Reads all arrays, by name."""
    shown = shown_path(path)
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in _npz.members(archive):
                name = nfc(member.filename.removesuffix(".npy"))
                if name in arrays:
                    raise DataError(f"{shown}: expected unique names, got two arrays {name!r}")
                with archive.open(member) as file:
                    shape, order, dtype = _header(file, member.file_size, f"{shown}: {name}")
                    array = np.frombuffer(file.read(), dtype).reshape(shape, order=order)
                arrays[name] = _as_text(array, f"{shown}: {name}")
    except _npz.BROKEN as error:
        raise _broken(shown, "arrays as numpy.savez writes them", error) from None
    if not arrays:
        raise DataError(f"{shown}: expected arrays, got none")
    return Table(shown, arrays)


def read_idx(path: Path) -> Table:
    """Reads the images of an IDX file as the column `x`, and their labels as `y` if their file is beside it."""
    labels = path.with_name(_IDX.sub(r"labels-idx1-ubyte\3", path.name))
    columns = {"x": _idx(path)}
    if labels.exists() and labels != path:
        columns["y"] = _idx(labels)
    table = Table(shown_path(path), columns)
    if len({len(array) for array in columns.values()}) > 1:
        raise table.error(f"expected as many labels as images, {len(columns['x']):,}, got {len(columns['y']):,}")
    return table


def _header(file: IO[bytes], size: int, shown: str) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    """Shape, order and dtype of the array that fills the rest of the file."""
    shape, order, dtype = _npz.header(file)
    if dtype.hasobject or dtype.kind not in "biufUS":
        raise DataError(f"{shown}: expected numbers, got an array of dtype {dtype}; pickled objects are not read")
    expected = math.prod(shape) * dtype.itemsize
    if file.tell() + expected != size:
        raise _not_whole(shown, expected, f"{size - file.tell():,}")
    if not shape or 0 in shape:
        raise DataError(f"{shown}: expected an array [rows, ...] of at least one row, got the shape {shape}")
    return shape, order, dtype


def _as_text(array: np.ndarray, shown: str) -> np.ndarray:
    """The array, with bytes decoded as UTF-8 text and every character checked; numbers are returned as they are."""
    if array.dtype.kind not in "US":
        return array
    try:
        text = (
            np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array.astype(array.dtype.newbyteorder("="))
        )
    except UnicodeDecodeError as error:
        raise DataError(f"{shown}: expected text: {error}") from None
    # NumPy stores any 32-bit number as a character; writing one that Unicode lacks fails much later.
    points = np.ascontiguousarray(text).view(np.uint32)
    if np.any((points > _LAST_CHARACTER) | ((points >= _SURROGATES[0]) & (points <= _SURROGATES[1]))):
        raise DataError(f"{shown}: expected text, got numbers that are no Unicode characters")
    return text


def _idx(path: Path) -> np.ndarray:
    shown = shown_path(path)
    try:
        with gzipped.open_file(path) as file:
            begin = file.read(4)
            if len(begin) < 4 or begin[:3] != b"\0\0\x08":
                raise DataError(
                    f"{shown}: expected an IDX file of bytes, which begins with 00 00 08, got {begin.hex(' ')}"
                )
            if not 1 <= begin[3] <= _MOST_AXES:
                raise DataError(f"{shown}: expected 1 to {_MOST_AXES} axes, got {begin[3]}")
            sizes = file.read(4 * begin[3])
            shape = struct.unpack(f">{len(sizes) // 4}I", sizes[: len(sizes) // 4 * 4])
            expected = math.prod(shape)
            content = _at_most(file, expected + 1)
    except _npz.BROKEN as error:
        raise _broken(shown, "a whole IDX file", error) from None
    if len(shape) < begin[3] or len(content) != expected:
        more = "more" if len(content) > expected else f"{len(content):,}"
        raise _not_whole(shown, expected, more)
    if not expected:
        raise DataError(f"{shown}: expected at least one row, got the shape {shape}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _not_whole(shown: str, expected: int, rest: str) -> DataError:
    # The product of the sizes in a header may have thousands of digits.
    announced = f"{expected:,}" if expected < 2**63 else "at least 2**63"
    return DataError(f"{shown}: the file is not whole: its header announces {announced} bytes, and {rest} follow")


def _at_most(file: IO[bytes], count: int) -> bytes:
    """Reads up to `count` bytes in pieces, so a header that announces too much does not take the memory."""
    memory = io.BytesIO()
    while memory.tell() < count and (piece := file.read(min(2**20, count - memory.tell()))):
        memory.write(piece)
    return memory.getvalue()


def _broken(shown: str, expected: str, error: Exception) -> DataError:
    return error if isinstance(error, DataError) else DataError(f"{shown}: expected {expected}: {error}")
