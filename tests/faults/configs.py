"""Configs with a value, a type, a name or the structure changed, in the file or by `--set`, as `train` decodes them.

What is known to make no sense must be refused; of the others it is asked that they come to an answer, and what is
accepted must be the same when it is written out and read again. One accepted config of fifty is trained.
"""

import copy
import math
import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import tomli_w

from densefn import summary
from densefn.training import config as configs
from densefn.training import runs
from tests.faults import sample
from tests.faults.command import call, hardly_drawn
from tests.faults.mutation import flipped
from tests.faults.outcomes import Answer, Outcome, Verdict, crashed, refused
from tests.faults.trial import Place

FULL, SHARE = 20_000, 60
SECONDS = 60

RICH = """\
shows = "A trial."
expect = "val_r2 >= -9"
loss = { name = "huber", delta = 1.5 }

[data]
path = "rows.csv"
target = "y"
batch_size = 16
validation_fraction = 0.25
seed = 3
ignore = ["b"]
missing = "median"
missing_indicator = true

[[model.layers]]
units = 4
activation = { name = "leaky_relu", negative_slope = 0.2 }
kernel_initializer = { name = "VarianceScaling", scale = 2.0, mode = "fan_in", distribution = "uniform" }
kernel_regularizer = { name = "L2", l2 = 1e-3 }
kernel_constraint = { name = "MaxNorm", max_value = 3.0 }

[[model.layers]]
layer = "Repeat"
times = 2
body = { layer = "Residual", body = { units = 4, activation = "tanh", dtype = "mixed_bfloat16" } }

[[model.layers]]
units = 1

[optimizer]
name = "adamw"
learning_rate = { name = "cosine_decay_schedule", init_value = 1e-2, decay_steps = 8 }
weight_decay = 1e-3
clip_norm = 1.0
accumulate = 2

[train]
epochs = 2
seed = 1
metrics = ["r2"]
evaluate_every = 1
early_stopping = { metric = "val_loss", patience = 3 }
keep = "best"
best_metric = "val_loss"
ema = 0.9
"""
VALUES = (
    0, -1, 1, 2, 3, 10**9, 2**31, 2**63, 10**30, 10**400, 0.5, -0.5, 1e-300, 1e-45, 1e38, 1e39, 1e308,
    float("nan"), float("inf"), float("-inf"), True, False, "", " ", "adam", "relu", "none", "é" * 40, "a\x00b",
    "x" * 3000, "../..", "/dev/zero", "/dev/null", [], [[]], [0] * 500, ["y", "y"], {}, {"name": "L2"}, {"name": 3},
    {"": 1}, {"name": "adam", "b1": 2}, {"layer": "Dense"},
)  # fmt: skip
"""What takes the place of a value."""
_BEGUN = "the training would begin here"
_KINDS = ("value", "value", "value", "set", "set", "name", "removed", "added", "moved", "nested", "text")


class Case(NamedTuple):
    """A kind of change, and the seed of where and to what."""

    title: str
    kind: str
    seed: int


def cases(rng: random.Random) -> Iterator[Case]:
    while True:
        kind, seed = rng.choice(_KINDS), rng.randrange(2**32)
        yield Case(f"{kind} {seed}", kind, seed)


def prepare(place: Place) -> None:
    sample.write(place.folder, RICH)


def judge(case: Case, place: Place) -> Verdict:
    path = place.folder / "changed.toml"
    text, override, nonsense = changed(case.kind, random.Random(case.seed))
    path.write_bytes(text)
    flags = [] if override is None else ["--set", override]
    answer = _until_it_begins(path, flags)
    if answer.err.strip() != _BEGUN:
        verdict = refused(answer, [path.name, "--set"])
    elif nonsense:
        verdict = Verdict(Outcome.WRONG, "accepted")
    else:
        verdict = _accepted(path, [override] if override else [])
        if verdict.outcome is Outcome.RIGHT and case.seed % 50 == 0:
            verdict = _trained(path, flags, place.folder / "run")
    return verdict._replace(seen=f"{override or nonsense}: {verdict.seen}"[:700])


def _until_it_begins(path: Path, flags: list[str]) -> Answer:
    """What `train` answers when it ends where the training would begin."""
    with patch.object(runs, "start", side_effect=runs.RunError(_BEGUN)):
        return call(["train", path, *flags])


def _accepted(path: Path, overrides: list[str]) -> Verdict:
    once = configs.load(path, overrides)
    path.write_text(configs.dump(once), encoding="utf-8")
    again = configs.load(path)
    return Verdict(Outcome.RIGHT) if once == again else Verdict(Outcome.WRONG, f"written and read: {once} is {again}")


def _trained(path: Path, flags: list[str], run: Path) -> Verdict:
    if _is_large(path):
        return Verdict(Outcome.RIGHT, "too large to be trained here")
    sample.remove(run)
    limits = ["--set", "train.epochs=1"]
    with hardly_drawn():
        answer = call(["train", path, *flags, *limits, "--run-dir", run])
    if answer.status:
        return refused(answer, [path.name, run.name])
    return crashed(answer) or Verdict(Outcome.RIGHT)


