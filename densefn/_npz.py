"""Checks of NumPy's files, `.npz` and `.npy`, that are not trusted, before memory is allocated for them.

The directory of a zip archive states the place and size of each member. Members that overlap, impossible sizes, and
headers without a shape raise `ValueError` or another error in `BROKEN`. Nothing is unpickled.
"""

import struct
import tokenize
import warnings
import zipfile
import zlib
from typing import IO, Any, Literal

import numpy as np

BROKEN = (
    OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, OverflowError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""The errors that reading a damaged file may raise."""

LARGEST_UNPACKED = 2**27
"""The bytes that every archive may unpack to. A large archive may unpack to `MOST_UNPACKED` times its size."""

MOST_UNPACKED = 100

_LOCAL_HEADER = 30  # bytes before a member's name in the zip format, at the least
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members of an archive.

    Raises:
      ValueError: if two members have the same name or overlap; if a member is encrypted, has an impossible size, or is
        compressed by a method that NumPy does not use.
    """
    found = archive.infolist()
    names: set[str] = set()
    for member in found:
        if member.filename in names:
            raise ValueError(f"expected different names, and two members are named {member.filename!r}")
        names.add(member.filename)
        if member.flag_bits & _ENCRYPTED:
            raise ValueError(f"expected members that are not encrypted, and {member.filename!r} is marked as encrypted")
        if member.compress_type not in _METHODS:
            raise ValueError(f"expected members stored or deflated, and {member.filename!r} is neither")
        if member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size:
            raise ValueError(f"expected a stored member of one size, and {member.filename!r} announces two")
    # If members could share bytes, a small file could state the same large member many times.
    places = sorted(found, key=lambda member: member.header_offset)
    ends = [member.header_offset + _LOCAL_HEADER + member.compress_size for member in places]
    begins = [*(member.header_offset for member in places[1:]), archive.start_dir]
    for member, end, begin in zip(places, ends, begins, strict=False):
        if member.header_offset < 0 or end > begin:
            raise ValueError(f"expected members one after another, and {member.filename!r} overlaps what follows it")
    unpacked = sum(member.file_size for member in found)
    if unpacked > most_unpacked(archive.start_dir, LARGEST_UNPACKED):
        raise ValueError(f"its {archive.start_dir:,} bytes unpack to {unpacked:,}; {unpacked_limit(LARGEST_UNPACKED)}")
    return found


def most_unpacked(packed: int, always: int) -> int:
    """The bytes that a file of `packed` bytes may unpack to, at least `always`."""
    return max(always, MOST_UNPACKED * packed)


def unpacked_limit(always: int) -> str:
    """The limit and the fix, for messages."""
    return (
        f"expected at most {always >> 20} MiB, or {MOST_UNPACKED} times the file's size; unpack a file that you trust"
    )


def header(file: IO[bytes]) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    """Reads the header of an array: its shape, order and dtype. The file is then at the first byte of the data.

    Raises:
      ValueError: if the file does not begin with a header of NumPy.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"expected version 1, 2 or 3 of NumPy's format, got {version[0]}.{version[1]}")
    read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():  # NumPy warns about headers of Python 2, which it can read
            warnings.simplefilter("ignore")
            shape, fortran, dtype = read(file)
    except (MemoryError, OverflowError, RecursionError, SyntaxError, TypeError, tokenize.TokenError):
        # The header is a dict in Python's notation. Parsing any other text raises one of these errors.
        raise ValueError("expected a header with a shape and a dtype, got none that can be read") from None
    if dtype.itemsize == 0:  # an array of any shape would need no bytes in the file
        raise ValueError(f"expected a dtype of at least one byte, got {dtype}")
    return shape, "F" if fortran else "C", dtype
