"""The folder of a run: the names of its files, and what ties them together.

`manifest.json` holds the size and the SHA-256 of every file that a command reads. A file that was edited, cut, or taken
from another run does not match it. Files are replaced in three steps, so that a crash between any two leaves a folder
that is one run:

1. the manifest is given a second generation: what its files are and what they will be;
2. the files are replaced, one by one;
3. the manifest is left with the second generation alone.

A reader accepts files that are all of one generation. `metrics.jsonl` grows between two saves: while the run is not
over, what follows the part that the manifest knows is of the epochs since the last save.

An earlier densefn wrote `model.npz` and `state.npz`. They are read, and go away where the same is written anew.

A folder is locked as long as a process trains in it. The lock ends with the process.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from densefn import _archive, _disk

CONFIG, METRICS, PREPARATION, STATE = "config.toml", "metrics.jsonl", "preparation.json", "state.safetensors"
MODEL, RESULT, HISTOGRAMS = "model.safetensors", "result.json", "histograms.json"
NOTES = "notes.json"
CONFUSION, PREDICTIONS = "confusion_matrix.json", "predictions.json"
CURVES, REPORT = "curves.png", "report.html"
MANIFEST = "manifest.json"


class FolderError(ValueError):
    """A folder that is no run, or whose files do not belong together."""


class LockedError(FolderError):
    """A folder in which another process trains."""


class Entry(NamedTuple):
    """What a manifest says of a file: its size in bytes, and its SHA-256."""

    size: int
    sha256: str


class Manifest(NamedTuple):
    """What ties the files of a run together.

    Attributes:
      facts: of the run: the fingerprint of its rows, and what else its bits depend on.
      generations: the files by name; two of them while files are replaced.
      process: the number of the process that trains; None once the run is over.
    """

    facts: Mapping[str, Any]
    generations: Sequence[Mapping[str, Entry]]
    process: int | None

    def write(self, run_dir: Path) -> None:
        """Writes it into the folder of its run."""
        generations = [{name: entry._asdict() for name, entry in each.items()} for each in self.generations]
        table = {"format": _archive.FORMAT, **self._asdict(), "generations": generations}
        _disk.replace(run_dir / MANIFEST, json.dumps(table, indent=1).encode())


class Folder:
    """The folder of a run in which this process trains.

    Args:
      path: of the folder.
      facts: as of `Manifest`.
      files: what is known of those that are there.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any], files: Mapping[str, Entry]):
        self.path, self._facts, self._files = path, facts, files

    def replace(self, files: Mapping[str, bytes], grown: Mapping[str, bytes] | None = None, *, over: bool = False):
        """Replaces files so that a crash at any moment leaves a folder that is one run.

        Args:
          files: what they hold, by name.
          grown: what files hold that were written to the disk already.
          over: whether the run is.
        """
        known = {name: entry(content) for name, content in {**files, **(grown or {})}.items()}
        former_names = {_archive.former(name) for name in files} - set(files)
        after = {name: entry for name, entry in self._files.items() if name not in former_names} | known
        Manifest(self._facts, [self._files, after], os.getpid()).write(self.path)
        for name, content in files.items():
            _disk.replace(self.path / name, content)
        for name in former_names:
            (self.path / name).unlink(missing_ok=True)
        Manifest(self._facts, [after], None if over else os.getpid()).write(self.path)
        self._files = after


@contextmanager
def locked(run_dir: Path, warn: Callable[[str], Any]) -> Iterator[None]:
    """Keeps other processes from training in a folder, and removes what killed ones have left there half written.

    Args:
      run_dir: the folder.
      warn: is told if the file system has no locks; two processes are then not kept apart.

    Raises:
      LockedError: if another process trains in it.
    """
    descriptor = os.open(run_dir, os.O_RDONLY)
    try:
        try:
            has_locks = _disk.lock(descriptor)
        except BlockingIOError:
            raise LockedError(f"{run_dir}: the run is being trained by {_trainer(run_dir)}") from None
        if not has_locks:
            warn(f"{run_dir}: this file system has no locks; see to it that no other process trains in this folder")
        _disk.remove_temporary(run_dir)
        yield
    finally:
        os.close(descriptor)


def _trainer(run_dir: Path) -> str:
    try:
        number = read(run_dir).process
    except FolderError:
        number = None
    return f"process {number}" if number else "another process"


def listed_name(name: str, files: Mapping[str, Entry]) -> str:
    """The name that a file has in a list: its former one where that is there."""
    return former if name not in files and (former := _archive.former(name)) in files else name


def is_model_or_state(path: Path) -> bool:
    """Whether a path is that of the model or the state of a run."""
    return path.name in (MODEL, STATE) and path.with_name(MANIFEST).exists()


def is_begun(run_dir: Path) -> bool:
    """Whether a run has begun in a folder: then it can go on."""
    return (run_dir / CONFIG).exists()


def read(run_dir: Path) -> Manifest:
    """Reads the manifest of a run.

    Raises:
      FolderError: if there is none, or if it is not one.
    """
    return _parse(run_dir, _content(run_dir))


