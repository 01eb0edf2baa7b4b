"""A signal at any moment of a command: it ends with a line, and what a run has done is not lost."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults import forks, process, sample
from tests.faults.command import call, hardly_drawn
from tests.faults.outcomes import Answer, Outcome, Verdict, crashed
from tests.faults.trial import Place

FULL, SHARE = 200, 2
FORKS = True
known_files = 100
"""Epochs of a run that was not interrupted, with whose metrics those of one that was are compared."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COMMANDS = {
    "train": "train CONFIG --run-dir RUN",
    "evaluate": "evaluate GOLDEN",
    "predict": "predict GOLDEN ROWS -o OUT.csv",
    "report": "report GOLDEN -o OUT.html",
    "export": "export GOLDEN --format onnx -o OUT.onnx",
    "explain": "explain --run GOLDEN -o OUT.txt",
    "configs": "configs digits -o OUT.toml",
}


class Case(NamedTuple):
    """The signal, the command, how many seconds after its begin, and whether in a new Python."""

    title: str
    number: int
    command: str
    seconds: float
    is_anew: bool


def cases(rng: random.Random) -> Iterator[Case]:
    while True:
        number, is_anew = rng.choice(_SIGNALS), rng.random() < 0.25
        command = rng.choice(["train", rng.choice(list(_COMMANDS))])
        # A new Python takes a moment until it runs a line of densefn's.
        seconds = rng.uniform(0.05, 4.0) if is_anew or command == "train" else rng.uniform(0.0, 1.0)
        title = f"{number.name} after {seconds:.2f} s of {command}{', a new Python' * is_anew}"
        yield Case(title, number, command, seconds, is_anew)


def prepare(place: Place) -> list[dict[str, Any]]:
    """The metrics of a run that was not interrupted. The config is of one that takes very long."""
    config = sample.write(place.folder)
    with hardly_drawn():
        sample.train(config, place.folder / "golden", "--set", f"train.epochs={known_files}")
    config.write_text(sample.CONFIG.replace("epochs = 4", "epochs = 1000000"), encoding="utf-8")
    return sample.metrics(place.folder / "golden")


def judge(case: Case, place: Place) -> Verdict:
    folder, run = place.folder, place.folder / "run"
    for path in (run, *folder.glob("out.*")):
        sample.remove(path)
    arguments = _arguments(case.command, folder)
    begun = process.anew(arguments, folder) if case.is_anew else process.begun(arguments, folder)
    time.sleep(case.seconds)
    os.kill(begun.number, case.number)
    answer = begun.answer(60)
    if answer is None:
        return Verdict(Outcome.WRONG, "the signal was swallowed")
    if verdict := _ended(case, answer):
        return verdict
    return forks.given(lambda: _what_is_left(place)) if run.exists() else Verdict(Outcome.RIGHT, answer.err[:200])


def _arguments(command: str, folder: Path) -> list[Any]:
    places = {"CONFIG": "config.toml", "RUN": "run", "GOLDEN": "golden", "ROWS": "rows.csv"}
    words = _COMMANDS[command].replace("OUT", "out").split()
    return [folder / places.get(word, word) if word in places or word.startswith("out.") else word for word in words]


def _ended(case: Case, answer: Answer) -> Verdict | None:
    """The verdict on how the process ended, if it is a fault."""
    in_time = answer.status == 0 and case.command != "train"
    early = case.is_anew or case.seconds < 0.3
    if early and answer.status in (-case.number, 1) and "densefn" not in answer.err:
        return None  # Python itself begins or ends: no line of densefn's is running
    if answer.status not in (128 + case.number, 0 if in_time else 128 + case.number):
        return crashed(answer) or Verdict(Outcome.WRONG, f"status {answer.status}: {answer.err[-300:]}")
    if broken := crashed(answer):
        return broken
    lines = answer.err.strip().count("\n") + 1
    return Verdict(Outcome.WRONG, f"{lines} lines: {answer.err[:300]}") if lines > 2 else None


def _what_is_left(place: Place) -> Verdict:
    """A run goes on to the metrics that it would have had, from where it was stopped."""
    run = place.folder / "run"
    if not (run / "config.toml").exists():
        left = [path.name for path in run.iterdir()]
        return Verdict(Outcome.WRONG, f"a folder with {left}") if left else Verdict(Outcome.RIGHT)
    before = sample.metrics(run) if (run / "metrics.jsonl").exists() else []
    with hardly_drawn():
        answer = call(["train", "--resume", run, "--set", f"train.epochs={len(before) + 3}"])
    if answer.status:
        return Verdict(Outcome.LOST, answer.err[-300:])
    after = sample.metrics(run)
    known = min(len(after), known_files)
    if len(after) != len(before) + 3 or after[: len(before)] != before or after[:known] != place.made[:known]:
        return Verdict(Outcome.WRONG, f"{len(before)} epochs became others")
    return Verdict(Outcome.RIGHT)
