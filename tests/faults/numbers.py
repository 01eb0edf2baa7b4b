"""Extreme numbers in data, first parameters and optimizers: a run is finite, or ends with a message."""

import csv
import io
import math
import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from tests.faults import sample
from tests.faults.command import call, hardly_drawn
from tests.faults.outcomes import Outcome, Verdict, crashed, refused
from tests.faults.trial import Place

FULL, SHARE = 500, 2
SECONDS = 90
EXTREMES = (
    "0", "-0.0", "4.9e-324", "1e-310", "1e-45", "1e-38", "1e-20", "1e20", "1e26", "3.4e38", "1e39", "1e154", "1e308",
    "1.7976931348623157e308", "1" + "0" * 400, "-1e38", "-1e308", "inf", "-inf", "nan", "16777217", "9007199254740993",
    "1700000000", "18446744073709551616",
)  # fmt: skip
_PLACES = {
    "first kernel": ("model", "layers", 0, "kernel_initializer"),
    "first bias": ("model", "layers", 1, "bias_initializer"),
    "learning rate": ("optimizer", "learning_rate"),
    "eps": ("optimizer", "eps"),
    "b1": ("optimizer", "b1"),
    "b2": ("optimizer", "b2"),
    "clip_norm": ("optimizer", "clip_norm"),
    "ema": ("train", "ema"),
    "loss_scale": ("train", "loss_scale"),
    "l2": ("model", "layers", 0, "kernel_regularizer"),
    "max_norm": ("model", "layers", 0, "kernel_constraint"),
}
_TABLES = {
    "kernel_initializer": lambda x: {"name": "Constant", "value": x},
    "bias_initializer": lambda x: {"name": "Constant", "value": x},
    "kernel_regularizer": lambda x: {"name": "L2", "l2": x},
    "kernel_constraint": lambda x: {"name": "MaxNorm", "max_value": x},
}


class Case(NamedTuple):
    """Where a number stands: a column of the data or a place of the config; in how many rows; and which."""

    title: str
    place: str
    number: str
    share: float
    seed: int


def cases(rng: random.Random) -> Iterator[Case]:
    while True:
        place = rng.choice([*_PLACES, "a", "b", "y", "a", "b", "y"])
        number, share = rng.choice(EXTREMES), rng.choice([0.03, 0.5, 1.0])
        yield Case(f"{number[:30]} at {place}, {share}", place, number, share, rng.randrange(2**32))


def prepare(place: Place) -> None:
    sample.write(place.folder)


def judge(case: Case, place: Place) -> Verdict:
    config, run = place.folder / "changed.toml", place.folder / "run"
    sample.remove(run)
    config.write_text(_config(case), encoding="utf-8")
    (place.folder / "changed.csv").write_text(_rows(case), encoding="utf-8")
    with hardly_drawn():
        answer = call(["train", config, "--run-dir", run])
    if answer.status:
        return refused(answer, [config.name, run.name])
    return crashed(answer) or _finite(run, place.folder / "rows.csv")


def _finite(run: Path, rows: Path) -> Verdict:
    """All that a run that ended well has written, and what it predicts, is finite."""
    if bad := [row for row in sample.metrics(run) if any(map(_is_bad, _leaves(row)))]:
        return Verdict(Outcome.WRONG, f"status 0 with {bad[-1]}")
    for arguments in (["evaluate", run], ["predict", run, rows], ["report", run]):
        with hardly_drawn():
            answer = call(arguments)
        if answer.status:
            verdict = refused(answer, [run.name, rows.name])
            return verdict._replace(seen=f"{arguments[0]}: {verdict.seen}")
        if broken := crashed(answer):
            return broken
        if arguments[0] != "report" and any(word in answer.out.lower() for word in (",nan", ",inf", " nan", " inf")):
            return Verdict(Outcome.WRONG, f"{arguments[0]} with status 0: {answer.out[-200:]}")
    return Verdict(Outcome.RIGHT)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    else:
        yield value


def _is_bad(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _config(case: Case) -> str:
    table = tomllib.loads(sample.CONFIG.replace("rows.csv", "changed.csv").replace("epochs = 4", "epochs = 2"))
    if case.place in _PLACES:
        *above, last = _PLACES[case.place]
        at: Any = table
        for part in above:
            at = at[part]
        at[last] = _TABLES.get(last, lambda x: x)(_number(case.number))
    return tomli_w.dumps(table)


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


def _rows(case: Case) -> str:
    rows = list(csv.reader(io.StringIO(sample.rows())))
    if case.place in rows[0]:
        rng, column = random.Random(case.seed), rows[0].index(case.place)
        for row in rng.sample(rows[1:], max(1, int(case.share * (len(rows) - 1)))):
            row[column] = _scaled(row[column], case.number) if case.share > 0.9 else case.number
    return "\n".join(map(",".join, rows)) + "\n"


def _scaled(cell: str, number: str) -> str:
    """A cell times a number, where that is one: the column varies at that size."""
    return repr(float(cell) * float(number)) if math.isfinite(float(number)) else number
