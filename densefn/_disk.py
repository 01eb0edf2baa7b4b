"""Writes files so that after a crash at any moment, either the complete old or the complete new file is there.

The content is written to a temporary file in the same folder, synced to the disk, and renamed. The temporary name is
random and must not exist, so a link that somebody has put there is not followed. The writer locks the temporary file,
and the lock ends with the process. So a file that a killed process left is told from one that is being written.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # not a POSIX system
    fcntl = None

_TEMPORARY = re.compile(r"\.densefn-[0-9a-f]{32}\.tmp")


def replace(path: Path, content: bytes) -> None:
    """Writes a file, replacing an older one. A link is replaced and not followed.

    Raises:
      OSError: with the path as its `filename`; the older file then does not change.
    """
    try:
        with _temporary(path.parent) as (temporary, descriptor):
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content)
            os.fsync(descriptor)
            temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    # The new name is an entry of the folder: without a sync of the folder, a crash may lose it. Not every file system
    # can sync a folder.
    with suppress(OSError):
        _sync(path.parent)


def write(path: Path, content: bytes) -> None:
    """Writes to a path that a user gives: into a device or pipe, or replacing a file.

    Raises:
      OSError: as `replace`.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(content)
    else:
        replace(path, content)


def open_file(path: Path) -> BufferedReader:
    """Opens a file to read.

    Raises:
      OSError: if it cannot be opened.
      ValueError: if it is not a file: a pipe would wait for its writer, and a device may have no end.
    """
    # Without O_NONBLOCK, opening a pipe already waits for its writer.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("it is not a file")
    return file


def lock(descriptor: int) -> bool:
    """Locks an open file or folder until it is closed or the process ends, killed or not.

    Returns:
      Whether it is locked now. False if the system or the file system has no locks.

    Raises:
      BlockingIOError: if another process has locked it.
    """
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return fcntl is not None


def is_temporary(path: Path) -> bool:
    """Whether a path is a file, not a link, with the name of a temporary file."""
    return _TEMPORARY.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def remove_temporary(folder: Path) -> None:
    """Removes the temporary files that killed processes left in a folder: those that nobody has locked."""
    for path in filter(is_temporary, folder.iterdir()):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                lock(descriptor)
                path.unlink()
            finally:
                os.close(descriptor)


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[Path, int]]:
    path = folder / f".densefn-{os.urandom(16).hex()}.tmp"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    try:
        lock(descriptor)
        yield path, descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _sync(folder: Path) -> None:
    """Writes the entries of a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