def check(run_dir: Path, *names: str, optional: Sequence[str] = ()) -> tuple[Manifest, Mapping[str, Entry]]:
    """Checks that files are as the run wrote them, and belong together.

    Args:
      run_dir: the folder.
      *names: of the files that must be there.
      optional: names of others; one that the manifest lists must be there, and one that is there must be listed.

    Returns:
      The manifest, and its generation to which the files belong.

    Raises:
      FolderError: names the file and what is wrong with it.
    """
    while True:
        content = _content(run_dir)
        try:
            return _checked(run_dir, _parse(run_dir, content), names, (*names, *optional))
        except FolderError:
            if _content(run_dir) == content:  # else a process has written meanwhile
                raise


def known_files(run_dir: Path, manifest: Manifest, generation: Mapping[str, Entry]) -> dict[str, Entry]:
    """What is known of the files: those of a generation and, where a crash has left another one, that."""
    files = dict(generation)
    for other in manifest.generations:
        files |= {name: entry for name, entry in other.items() if name != METRICS and _fits(run_dir / name, entry)}
    return files


def _checked(
    run_dir: Path, manifest: Manifest, needed: Sequence[str], names: Sequence[str]
) -> tuple[Manifest, Mapping[str, Entry]]:
    def fits(name: str, generation: Mapping[str, Entry]) -> bool:
        grows = name == METRICS and manifest.process is not None
        name = listed_name(name, generation)
        return _fits(run_dir / name, generation.get(name), grows)

    for generation in manifest.generations:
        if all(fits(name, generation) for name in names):
            break
    else:
        wrong = [
            listed_name(name, manifest.generations[0])
            for name in names
            if not any(fits(name, each) for each in manifest.generations)
        ]
        known = [name for name in wrong if any(name in each for each in manifest.generations)]
        raise FolderError(_reason(run_dir, wrong, known))
    for name in needed:
        if listed_name(name, generation) not in generation:
            raise FolderError(f"{run_dir / name}: the run has not got so far; to go on: {_go_on(run_dir)}")
    return manifest, generation


def _reason(run_dir: Path, wrong: Sequence[str], known: Sequence[str]) -> str:
    if not wrong:
        return f"{run_dir}: the run was killed while it replaced its files; to go on: {_go_on(run_dir)}"
    path = run_dir / wrong[0]
    if wrong[0] not in known:
        return f"{path}: it is not a file of this run: {MANIFEST} does not list it"
    if not path.exists():
        return f"{path}: No such file, but {MANIFEST} lists it"
    return f"{path}: it is not as the run wrote it ({MANIFEST}): it was changed since, or is of another run"


def _fits(path: Path, entry: Entry | None, grows: bool = False) -> bool:
    """Whether a file is what a manifest says; None is that there is none."""
    try:
        with _disk.open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if entry is None or size < entry.size or (size > entry.size and not grows):
                return False
            if grows:
                return hashlib.sha256(file.read(entry.size)).hexdigest() == entry.sha256
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
    except FileNotFoundError:
        return entry is None
    except OSError as error:
        raise FolderError(f"{path}: expected a file to read: {error.strerror}") from None
    except ValueError as error:
        raise FolderError(f"{path}: expected a file to read: {error}") from None


def entry(content: bytes) -> Entry:
    """What a manifest says of a file that holds this."""
    return Entry(len(content), hashlib.sha256(content).hexdigest())


def _content(run_dir: Path) -> bytes:
    path = run_dir / MANIFEST
    try:
        with _disk.open_file(path) as file:
            return file.read()
    except FileNotFoundError:
        if not is_begun(run_dir):
            raise FolderError(f"{run_dir}: expected the folder of a run, with {CONFIG} and {MANIFEST}") from None
        raise FolderError(
            f"{path}: No such file, and without it nothing tells whether the files belong together (an earlier densefn "
            f"wrote none); train anew: densefn train {shlex.quote(str(run_dir / CONFIG))}"
        ) from None
    except OSError as error:
        raise FolderError(f"{path}: expected the manifest of a run: {error.strerror}") from None
    except ValueError as error:
        raise FolderError(f"{path}: expected the manifest of a run: {error}") from None


def _parse(run_dir: Path, content: bytes) -> Manifest:
    try:
        table = _archive.parse(content)
        generations = [{name: Entry(**entry) for name, entry in each.items()} for each in table["generations"]]
        manifest = Manifest(dict(table["facts"]), generations, table["process"])
        entries = [entry for each in generations for entry in each.values()]
        if not all(type(entry.size) is int and type(entry.sha256) is str for entry in entries):
            raise TypeError("expected a size and a SHA-256 of each file")
        facts = [type(manifest.facts.get(name)) for name in ("data", "settings", "versions")]
        if facts != [str, dict, dict]:
            raise TypeError("expected the fingerprint of the data, settings and versions")
        if not generations or not isinstance(manifest.process, int | None):
            raise TypeError("expected generations and the number of a process")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FolderError(f"{run_dir / MANIFEST}: expected a manifest that densefn wrote: {error}") from None
    return manifest


def _go_on(run_dir: Path) -> str:
    return f"densefn train --resume {shlex.quote(str(run_dir))}"
