"""Files of rows, by the ending of their name."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from densefn.training.data import arrays, text
from densefn.training.data.table import DataError, Table, shown_path


def _read_parquet(path: Path) -> Table:
    shown = shown_path(path)
    try:
        frame = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{shown}: expected a whole Parquet file: {str(error).splitlines()[0]}") from None
    if frame.is_empty():
        raise DataError(f"{shown}: expected rows, got the shape {frame.shape}")
    return Table(shown, dict(frame.to_dict()))


_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": text.read,
    ".tsv": text.read,
    ".parquet": _read_parquet,
    ".npz": arrays.read_npz,
    ".npy": arrays.read_npy,
}


def is_array(path: str | Path) -> bool:
    """Whether the name of a file is that of arrays, not of a table."""
    return Path(path).suffix.lower() in arrays.SUFFIXES or arrays.is_idx(Path(path))


def read(path: str | Path) -> Table:
    """Reads the raw rows of a file: `.csv`, `.tsv`, `.parquet`, `.npz`, `.npy`, or an IDX file.

    Raises:
      DataError: names the file and, where they are known, the row and the column of what is wrong.
    """
    path = Path(path)
    reader = arrays.read_idx if arrays.is_idx(path) else _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{shown_path(path)}: expected a file {', '.join(_READERS)} or IDX, by the ending of its name")
    return _opened(path, reader)


def _opened(path: Path, reader: Callable[[Path], Table]) -> Table:
    """What a reader makes of a file, if there is one that can be read."""
    try:
        if not path.is_file():
            raise DataError(
                f"{shown_path(path)}: expected a file, and there is {'a folder' if path.is_dir() else 'none'}"
            )
        return reader(path)
    except OSError as error:
        raise DataError(f"{shown_path(path)}: expected a file to read: {error.strerror or error}") from None
