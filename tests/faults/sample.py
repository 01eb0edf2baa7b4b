"""The small run that most trials are about: a table with a category and a gap, two layers, four epochs."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import deserialize

from tests.faults.command import call
from tests.faults.outcomes import Answer, Outcome, Verdict, crashed, refused

CONFIG = """\
[data]
path = "rows.csv"
target = "y"
batch_size = 16

[[model.layers]]
units = 4
activation = "tanh"

[[model.layers]]
units = 1

[optimizer]
name = "adam"
learning_rate = 1e-2

[train]
epochs = 4
"""


def rows(seed: int = 0, count: int = 40) -> str:
    """A table as CSV: two numbers, a category with a gap now and then, and the target."""
    rng = random.Random(seed)
    lines = ["a,b,c,y"]
    for _ in range(count):
        a, b, c = rng.gauss(0, 1), rng.gauss(5, 2), rng.choice(["red", "green", "blue", ""])
        lines.append(f"{a:.4f},{b:.4f},{c},{a - b / 2 + len(c) + rng.gauss(0, 0.1):.4f}")
    return "\n".join(lines) + "\n"


def write(folder: Path, config: str = CONFIG, seed: int = 0) -> Path:
    """Writes rows and config into a folder, and returns the path of the config."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.csv").write_text(rows(seed), encoding="utf-8")
    (folder / "config.toml").write_text(config, encoding="utf-8")
    return folder / "config.toml"


def train(config: Path, run: Path, *more: str) -> Answer:
    """Trains, and fails if that does."""
    answer = call(["train", config, "--run-dir", run, *more])
    if answer.status:
        raise RuntimeError(f"the sample does not train: {answer.err}")
    return answer


class Command(NamedTuple):
    """A command that is given a run: its arguments, in which `RUN` and `ROWS` stand for paths, and a file to write."""

    name: str
    arguments: str
    output: str | None = None

    def __call__(self, run: Path, folder: Path) -> Answer:
        output = folder / self.output if self.output else None
        places = {"RUN": run, "ROWS": folder / "rows.csv"}
        given = [places.get(word, word) for word in self.arguments.split()]
        return call([*given, *(["-o", output] if output else [])], output)


COMMANDS = (
    Command("evaluate", "evaluate RUN --format json"),
    Command("evaluate rows", "evaluate RUN ROWS --format json"),
    Command("predict", "predict RUN ROWS", "predicted.csv"),
    Command("explain", "explain --run RUN", "explained.txt"),
    Command("report", "report RUN", "page.html"),
    Command("export onnx", "export RUN --format onnx", "model.onnx"),
    Command("export safetensors", "export RUN --format safetensors", "model.safetensors"),
    Command("resume", "train --resume RUN --set train.epochs=6"),
)


def content(run: Path) -> dict[str, Any]:
    """What a run has computed, for comparison bit for bit: arrays as bytes, metrics without the seconds."""
    found: dict[str, Any] = {}
    for name in ("model.safetensors", "state.safetensors"):
        found |= {f"{name} {key}": value["data"] for key, value in deserialize((run / name).read_bytes())}
    found["metrics"] = metrics(run)
    found["predictions"] = (run / "predictions.json").read_bytes()
    return found


def metrics(run: Path) -> list[dict[str, Any]]:
    """The rows of the metrics without what differs from one process to the next."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def remove(path: Path) -> None:
    """Removes a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def fresh(source: Path, run: Path) -> Path:
    """A copy of a run at a place where another may be."""
    remove(run)
    shutil.copytree(source, run, symlinks=True)
    return run


def same(answer: Answer, expected: Answer, names: Sequence[str], said: str) -> Verdict:
    """The verdict on a command whose answer is known.

    Args:
      answer: what it gave.
      expected: what it gives without the fault.
      names: of what a refusal should name.
      said: a word for the fault; a command that gives something else must say it on the standard error.
    """
    if answer.status:
        return refused(answer, names)
    if broken := crashed(answer):
        return broken
    if (answer.out, answer.files) == (expected.out, expected.files):
        return Verdict(Outcome.RIGHT)
    if said in answer.err:
        return Verdict(Outcome.REFUSED, answer.err[:300])
    return Verdict(Outcome.WRONG, _difference(answer, expected))


def _difference(answer: Answer, expected: Answer) -> str:
    pairs = {"output": (answer.out.encode(), expected.out.encode())}
    pairs |= {name: (answer.files.get(name, b""), expected.files.get(name, b"")) for name in expected.files}
    name, (got, right) = next((name, pair) for name, pair in pairs.items() if pair[0] != pair[1])
    at = next((i for i, (a, b) in enumerate(zip(got, right, strict=False)) if a != b), min(len(got), len(right)))
    start = max(0, at - 30)
    return f"another {name}, silently: {got[start : at + 60]!r} for {right[start : at + 60]!r}"
