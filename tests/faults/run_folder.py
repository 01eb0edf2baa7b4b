"""Each file of a run's folder changed, and every command after it: the same answer as before, or a refusal."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.faults import sample
from tests.faults.command import hardly_drawn
from tests.faults.mutation import CHANGES, change
from tests.faults.outcomes import Answer, Outcome, Verdict, worst
from tests.faults.trial import Place

FULL, SHARE = 2000, 2
FILES = (
    "config.toml",
    "preparation.json",
    "notes.json",
    "metrics.jsonl",
    "model.safetensors",
    "state.safetensors",
    "result.json",
    "histograms.json",
    "predictions.json",
    "manifest.json",
)


class Case(NamedTuple):
    """A file, what is done to it, and the seed of where."""

    title: str
    file: str
    kind: str
    seed: int


def cases(rng: random.Random) -> Iterator[Case]:
    while True:
        file, kind, seed = rng.choice(FILES), rng.choice(CHANGES), rng.randrange(2**32)
        yield Case(f"{file}: {kind}", file, kind, seed)


def prepare(place: Place) -> dict[str, Answer]:
    """A run, another one of the same form, and what each command gives for the first."""
    with hardly_drawn():
        sample.train(sample.write(place.folder), place.folder / "golden")
        sample.train(sample.write(place.folder / "other", seed=1), place.folder / "other" / "run")
        return {command.name: _answer(command, place.folder) for command in sample.COMMANDS}


def judge(case: Case, place: Place) -> Verdict:
    run = sample.fresh(place.folder / "golden", place.folder / "run")
    path = run / case.file
    if not path.exists():
        return Verdict(Outcome.RIGHT, "there is no such file")
    before = path.read_bytes()
    change(path, case.kind, random.Random(case.seed), place.folder / "other" / "run" / case.file)
    if path.exists() and path.read_bytes() == before:
        return Verdict(Outcome.RIGHT, "nothing was changed")
    shutil.rmtree(place.folder / "changed", ignore_errors=True)
    run.rename(place.folder / "changed")
    with hardly_drawn():
        return worst(_judge(command, place) for command in sample.COMMANDS)


def _judge(command: sample.Command, place: Place) -> Verdict:
    answer = _answer(command, place.folder, "changed")
    verdict = sample.same(answer, place.made[command.name], names=["run"], said="run")
    return verdict._replace(seen=f"{command.name}: {verdict.seen}")


def _answer(command: sample.Command, folder: Path, source: str = "golden") -> Answer:
    """What a command gives for a copy of a run, which always lies at one place."""
    run = sample.fresh(folder / source, folder / "run")
    answer = command(run, folder)
    if command.name == "resume" and not answer.status:
        return answer._replace(out="", files=_resumed(run))
    return answer


def _resumed(run: Path) -> dict[str, bytes]:
    return {name: repr(value).encode() for name, value in sample.content(run).items()}