def _is_large(path: Path) -> bool:
    model = configs.load(path).model
    return math.log10(max(1, summary(model, (None, 8)).count)) > 6


def changed(kind: str, rng: random.Random) -> tuple[bytes, str | None, str]:
    """A config that was changed.

    Returns:
      The text, the override if it is one, and what makes no sense in it if something is known.
    """
    table = tomllib.loads(RICH)
    path = rng.choice(_paths(table))
    if kind == "set":
        return (RICH.encode(), *_override(table, path, rng))
    if kind == "text":
        return _other_text(rng), None, ""
    nonsense = _change(table, path, kind, rng)
    return tomli_w.dumps(table).encode("utf-8", "surrogateescape"), None, nonsense


def _paths(table: Any, before: tuple = ()) -> list[tuple]:
    pairs = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    return [path for key, value in pairs for path in ((*before, key), *_paths(value, (*before, key)))]


def _at(table: Any, path: tuple) -> Any:
    for part in path:
        table = table[part]
    return table


def _change(table: dict[str, Any], path: tuple, kind: str, rng: random.Random) -> str:
    above, last, dotted = _at(table, path[:-1]), path[-1], ".".join(map(str, path))
    match kind:
        case "value":
            old, above[last] = above[last], copy.deepcopy(rng.choice(VALUES))
            return f"{dotted} = {above[last]!r}"[:200] if makes_no_sense(last, old, above[last]) else ""
        case "name" if isinstance(above, dict):
            name = rng.choice([f"{last}x", str(last)[:-1] or "x", str(last).upper() + "_", "", "é", "a.b", "__class__"])
            above[name] = above.pop(last)
            return f"{dotted} is named {name!r}"
        case "added" if isinstance(above, dict):
            above[name := rng.choice(["unit", "lr", "momentun", "__init__", "\u0000", "x" * 1000])] = 1
            return f"{name[:20]!r} beside {dotted}"
        case "removed":
            del above[last]
        case "moved":
            other = rng.choice(_paths(table))
            _at(table, other[:-1])[other[-1]] = copy.deepcopy(above[last])
        case "nested":
            for _ in range(depth := rng.choice([2, 10, 60])):
                above[last] = [above[last]] if depth % 2 else {"body": above[last]}
    return ""


def makes_no_sense(name: Any, old: Any, new: Any) -> bool:
    """Whether it is known that a value must be refused in the place of another."""
    if isinstance(old, bool) or not isinstance(old, int | float):
        return isinstance(old, bool) and not isinstance(new, bool)
    if isinstance(new, str | list | bool) or (isinstance(new, float) and math.isnan(new)):
        return True
    if isinstance(new, dict):
        return name in _WHOLE
    return name in _WHOLE and (new != int(new) if abs(new) < 1e300 else True)


_WHOLE = {"batch_size", "units", "times", "epochs", "evaluate_every", "patience", "accumulate"}
"""Names of what is a positive whole number."""


def _override(table: dict[str, Any], path: tuple, rng: random.Random) -> tuple[str, str]:
    value = rng.choice(VALUES)
    old = _at(table, path)
    written = rng.choice(
        [_toml(value), str(value), _toml(value), "", "=", "[1", "{", '"', "1 2", ".001", "a b.csv", "1\n2"]
    )
    name = rng.choice(
        [".".join(map(str, path))] * 6 + [_brackets(path), "", ".", "a", "data", "model.layers.9", "x" * 500]
    )
    sure = name == ".".join(map(str, path)) and written == _toml(value) and makes_no_sense(path[-1], old, value)
    return f"{name}={written}", f"{name} = {written}"[:200] if sure and not isinstance(value, str) else ""


def _toml(value: Any) -> str:
    return tomli_w.dumps({"v": value}).partition("=")[2].strip() if not isinstance(value, dict) else "{ a = 1 }"


def _brackets(path: tuple) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _other_text(rng: random.Random) -> bytes:
    text = RICH.encode()
    at = rng.randrange(len(text))
    match rng.randrange(7):
        case 0:
            return flipped(text, at, 1 << rng.randrange(8))
        case 1:
            return text[:at]
        case 2:
            return text[:at] + rng.choice([b"\x00", b"\xff", b"\xef\xbb\xbf", b"\n[", b"'", b"\r", b"#"]) + text[at:]
        case 3:
            return b"a = " + b"[" * rng.choice([10, 3000, 100_000])
        case 4:
            return text + b"[" + b".".join([b"a"] * rng.choice([10, 3000])) + b"]\n"
        case 5:
            return text.decode().encode(rng.choice(["utf-16", "utf-8-sig", "utf-32"]))
        case _:
            lines = text.splitlines(keepends=True)
            rng.shuffle(lines)
            return b"".join(lines)
