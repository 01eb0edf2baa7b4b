"""Tables as people and programs write them, to train on and to predict: each row is predicted as before, or refused."""

import csv
import gzip
import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from densefn.training import runs
from tests.faults import sample
from tests.faults.command import call, hardly_drawn
from tests.faults.mutation import flipped
from tests.faults.outcomes import Answer, Outcome, Verdict, crashed, refused, worst
from tests.faults.trial import Place

FULL, SHARE = 2000, 15
SECONDS = 60
Rows = list[list[str]]

CELLS = (
    "", " ", "0", "-0", "1e400", "-1e400", "1e-400", "1e38", "nan", "NaN", "inf", "-inf", "NA", "N/A", "#N/A", "?", "-",
    "none", "null", "true", "5%", "$5.00", "1,234", "1.234,5", "5 kg", "12:05", "2024-01-31", "0x1F", "1_000", "007",
    "١٢", "red", "Red", "réd", "re\u0301d", "x" * 200_000, '"', 'a "b" c', "a\nb", "a\x00b", "=1+1", "\u202e",
    "9" * 400,
)  # fmt: skip
"""What a cell may hold."""


class Case(NamedTuple):
    """A kind of change, and the seed of where and to what."""

    title: str
    kind: str
    seed: int


def cases(rng: random.Random) -> Iterator[Case]:
    kinds = [*_SAME, *["cell"] * len(_SAME), *_ROWS, *_BYTES]
    while True:
        kind, seed = rng.choice(kinds), rng.randrange(2**32)
        yield Case(f"{kind} {seed}", kind, seed)


def prepare(place: Place) -> list[str]:
    """A run, and what it predicts for its rows."""
    with hardly_drawn():
        sample.train(sample.write(place.folder), place.folder / "run")
    answer = call(["predict", place.folder / "run", place.folder / "rows.csv"])
    return _predicted(answer)


def judge(case: Case, place: Place) -> Verdict:
    rng = random.Random(case.seed)
    rows = list(csv.reader(io.StringIO(sample.rows())))
    name, content, touched = _changed(case.kind, rows, rng)
    path = place.folder / "changed" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return worst([_predict(case, path, touched, place), _train(path)])


def _train(path: Path) -> Verdict:
    """Training comes to where it would begin, or to a refusal."""
    config = path.with_name("config.toml")
    config.write_text(sample.CONFIG.replace("rows.csv", path.name), encoding="utf-8")
    with patch.object(runs, "start", side_effect=runs.RunError(_BEGUN)):
        answer = call(["train", config])
    if answer.err.strip().endswith(_BEGUN):
        return crashed(answer) or Verdict(Outcome.RIGHT)
    return _said("train", refused(answer, [path.name]))


_BEGUN = "the training would begin here"


def _predict(case: Case, path: Path, touched: set[int] | None, place: Place) -> Verdict:
    """All rows but those that were touched are predicted as before; None is that any may have been."""
    answer = call(["predict", place.folder / "run", path])
    if answer.status:
        verdict = refused(answer, [path.name])
        if case.kind in _SAME and case.kind not in _MAY_BE_REFUSED:
            verdict = Verdict(Outcome.WRONG, f"refused: {answer.err[:300]}")
        return _said("predict", verdict)
    if broken := crashed(answer):
        return broken
    if touched is None:
        return Verdict(Outcome.RIGHT)
    got = _predicted(answer)
    other = [i for i, (a, b) in enumerate(zip(got, place.made, strict=False)) if i not in touched and not _close(a, b)]
    if len(got) != len(place.made) or other:
        return Verdict(Outcome.WRONG, f"{len(got)} rows; others than before: {other[:10]}; {answer.err[:200]}")
    return Verdict(Outcome.RIGHT)


def _said(command: str, verdict: Verdict) -> Verdict:
    return verdict._replace(seen=f"{command}: {verdict.seen}")


def _close(a: str, b: str) -> bool:
    return abs(float(a) - float(b)) < 1e-4


def _predicted(answer: Answer) -> list[str]:
    csv.field_size_limit(10**7)
    return [row["predicted y"] for row in csv.DictReader(io.StringIO(answer.out))]


