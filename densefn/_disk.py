"""The disk: a file is replaced so that after a crash at any moment it is either the old one or the new one, whole.

The new content goes to a temporary file in the same folder, which takes the old one's place once it is on the disk. Its
name cannot be guessed and must not exist, so no link that someone has put there is followed. Its writer holds a lock on
it, which ends with the process: what is left of a killed one is told from what another process is writing.
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
    """Writes a file in the place of an older one; a link is replaced and not followed.

    Raises:
      OSError: with the path as its `filename`; the older file is then as it was.
    """
    try:
        with _temporary(path.parent) as (temporary, descriptor):
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content)
            os.fsync(descriptor)
            temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    with suppress(OSError):  # not every file system does so for a folder
        _sync(path.parent)


def write(path: Path, content: bytes) -> None:
    """Writes to what a user names: into a device or a pipe, or in the place of a file.

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
      ValueError: if it is none: a pipe would wait for its writer, and a device may have no end.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("it is not a file")
    return file


def lock(descriptor: int) -> bool:
    """Locks an open file or folder until it is closed, or its process ends in whatever way.

    Returns:
      Whether there is a lock now; False on a system or a file system that has none.

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
    """Whether a file has the name of a temporary one, and is a file."""
    return _TEMPORARY.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def remove_temporary(folder: Path) -> None:
    """Removes the temporary files that killed processes have left in a folder."""
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
    """Makes the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
