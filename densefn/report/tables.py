"""The tables of a report as HTML: final metrics, differences of configs, confusion matrix, model."""

import html
import math
from collections.abc import Sequence

from densefn._page import NUMBER, cell, heading, table
from densefn.report.run import Run
from densefn.training.config import flatten, is_met
from densefn.training.metrics import is_larger_better

# With more classes than this, the most frequent confusions are listed instead of the matrix.
MOST_CLASSES = 32
_MOST_CONFUSIONS = 20


def measured(runs: Sequence[Run]) -> list[str]:
    """The names of all losses and metrics that the runs report."""
    return list(dict.fromkeys(key for run in runs for row in run.metrics for key in row.metrics))


def final(runs: Sequence[Run]) -> str:
    """The metrics of the saved model, one row for each run. The best of each column is marked."""
    names = measured(runs)
    best = {name: _best(name, [run.kept.get(name) for run in runs]) for name in names} if len(runs) > 1 else {}
    expected = ["expected"] if any(run.config.get("expect") for run in runs) else []
    head = ["run", "epoch", *names, "seconds", *expected]
    body = [
        [
            heading(run.name),
            _number(run.kept.epoch),
            *(_number(run.kept.get(name), marked=name in best and run.kept.get(name) == best[name]) for name in names),
            _number(run.metrics[-1].seconds),
            *(cell(_met(run)) for _ in expected),
        ]
        for run in runs
    ]
    return table(head, body)


def _met(run: Run) -> str:
    expect = run.config.get("expect")
    said = {True: "met", False: "not met", None: "not measured"}
    return f"{expect}: {said[is_met(expect, run.kept)]}" if expect else ""


def _best(name: str, values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    try:
        return (max if is_larger_better(name) else min)(finite, default=math.nan)
    except ValueError:  # a metric that this version does not know has no direction
        return math.nan


def differences(runs: Sequence[Run]) -> str:
    """The config keys whose values differ, one column for each run."""
    configs = [dict(flatten(run.config)) for run in runs]
    keys = list(dict.fromkeys(key for each in configs for key in each))
    differing = [key for key in keys if len({repr(each.get(key)) for each in configs}) > 1]
    if not differing:
        return "<p>The configs are the same.</p>"
    body = [[heading(key), *(cell(repr(each[key]) if key in each else "-") for each in configs)] for key in differing]
    return table(["key", *(run.name for run in runs)], body)


def confusion(run: Run) -> str:
    """The confusion matrix as a heat map; with many classes, the most frequent confusions."""
    matrix, names = run.confusion or [], run.classes
    if len(matrix) > MOST_CLASSES:
        pairs = [(n, i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) if n and i != j]
        if not pairs:
            return "<p>No row is misclassified.</p>"
        frequent = sorted(pairs, key=lambda pair: -pair[0])[:_MOST_CONFUSIONS]
        return table(
            ["true class", "predicted class", "rows"],
            [[heading(names[i]), cell(names[j]), _number(n)] for n, i, j in frequent],
        )
    head = "".join(f'<th scope="col"><span>{html.escape(name)}</span></th>' for name in names)
    body = "".join(f"<tr>{heading(names[i])}{_heat(row)}</tr>\n" for i, row in enumerate(matrix))
    return (
        f'<div class="wide"><table class="heat"><caption>Rows: true class. Columns: predicted class.</caption>\n'
        f"<tr><td></td>{head}</tr>\n{body}</table></div>"
    )


def _heat(row: Sequence[int]) -> str:
    total, none = sum(row) or 1, ' class="none"'
    return "".join(f'<td style="--share:{count / total:.3f}"{none * (not count)}>{count}</td>' for count in row)


def model(run: Run) -> str:
    """The layers with their output shapes and parameters; empty if the run has no model."""
    if run.model is None:
        return ""
    body = []
    for row in run.model.rows:
        params = ", ".join(f"{name} {list(shape)}" for name, shape in row.params.items())
        label = "&emsp;" * row.depth + html.escape(f"{row.name} {row.layer}".strip())
        body.append([f"<td>{label}</td>", cell(str(row.output_shape)), cell(params), _number(row.count)])
    body.append([*map(cell, ("total", "", "")), _number(run.model.count)])
    return table(["layer", "output shape", "parameters", "count"], body)


def _number(value: float | None, *, marked: bool = False) -> str:
    shown = "-" if value is None else format(value, ",d" if isinstance(value, int) else ".4g")
    return f"<td{NUMBER}>{f'<strong>{shown} ★</strong>' if marked else shown}</td>"
