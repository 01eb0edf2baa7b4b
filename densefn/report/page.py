"""The report page, a single HTML file that shows one run or compares several."""

import html
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from densefn import _diagram, _disk, _page, _svg
from densefn.report import plot, tables
from densefn.report.plot import Panel
from densefn.report.run import Row, Run, read_all
from densefn.training.diagnostics import histogram
from densefn.training.folder import CURVES, REPORT

# The most panels that a section shows.
MOST_PANELS = 24

_STYLE = """\
@media (max-width: 40rem) { .densefn th[scope=row] { overflow-wrap: anywhere; } }
.panels { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.key { list-style: none; padding: .4rem 0; margin: .5rem 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem;
  position: sticky; top: 0; background: var(--paper); border-bottom: 1px solid var(--line); font-size: .9rem; }
.key svg { display: inline-block; width: 2rem; height: .6rem; margin-right: .4rem; }
.densefn .heat { font-size: .8rem; } .heat caption { text-align: left; padding-bottom: .4rem; }
.densefn .heat :is(td, th) { padding: .25rem .45rem; text-align: right; border: 0; font-variant-numeric: tabular-nums; }
.densefn .heat td[style] { min-width: 1.6rem; text-align: center;
  background: color-mix(in srgb, var(--c0) calc(var(--share) * var(--heat)), var(--paper)); }
.densefn .heat th { max-width: 9rem; overflow: hidden; text-overflow: ellipsis; }
.densefn .heat th[scope=col] { vertical-align: bottom; text-align: center; }
.heat .none { opacity: .6; }
summary { cursor: pointer; }
"""


def write_report(folder: Path) -> None:
    """Writes `report.html` and `curves.png` into the folder of a run."""
    runs = read_all([folder])
    _disk.replace(folder / CURVES, plot.png(curves(runs)))
    _disk.replace(folder / REPORT, page(runs).encode())


def page(runs: Sequence[Run]) -> str:
    """The report of one run, or of several side by side."""
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs compared"
    body = [f"<h2>{html.escape(heading)}</h2>\n{content}" for heading, content in _sections(runs) if content]
    shows = f"<p>{html.escape(runs[0].config.get('shows', ''))}</p>" if len(runs) == 1 else _key(runs)
    content = "\n".join([f"<h1>{html.escape(title)}</h1>", shows, *body])
    return _page.page(title, content, width="72rem", style=_svg.STYLE + _STYLE)


def _sections(runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    yield "Result", tables.final(runs)
    if len(runs) > 1:
        yield "Differences between the configs", tables.differences(runs)
    yield "Data preparation", _each([run for run in runs if run.notes], runs, _notes)
    yield "Curves", _panels(curves(runs))
    confused = [run for run in runs if run.confusion]
    yield "Confusion matrix of the validation rows", _each(confused, runs, tables.confusion)
    yield "Residuals of the validation rows", _panels(list(_residuals(runs)))
    yield "Gradient norms", _panels(_gradients(runs))
    yield "Weights", _panels(_histograms(runs, "weights", "weight"))
    yield "Layer outputs on validation rows", _panels(_histograms(runs, "outputs", "output"))
    yield "Model", _each([run for run in runs if run.model], runs, _model)
    yield "Config", _each(runs, runs, lambda run: f"<pre>{html.escape(run.text)}</pre>")


def _each(chosen: Sequence[Run], runs: Sequence[Run], draw: Callable[[Run], str]) -> str:
    """Draws each chosen run. If the page compares several runs, each drawing is folded."""
    if len(runs) == 1:
        return "".join(map(draw, chosen))
    return "\n".join(f"<details><summary>{html.escape(run.name)}</summary>{draw(run)}</details>" for run in chosen)


def _notes(run: Run) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(note)}</li>' for note in run.notes)}</ul>"


def _model(run: Run) -> str:
    return _diagram.draw(run.model) + tables.model(run) if run.model else ""


def _key(runs: Sequence[Run]) -> str:
    """The legend: the color and the dashes of each run."""
    patterns = ("", "4 2", "1 1.5")
    items = []
    for number, run in enumerate(runs):
        pattern = patterns[number // len(_page.COLORS) % len(patterns)]
        line = f'<line x1="0" y1="3" x2="20" y2="3" stroke="var(--c{number % len(_page.COLORS)})" stroke-width="2.4"'
        dashes = f' stroke-dasharray="{pattern}"' * bool(pattern)
        items.append(
            f'<li><svg viewBox="0 0 20 6" aria-hidden="true">{line}{dashes}/></svg>{html.escape(run.name)}</li>'
        )
    return f'<ul class="key">{"".join(items)}</ul>'


def _panels(panels: Sequence[Panel]) -> str:
    if not panels:
        return ""
    drawn = "\n".join(f"<figure>{plot.svg(panel)}</figure>" for panel in panels[:MOST_PANELS])
    more = f"<p>{len(panels) - MOST_PANELS} more panels are not shown.</p>" * (len(panels) > MOST_PANELS)
    return f'<div class="panels">\n{drawn}\n</div>{more}'


def curves(runs: Sequence[Run]) -> list[Panel]:
    """One panel for each loss and metric."""
    return [plot.curves(name, _against_epoch(runs, _value_of(name))) for name in tables.measured(runs)]


def _gradients(runs: Sequence[Run]) -> list[Panel]:
    """One panel for each parameter. All share one axis, so that layers can be compared."""
    paths = dict.fromkeys(path for run in runs for row in run.metrics for path in row.gradient_norms or ())
    lines = {path: _against_epoch(runs, _norm_of(path)) for path in paths}
    norms = [value for each in lines.values() for _, values in each.values() for value in values]
    positive = [value for value in norms if math.isfinite(value) and value > 0]
    limits = (min(positive) / 1.5, max(positive) * 1.5) if positive else None
    return [plot.curves(path, each, limits=limits) for path, each in lines.items()]


def _norm_of(path: str) -> Callable[[Row], float | None]:
    return lambda row: (row.gradient_norms or {}).get(path)


def _value_of(name: str) -> Callable[[Row], float | None]:
    return lambda row: row.metrics.get(name)


def _against_epoch(runs: Sequence[Run], value_of: Callable[[Row], float | None]) -> plot.Lines:
    lines = {}
    for number, run in enumerate(runs):
        points = [(row.epoch, value) for row in run.metrics if (value := value_of(row)) is not None]
        if points:
            epochs, values = zip(*points, strict=True)
            lines[number] = (epochs, values)
    return lines


def _histograms(runs: Sequence[Run], kind: str, what: str) -> list[Panel]:
    paths = dict.fromkeys(path for run in runs for path in run.histograms.get(kind, {}))
    panels = []
    for path in paths:
        found = {number: run.histograms.get(kind, {}).get(path) for number, run in enumerate(runs)}
        panels.append(plot.steps(path, {number: each for number, each in found.items() if each}, what))
    return panels


def _residuals(runs: Sequence[Run]) -> Iterator[Panel]:
    """For each target: a scatter of predicted against actual values for each run, then one histogram of differences."""
    told = {number: run.predictions for number, run in enumerate(runs) if run.predictions}
    for name in dict.fromkeys(name for each in told.values() for name in each.names):
        columns = {number: each.column(name) for number, each in told.items() if name in each.names}
        for number, (actual, predicted) in columns.items():
            yield plot.scatter(runs[number].name, (actual, predicted), number, name)
        differences = {number: histogram(predicted - actual) for number, (actual, predicted) in columns.items()}
        found = {number: each for number, each in differences.items() if each}
        yield plot.steps(f"{name}: predicted - actual", found, name)
