"""Reads files that may be gzipped, and limits their unpacked size: a small file cannot take all memory."""

import gzip
import io
import zlib
from pathlib import Path
from typing import IO

from densefn._npz import most_unpacked, unpacked_limit
from densefn.data.table import DataError, shown_path

_ALWAYS = 2**25
"""Any file may unpack to this many bytes. As cells, text takes up to thirty times that in memory."""

_MAGIC = b"\x1f\x8b"


def open_file(path: Path) -> IO[bytes]:
    """Opens a file, and unpacks it if its first bytes are those of gzip, whatever its name.

    Reading raises `DataError` if a gzipped file is damaged, or unpacks to more than `_npz.most_unpacked` allows.
    """
    file = path.open("rb")
    packed = file.read(2) == _MAGIC
    file.seek(0)
    return io.BufferedReader(_Unpacked(file, path)) if packed else file


class _Unpacked(io.RawIOBase):
    def __init__(self, file: IO[bytes], path: Path):
        self._packed, self._file, self._shown = file, gzip.GzipFile(fileobj=file), shown_path(path)
        self._left = most_unpacked(path.stat().st_size, _ALWAYS)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        try:
            count = self._file.readinto(buffer)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self._shown}: expected a whole file of gzip: {error}") from None
        self._left -= count
        if self._left < 0:
            raise DataError(f"{self._shown}: the file unpacks to more than it should; {unpacked_limit(_ALWAYS)}")
        return count

    def close(self) -> None:
        self._file.close()
        self._packed.close()
        io.RawIOBase.close(self)
