"""Reads files of rows; the suffix decides the format."""

import math
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from densefn.data import arrays, header, text_table
from densefn.data.table import DataError, Table, listed, shown_path


def _read_parquet(path: Path) -> Table:
    shown = shown_path(path)
    try:
        # Polars would otherwise take key=value folders for columns (hive) and [ in a path for a glob.
        with _silent():
            rows = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            _refuse_too_large(shown, rows.select(pl.len()).collect().item(), len(rows.collect_schema()))
            frame = rows.collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(f"{shown}: expected a whole Parquet file: {str(error).splitlines()[0]}") from None
    count = _filled_rows(frame)
    empty, frame = [*range(count + 1, len(frame) + 1)], frame.head(count)
    if frame.is_empty():
        raise DataError(f"{shown}: expected rows, got the shape {frame.shape}")
    names = header.column_names(shown, frame.columns, frame.get_columns())
    columns = zip(names.kept, frame.get_columns(), strict=True)
    kept = {name: _usual(column) for name, column in columns if name is not None}
    notes = [*names.notes, *[f"left out at the end, as they are empty: {listed('row', empty)}"] * bool(empty)]
    return Table(shown, kept, notes=tuple(f"{shown}: {note}" for note in notes), index=names.index)


def _filled_rows(frame: pl.DataFrame) -> int:
    """The number of rows before the empty ones at the end, which a text table leaves out as well."""
    if frame.width < 2:
        return len(frame)
    filled = frame.select(~pl.all_horizontal(pl.all().is_null())).to_series().arg_true()
    return filled[-1] + 1 if len(filled) else 0


def _refuse_too_large(shown: str, rows: int, columns: int) -> None:
    """Raises `DataError` if the rows take more than half of the memory.

    Parquet compresses equal cells to almost nothing, so a file of a few kilobytes may unpack to more than the memory.
    """
    size = rows * columns * np.dtype(np.float64).itemsize
    if size > machine_memory() / 2:
        announced = f"{rows:,} rows of {columns:,} columns, which take {size / 2**30:,.1f} GiB"
        raise DataError(f"{shown}: expected rows that fit into half of the memory, got {announced}")


def machine_memory() -> float:
    """Bytes of the machine's memory; infinite if unknown."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf


@contextmanager
def _silent() -> Iterator[None]:
    """Silences standard error inside.

    Polars panics on some damaged files: it raises a Python exception, and Rust prints a second message to stderr.
    """
    try:
        kept = os.dup(2)
    except OSError:  # the standard error is closed
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _usual(column: pl.Series) -> pl.Series:
    """Converts decimals to floats and UTF-8 bytes to text, and composes text (NFC)."""
    if column.dtype.is_decimal():
        return column.cast(pl.Float64)
    if column.dtype == pl.Binary:  # text, if it is UTF-8: some writers do not say so
        text = column.cast(pl.String, strict=False)
        column = column if text.null_count() > column.null_count() else text
    return column.str.normalize("NFC") if column.dtype == pl.String else column


_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": text_table.read,
    ".tsv": text_table.read,
    ".txt": text_table.read,
    ".parquet": _read_parquet,
    ".npz": arrays.read_npz,
    ".npy": arrays.read_npy,
}


def is_array(path: str | Path) -> bool:
    """Whether a file holds arrays, not a table, by its name."""
    return Path(path).suffix.lower() in arrays.SUFFIXES or arrays.is_idx(Path(path))


def read(path: str | Path) -> Table:
    """Reads the raw rows of a file: `.csv`, `.tsv`, `.txt`, `.parquet`, `.npz`, `.npy`, or an IDX file.

    Raises:
      DataError: names the file and, where they are known, the row and the column of what is wrong.
    """
    path = Path(path)
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    reader = arrays.read_idx if arrays.is_idx(path) else _READERS.get(ending)
    if reader is None or (path.suffix.lower() == ".gz" and reader not in (text_table.read, arrays.read_idx)):
        endings = f"{', '.join(_READERS)}, .csv.gz or .tsv.gz, or an IDX file"
        raise DataError(f"{shown_path(path)}: expected a file whose name ends in {endings}")
    return _opened(path, reader)


def _opened(path: Path, reader: Callable[[Path], Table]) -> Table:
    """Calls a reader, and turns errors of the file system into `DataError`s."""
    shown = shown_path(path)
    try:
        try:
            found = path.stat().st_mode
        except ValueError as error:  # a zero byte in the path, or characters that the file system cannot write
            raise DataError(f"{shown}: expected the path of a file: {error}") from None
        if not stat.S_ISREG(found):
            kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
            raise DataError(f"{shown}: expected a file, and there is {kinds.get(stat.S_IFMT(found), 'a device')}")
        return reader(path)
    except FileNotFoundError:
        raise DataError(f"{shown}: expected a file, and there is none") from None
    except OSError as error:
        raise DataError(f"{shown}: expected a file to read: {error.strerror or error}") from None
    except MemoryError:
        raise DataError(f"{shown}: expected rows that fit into the memory") from None
