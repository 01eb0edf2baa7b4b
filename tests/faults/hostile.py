"""Files that someone has made to do harm, in the place of a model, of rows, of a config and of a run.

Each command on one ends in bounded time and memory, and touches nothing else.
"""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults import forks, sample
from tests.faults.attacks import CONFIGS, MODELS, TABLES
from tests.faults.command import call, hardly_drawn
from tests.faults.outcomes import Outcome, Verdict, crashed, refused, worst
from tests.faults.trial import Place

FULL, SHARE = 400, 8
SECONDS = 30
MEMORY = 6 << 30
"""Bytes of addresses beside those of a process that has imported all: the threads of XLA take some."""
_SECRET = "what a file of the user holds"  # noqa: S105


class Case(NamedTuple):
    """A kind of file, and the seed of its size."""

    title: str
    kind: str
    seed: int


def cases(rng: random.Random) -> Iterator[Case]:
    kinds = [*MODELS, *TABLES, *_LINKS, *CONFIGS]
    while True:
        kind, seed = rng.choice(kinds), rng.randrange(2**32)
        yield Case(f"{kind} {seed}", kind, seed)


def prepare(place: Place) -> None:
    with hardly_drawn():
        sample.train(sample.write(place.folder), place.folder / "golden")


def judge(case: Case, place: Place) -> Verdict:
    forks.limit_memory(MEMORY)
    at, rng = place.folder / "at", random.Random(case.seed)
    sample.remove(at)
    at.mkdir()
    (at / "mine.txt").write_text(_SECRET, encoding="utf-8")
    os.chdir(at)
    verdict = _judged(case.kind, at, rng, place)
    if (at / "executed").exists() or (at / "mine.txt").read_text(encoding="utf-8") != _SECRET:
        return Verdict(Outcome.LOST, "a file of the user was changed, or a program was run")
    return verdict


def _judged(kind: str, at: Path, rng: random.Random, place: Place) -> Verdict:
    if kind in MODELS:
        (at / "model.npz").write_bytes(MODELS[kind](rng))
        commands = [
            ["export", "model.npz", "--format", "safetensors", "-o", "out.safetensors"],
            ["explain", "--run", at],
        ]
        return worst(_refuses(arguments, "model.npz", "manifest.json") for arguments in commands)
    if kind in TABLES:
        name, content = TABLES[kind](rng)
        (at / name).write_bytes(content)
        return _as_rows(at / name, place)
    if kind in _LINKS:
        return _LINKS[kind](at, rng, place)
    (at / "config.toml").write_bytes(CONFIGS[kind](rng))
    sample.write(at / "data")
    commands = [["train", "config.toml", "--run-dir", "run"], ["explain", "--config", "config.toml"]]
    return worst(_refuses(arguments, "config.toml") for arguments in commands)


def _as_rows(path: Path, place: Place) -> Verdict:
    """A file of rows: to predict and, by a config, to train on."""
    config = path.with_name("config.toml")
    target = {".npy": "target = 0", ".npz": 'inputs = "x"\ntarget = "y"'}.get(path.suffix, 'target = "y"')
    config.write_text(sample.CONFIG.replace("rows.csv", path.name).replace('target = "y"', target), encoding="utf-8")
    commands = [["predict", place.folder / "golden", path.name], ["train", config, "--run-dir", "run"]]
    return worst(_refuses(arguments, path.name) for arguments in commands)


def _refuses(arguments: list[Any], *names: str, may_take: bool = False) -> Verdict:
    """The verdict on a command that should not take its file, unless it may have no need of it."""
    answer = call(arguments)
    if answer.status:
        return refused(answer, names)
    taken = Verdict(Outcome.RIGHT) if may_take else Verdict(Outcome.WRONG, f"{arguments[0]} took it")
    return crashed(answer) or taken


def _temporary_links(at: Path, rng: random.Random, place: Place) -> Verdict:
    """Links at the names that the files of a run will have; the first is what an older densefn wrote to."""
    run = sample.fresh(place.folder / "golden", at / "run")
    for name in ("model.safetensors", "report.html", "metrics.jsonl", "curves.png"):
        (run / f".{name}.{os.getpid()}").symlink_to(at / "mine.txt")
    (run / "page.html").symlink_to(at / "mine.txt")
    answer = call(["report", run, "-o", run / "page.html"])
    return refused(answer, ["page.html"]) if answer.status else crashed(answer) or Verdict(Outcome.RIGHT)


def _linked_file(at: Path, rng: random.Random, place: Place) -> Verdict:
    """A file of the run is a link to the user's, a pipe, or a device."""
    run = sample.fresh(place.folder / "golden", at / "run")
    path = run / rng.choice(["model.safetensors", "preparation.json", "config.toml", "manifest.json", "metrics.jsonl"])
    path.unlink()
    match rng.randrange(3):
        case 0:
            path.symlink_to(at / "mine.txt")
        case 1:
            os.mkfifo(path)
        case _:
            path.symlink_to(rng.choice(["/dev/zero", "/dev/urandom", "/dev/stdin"]))
    commands = [["evaluate", run], ["train", "--resume", run, "--set", "train.epochs=5"], ["report", run]]
    return worst(_refuses(arguments, "run", may_take=True) for arguments in commands)


def _device_as_rows(at: Path, rng: random.Random, place: Place) -> Verdict:
    path = at / rng.choice(["x.csv", "x.npy", "x.npz", "x.parquet", "x.csv.gz"])
    match rng.randrange(2):
        case 0:
            os.mkfifo(path)
        case _:
            path.symlink_to(rng.choice(["/dev/zero", "/dev/urandom", "loop"]))
    return _as_rows(path, place)


_LINKS: dict[str, Callable[[Path, random.Random, Place], Verdict]] = {
    "links at temporary names": _temporary_links,
    "a link in a run": _linked_file,
    "a pipe or a device as rows": _device_as_rows,
}