def _text(rows: Rows, delimiter: str = ",", end: str = "\n", quoting: int = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
    return text.getvalue()


def _changed(kind: str, rows: Rows, rng: random.Random) -> tuple[str, bytes, set[int] | None]:
    """The name and content of a file, and the numbers of the rows whose meaning may be another; None is any."""
    if kind in _SAME:
        name, content = _SAME[kind](rows)
        return name, content, set()
    if kind == "cell":
        at = rng.randrange(1, len(rows))
        rows[at][rng.randrange(3)] = rng.choice(CELLS)
        return "rows.csv", _text(rows).encode(), {at - 1}
    if kind in _ROWS:
        return "rows.csv", _text(_ROWS[kind](rows, rng)).encode(), None
    return "rows.csv", _BYTES[kind](_text(rows).encode(), rng), None


_SAME: dict[str, Callable[[Rows], tuple[str, bytes]]] = {
    "as it is": lambda rows: ("rows.csv", _text(rows).encode()),
    "semicolons": lambda rows: ("rows.csv", _text(rows, ";").encode()),
    "tabs": lambda rows: ("rows.tsv", _text(rows, "\t").encode()),
    "tabs in .csv": lambda rows: ("rows.csv", _text(rows, "\t").encode()),
    "bars": lambda rows: ("rows.csv", _text(rows, "|").encode()),
    "sep=": lambda rows: ("rows.csv", ("sep=;\n" + _text(rows, ";")).encode()),
    "byte order mark": lambda rows: ("rows.csv", _text(rows).encode("utf-8-sig")),
    "utf-16": lambda rows: ("rows.csv", _text(rows).encode("utf-16")),
    "carriage returns": lambda rows: ("rows.csv", _text(rows, end="\r\n").encode()),
    "old carriage returns": lambda rows: ("rows.csv", _text(rows, end="\r").encode()),
    "gzip": lambda rows: ("rows.csv.gz", gzip.compress(_text(rows).encode())),
    "quotes": lambda rows: ("rows.csv", _text(rows, quoting=csv.QUOTE_ALL).encode()),
    "blanks": lambda rows: ("rows.csv", _text(rows).replace(",", ", ").encode()),
    "other order": lambda rows: ("rows.csv", _text([row[::-1] for row in rows]).encode()),
    "another column": lambda rows: ("rows.csv", _text([[*row, f"z{i}"] for i, row in enumerate(rows)]).encode()),
    "many columns": lambda rows: ("rows.csv", _text(_wide(rows)).encode()),
    "no target": lambda rows: ("rows.csv", _text([row[:3] for row in rows]).encode()),
    "empty lines at the end": lambda rows: ("rows.csv", (_text(rows) + "\n\n").encode()),
    "no end of line": lambda rows: ("rows.csv", _text(rows).rstrip().encode()),
    "more zeros": lambda rows: ("rows.csv", _text([[f"{cell}0" if i and "." in cell else cell for cell in row]
                                                   for i, row in enumerate(rows)]).encode()),
}  # fmt: skip
_MAY_BE_REFUSED = {"utf-16", "old carriage returns"}


def _wide(rows: Rows) -> Rows:
    more = 10_000
    return [[*row, *(f"n{j}" if i == 0 else "0" for j in range(more))] for i, row in enumerate(rows)]


def _without(rows: Rows, column: int) -> Rows:
    return [row[:column] + row[column + 1 :] for row in rows]


def _at(rows: Rows, rng: random.Random, row: list[str]) -> Rows:
    at = rng.randrange(len(rows) + 1)
    return [*rows[:at], row, *rows[at:]]


def _filled(rows: Rows, rng: random.Random) -> Rows:
    column, some = rng.randrange(4), [rng.choice(CELLS) for _ in range(rng.choice([1, 2, 5]))]
    for row in rows[1:]:
        row[column] = rng.choice(some)
    return rows


_ROWS: dict[str, Callable[[Rows, random.Random], Rows]] = {
    "a column of one kind": _filled,
    "a column less": lambda rows, rng: _without(rows, rng.randrange(4)),
    "a name twice": lambda rows, rng: [[rows[0][0], *rows[0][:3]], *rows[1:]],
    "a name of another kind": lambda rows, rng: [[rng.choice(CELLS), *rows[0][1:]], *rows[1:]],
    "the header again": lambda rows, rng: _at(rows, rng, rows[0]),
    "a long row": lambda rows, rng: _at(rows, rng, ["1"] * rng.choice([5, 1000])),
    "a short row": lambda rows, rng: _at(rows, rng, ["1"] * rng.choice([1, 3])),
    "an empty row": lambda rows, rng: _at(rows, rng, []),
    "a row of gaps": lambda rows, rng: _at(rows, rng, [""] * 4),
    "no rows": lambda rows, rng: rows[: rng.randrange(3)],
    "no header": lambda rows, rng: rows[1:],
}


_BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "a bit": lambda text, rng: flipped(text, rng.randrange(len(text)), 1 << rng.randrange(8)),
    "cut": lambda text, rng: text[: rng.randrange(len(text))],
    "a byte more": lambda text, rng: text[: (at := rng.randrange(len(text)))] + rng.choice(_INSERTED) + text[at:],
    "another form": lambda text, rng: rng.choice(
        [b"", b"\n", b"\x00" * 99, b"PK\x03\x04", b"PAR1", b"{}", b"\x1f\x8b", b","]
    ),
    "latin-1": lambda text, rng: text.replace(b"red", b"r\xe9d"),
}
_INSERTED = (b"\x00", b"\xff", b'"', b"\r", b"\n", b",", b"\xef\xbb\xbf", b"#")
