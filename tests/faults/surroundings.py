"""What surrounds a command: disks, rights, streams, names, another process. It does its work, or says what lacks."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults import forks, process, sample
from tests.faults.command import call, hardly_drawn
from tests.faults.kills import at_write
from tests.faults.outcomes import Answer, Outcome, Verdict, crashed, refused
from tests.faults.trial import Place

FULL, SHARE = 300, 3
FORKS = True
_NAMES = (
    "a b",
    "é",
    "日本",
    "x$y$z",
    "it's",
    'q"q',
    "a\nb",
    "-x",
    "%s{}",
    "[a]",
    "n" * 200,
    "a\\b",
    "#1",
    "\udcff",
    "*",
)
_ENCODINGS = ("ascii", "cp1252", "latin-1", "utf-16", "cp437")
_ABORTED = (127, -6, -11)
"""What a process ends with where the C library or XLA cannot begin a thread or allocate."""
_COMMANDS = ("evaluate", "predict", "explain", "report", "export", "train")


class Case(NamedTuple):
    """A kind of surroundings, a command in them, and a number or word of the kind."""

    title: str
    kind: str
    command: str
    detail: Any


def cases(rng: random.Random) -> Iterator[Case]:
    details: dict[str, Callable[[], Any]] = {
        "full disk": lambda: rng.choice([0, 1, 2, 4, 8, 16, 24, 32, 40, 48, 64, 96, 128]),
        "no space at a write": lambda: rng.randrange(1, 60),
        "read-only": lambda: None,
        "TMPDIR gone": lambda: None,
        "output": lambda: rng.choice(["full", "closed", "pipe", "no streams"]),
        "encoding": lambda: rng.choice(_ENCODINGS),
        "little memory": lambda: rng.choice([32, 128, 256, 512, 640, 704, 768, 832]),
        "two processes": lambda: rng.choice(["begin", "resume"]),
        "no folder": lambda: None,
        "name": lambda: rng.choice(_NAMES),
    }
    while True:
        kind = rng.choice(list(details))
        command = "train" if kind in ("full disk", "no space at a write", "two processes") else rng.choice(_COMMANDS)
        detail = details[kind]()
        yield Case(f"{kind} {detail!r}: {command}", kind, command, detail)


def prepare(place: Place) -> dict[str, Any]:
    folder = place.folder
    config = sample.write(folder)
    long = sample.CONFIG.replace("epochs = 4", "epochs = 1000000")
    (folder / "long.toml").write_text(long, encoding="utf-8")
    with hardly_drawn():
        sample.train(config, folder / "golden")
        words = sample.write(folder / "words")
        rows = (folder / "words" / "rows.csv").read_text(encoding="utf-8")
        (folder / "words" / "rows.csv").write_text(rows.replace("c,y", "précio,日本"), encoding="utf-8")
        words.write_text(sample.CONFIG.replace('"y"', '"日本"'), encoding="utf-8")
        sample.train(words, folder / "words" / "golden")
    return sample.content(folder / "golden")


def judge(case: Case, place: Place) -> Verdict:
    sample.remove(place.folder / "at")
    (place.folder / "at").mkdir()
    return _KINDS[case.kind](case, place, place.folder / "at")


def _arguments(command: str, source: Path, run: Path, output: Path) -> list[Any]:
    """Of a command for the sample in `source`, that trains into or reads `run` and writes into a folder."""
    rows = source / "rows.csv"
    return {
        "train": ["train", source / "config.toml", "--run-dir", run],
        "evaluate": ["evaluate", run],
        "predict": ["predict", run, rows],
        "explain": ["explain", "--run", run],
        "report": ["report", run, "-o", output / "page.html"],
        "export": ["export", run, "--format", "onnx", "-o", output / "model.onnx"],
    }[command]


def _given(case: Case, place: Place, run: Path, **options: Any) -> Answer:
    """What a command gives, which reads the golden run unless it trains."""
    source = options.pop("source", place.folder)
    run = run if case.command == "train" else options.pop("read", source / "golden")
    options.pop("read", None)
    output = options.pop("output", place.folder)
    arguments = _arguments(case.command, source, run, output)
    return process.begun(arguments, place.folder, **options).answer(90) or Answer(-9, "", "it hangs", {})


def _said(answer: Answer, *names: str) -> Verdict:
    return refused(answer, names) if answer.status else crashed(answer) or Verdict(Outcome.RIGHT)


def _goes_on(place: Place, run: Path) -> Verdict:
    """A run can be resumed, or begun again where nothing is left, and ends as one that was not disturbed."""
    begins = not (run / "config.toml").exists()
    with hardly_drawn():
        answer = call(
            ["train", place.folder / "config.toml", "--run-dir", run] if begins else ["train", "--resume", run]
        )
    if answer.status:
        return Verdict(Outcome.LOST, answer.err[-300:])
    same = sample.content(run) == place.made
    return Verdict(Outcome.RIGHT) if same else Verdict(Outcome.WRONG, "another run")


def _disturbed(answer: Answer, place: Place, run: Path, *names: str) -> Verdict:
    verdict = _said(answer, *names)
    if verdict.outcome.is_fault:
        return verdict
    after = forks.given(lambda: _goes_on(place, run))
    return after if after.outcome.is_fault else verdict


def _full_disk(case: Case, place: Place, at: Path) -> Verdict:
    with _mounted(at, f"size={case.detail + 1}k") as is_mounted:
        limit = partial(_limit_files, case.detail * 1024)
        answer = _given(case, place, at / "run", before=_nothing if is_mounted else limit)
        if is_mounted:
            _mount(at, "remount,size=100m")
        return _disturbed(answer, place, at / "run", "No space", "too large", "run")


def _limit_files(size: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _nothing() -> None:
    pass


def _mount(at: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)]
    return shutil.which("mount") is not None and not subprocess.run(command, capture_output=True).returncode


@contextmanager
def _mounted(at: Path, options: str) -> Iterator[bool]:
    """Mounts a separate file system at a folder, if this process may."""
    is_mounted = _mount(at, options)
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", str(at)], capture_output=True)


def _no_space(case: Case, place: Place, at: Path) -> Verdict:
    def fail() -> None:
        raise OSError(28, "No space left on device", str(at / "run"))

    answer = _given(case, place, at / "run", before=lambda: at_write(at / "run", case.detail, fail))
    return _disturbed(answer, place, at / "run", "No space")


def _read_only(case: Case, place: Place, at: Path) -> Verdict:
    with _mounted(at, "size=1m,ro") as is_mounted:
        if not is_mounted:
            at.chmod(0o555)
        try:
            return _said(_given(case, place, at / "run", output=at), str(at))
        finally:
            at.chmod(0o755) if not is_mounted else None


def _no_temporary(case: Case, place: Place, at: Path) -> Verdict:
    def gone() -> None:
        os.environ["TMPDIR"] = str(at / "gone")

    return _said(_given(case, place, at / "run", before=gone, output=at), str(at))


def _output(case: Case, place: Place, at: Path) -> Verdict:
    answer = _given(case, place, at / "run", before=partial(_close, case.detail), output=at)
    if case.command == "train" and answer.status == 0:
        return crashed(answer) or Verdict(Outcome.RIGHT)
    if case.detail == "pipe" and answer.status == 141:
        return crashed(answer) or Verdict(Outcome.RIGHT)
    return _said(answer, "output")


def _close(how: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    match how:
        case "full":
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        case "pipe":
            os.dup2(writing, 1)
        case "closed":
            os.close(1)
            sys.stdout = None
        case _:
            os.close(1)
            os.close(2)
            sys.stdout = sys.stderr = None
    os.close(writing)


def _encoding(case: Case, place: Place, at: Path) -> Verdict:
    source = place.folder / "words"
    return _said(_given(case, place, at / "run", source=source, output=at, encoding=case.detail), "run", "précio")


def _name(case: Case, place: Place, at: Path) -> Verdict:
    read = at / case.detail
    if case.command != "train":
        sample.fresh(place.folder / "golden", read)
    answer = _given(case, place, read, read=read, output=at)
    verdict = _said(answer, "run", str(at))
    refuses = verdict.outcome is Outcome.REFUSED and case.detail != "\udcff"
    return Verdict(Outcome.WRONG, verdict.seen) if refuses else verdict


def _two(case: Case, place: Place, at: Path) -> Verdict:
    """A second process in the folder of a run that is being trained is refused, and the first goes on."""
    run = at / "run"
    first = process.begun(["train", place.folder / "long.toml", "--run-dir", run], at)
    while not (run / "metrics.jsonl").exists() or not (run / "metrics.jsonl").stat().st_size:
        time.sleep(0.05)
    resume = ["train", "--resume", run]
    second = resume if case.detail == "resume" else ["train", place.folder / "config.toml", "--run-dir", run]
    answer = process.begun(second, place.folder).answer(60) or Answer(-9, "", "it hangs", {})
    os.kill(first.number, 15)
    ended = first.answer(60)
    if ended is None or ended.status != 143:
        return Verdict(Outcome.LOST, f"the first process: {ended}")
    return _said(answer, "being trained by") if answer.status else Verdict(Outcome.WRONG, "two trained in one folder")


def _no_folder(case: Case, place: Place, at: Path) -> Verdict:
    def leave() -> None:
        (at / "gone").mkdir()
        os.chdir(at / "gone")
        (at / "gone").rmdir()

    return _said(_given(case, place, at / "run", before=leave, output=at), "current folder")


def _little_memory(case: Case, place: Place, at: Path) -> Verdict:
    """C++ code ends the process where it cannot allocate: then what counts is that nothing is half-written."""
    limit = partial(forks.limit_memory, case.detail * 2**20)
    answer = _given(case, place, at / "run", before=limit, output=at)
    aborted = answer.status in _ABORTED and not any(map(answer.err.__contains__, ("Traceback", "Python error")))
    verdict = Verdict(Outcome.REFUSED, answer.err[:300]) if aborted else _said(answer, "memory")
    if verdict.outcome.is_fault:
        return verdict
    if case.command == "train":
        after = forks.given(lambda: _goes_on(place, at / "run"))
        return after if after.outcome.is_fault else verdict
    left = [path.name for path in at.iterdir()] if answer.status else []
    return Verdict(Outcome.WRONG, f"left {left}") if left else verdict


_KINDS: dict[str, Callable[[Case, Place, Path], Verdict]] = {
    "full disk": _full_disk,
    "no space at a write": _no_space,
    "read-only": _read_only,
    "TMPDIR gone": _no_temporary,
    "output": _output,
    "encoding": _encoding,
    "name": _name,
    "two processes": _two,
    "no folder": _no_folder,
    "little memory": _little_memory,
}
