"""Names the files of a run's folder, and checks that they belong to the same run.

`manifest.json` holds the size and the SHA-256 of every file that a command reads. A file that was edited, truncated or
copied from another run does not match it. Files are replaced in three steps, so that a crash at any moment leaves the
files of one run:

1. the manifest is written with two generations: the files as they are, and the files as they will be;
2. the files are replaced, one by one;
3. the manifest is written with the second generation only.

A reader accepts files that all match the same generation. `metrics.jsonl` grows between two saves. Until the run is
over, the file may therefore be longer than the manifest says; the rest holds the epochs since the last save.

An earlier densefn wrote `model.npz` and `state.npz`. Both are still read. They are deleted when their safetensors file
is written.

A process locks the folder while it trains in it. The lock ends with the process.
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
    """The folder is not that of a run, or its files do not belong together."""


class LockedError(FolderError):
    """Another process trains in the folder."""


class Entry(NamedTuple):
    """The entry of a file in a manifest: its size in bytes, and its SHA-256."""

    size: int
    sha256: str


class Manifest(NamedTuple):
    """The content of `manifest.json`.

    Attributes:
      facts: the fingerprint of the rows, and the settings and versions that the run's numbers depend on.
      generations: the entries of the files by name; two generations while files are replaced.
      process: the id of the process that trains; None once the run is over.
    """

    facts: Mapping[str, Any]
    generations: Sequence[Mapping[str, Entry]]
    process: int | None

    def write(self, run_dir: Path) -> None:
        """Writes the manifest into the run's folder."""
        generations = [{name: entry._asdict() for name, entry in each.items()} for each in self.generations]
        table = {"format": _archive.FORMAT, **self._asdict(), "generations": generations}
        _disk.replace(run_dir / MANIFEST, json.dumps(table, indent=1).encode())


class Folder:
    """The folder of a run in which this process trains.

    Args:
      path: the folder.
      facts: as in `Manifest`.
      files: the entries of the files that are there.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any], files: Mapping[str, Entry]):
        self.path, self._facts, self._files = path, facts, files

    def replace(self, files: Mapping[str, bytes], grown: Mapping[str, bytes] | None = None, *, over: bool = False):
        """Replaces files so that a crash at any moment leaves the files of one run.

        Args:
          files: the new contents, by name.
          grown: the contents of files that are on the disk already, such as the metrics.
          over: whether the run is over.
        """
        # The order matters: after a crash between any two writes, each file matches one of the two generations.
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
    """Locks a folder against other processes that train, and removes temporary files that killed ones left.

    Args:
      run_dir: the folder.
      warn: is given a message if the file system has no locks, so that the folder stays unlocked.

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
            warn(f"{run_dir}: this file system has no locks; make sure that no other process trains in this folder")
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
    """The name of a file in a manifest: its former one if the manifest has only that."""
    return former if name not in files and (former := _archive.former(name)) in files else name


def is_model_or_state(path: Path) -> bool:
    """Whether a path is that of a run's model or state."""
    return path.name in (MODEL, STATE) and path.with_name(MANIFEST).exists()


def is_begun(run_dir: Path) -> bool:
    """Whether a run has begun in a folder, so that it can be resumed."""
    return (run_dir / CONFIG).exists()


def read(run_dir: Path) -> Manifest:
    """Reads the manifest of a run.

    Raises:
      FolderError: if there is none, or if densefn did not write it.
    """
    return _parse(run_dir, _content(run_dir))


def check(run_dir: Path, *names: str, optional: Sequence[str] = ()) -> tuple[Manifest, Mapping[str, Entry]]:
    """Checks that files are as the run wrote them, and belong together.

    Args:
      run_dir: the folder.
      *names: the files that must be there.
      optional: files that may be missing. One that the manifest lists must be there; one that is there must be listed.

    Returns:
      The manifest, and the generation that the files match.

    Raises:
      FolderError: names the file and what is wrong with it.
    """
    while True:
        content = _content(run_dir)
        try:
            return _checked(run_dir, _parse(run_dir, content), names, (*names, *optional))
        except FolderError:
            if _content(run_dir) == content:  # otherwise a process replaced files meanwhile: check again
                raise


def known_files(run_dir: Path, manifest: Manifest, generation: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries of all files: those of a generation or, for files that a crash left in the other one, of that."""
    files = dict(generation)
    for other in manifest.generations:
        files |= {name: entry for name, entry in other.items() if name != METRICS and _fits(run_dir / name, entry)}
    return files


def _checked(
    run_dir: Path, manifest: Manifest, needed: Sequence[str], names: Sequence[str]
) -> tuple[Manifest, Mapping[str, Entry]]:
    def fits(name: str, generation: Mapping[str, Entry]) -> bool:
        # Each epoch appends a row, and a killed process leaves such rows too: until the run is over, only the part of
        # the file that was there at the last save must match.
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
            raise FolderError(f"{run_dir / name}: the run has not written it yet; to go on: {_go_on(run_dir)}")
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
    """Whether a file matches its entry in a manifest; an entry of None matches a missing file."""
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
    """The manifest's entry for a file with this content."""
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
            f"{path}: No such file; without it densefn cannot tell whether the files belong together (an earlier "
            f"densefn wrote none); train anew: densefn train {shlex.quote(str(run_dir / CONFIG))}"
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
            raise TypeError("expected generations and the id of a process")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FolderError(f"{run_dir / MANIFEST}: expected a manifest that densefn wrote: {error}") from None
    return manifest


def _go_on(run_dir: Path) -> str:
    return f"densefn train --resume {shlex.quote(str(run_dir))}"
