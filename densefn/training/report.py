"""The page of a run: config, curves, final figures and model, in one file that needs no other."""

import html
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from densefn import checkpoint
from densefn.summary import Summary, summary
from densefn.training.config import Config, dump

# Legible on white and on black: the page follows the reader's light or dark scheme, the picture has no background.
_INK = "#808080"
_TRAIN, _VALIDATION = "#3b82c4", "#e07b39"
_METRICS = (_VALIDATION, "#3b9c6b", "#9b6bc4", "#c4a03b")
# More classes than this are no table to read; the file beside the page has them all.
_MOST_CLASSES = 32

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem;
       background: light-dark(#fff, #161616); color: light-dark(#222, #ddd); }}
h1 {{ margin-bottom: 0; }}
.scroll {{ overflow-x: auto; }}
svg {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; white-space: nowrap; }}
th, td {{ text-align: left; padding: .25rem 1.25rem .25rem 0; border-bottom: 1px solid light-dark(#ddd, #444); }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
pre {{ background: light-dark(#f4f4f4, #242424); padding: 1rem; overflow-x: auto; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{shows}</p>
<h2>Result</h2>
<div class="scroll">{figures}</div>
<h2>Curves</h2>
{curves}
{confusion}
<h2>Model</h2>
<div class="scroll">{model}</div>
<h2>Config</h2>
<pre>{config}</pre>
</body>
</html>
"""


def write(
    run_dir: Path,
    config: Config,
    input_shape: tuple[None, int],
    metrics: Sequence[dict[str, int | float]],
    *,
    kept: dict[str, int | float],
    confusion: Sequence[Sequence[int]] | None = None,
) -> None:
    """Writes `curves.png` and `report.html` into the folder of a run.

    Args:
      run_dir: the folder.
      config: of the run.
      input_shape: of the model.
      metrics: a row an epoch, at least one.
      kept: the row of the epoch whose model is saved.
      confusion: how many rows of each class are taken for each class.
    """
    figure = curves(metrics)
    checkpoint.write(run_dir / "curves.png", _drawn(figure, "png", facecolor="white"))
    page = _PAGE.format(
        title=html.escape(run_dir.resolve().name),
        shows=html.escape(config.shows),
        figures=_figures(config, kept),
        curves=_svg(figure),
        confusion=_confusion(confusion),
        model=_model(summary(config.model, input_shape)),
        config=html.escape(dump(config)),
    )
    checkpoint.write(run_dir / "report.html", page.encode())


def curves(metrics: Sequence[dict[str, int | float]]) -> Figure:
    """Draws the losses and the metrics against the epoch, side by side; an epoch without a value has no point."""
    names = dict.fromkeys(key for row in metrics for key in row if key.startswith("val_") and key != "val_loss")
    panels = ({"train_loss": _TRAIN, "val_loss": _VALIDATION}, dict(zip(names, itertools.cycle(_METRICS))))
    style: Any = {
        "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 11, "svg.hashsalt": "densefn",
        "text.color": _INK, "axes.edgecolor": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
        "axes.spines.top": False, "axes.spines.right": False, "axes.facecolor": "none",
    }  # fmt: skip
    with mpl.rc_context(style):
        figure = Figure(figsize=(10, 3.6), layout="constrained", facecolor="none")
        for axes, lines in zip(figure.subplots(1, 2), panels, strict=True):
            for key, color in lines.items():
                points = [(row["epoch"], row[key]) for row in metrics if key in row]
                if points:
                    axes.plot(*zip(*points, strict=True), color=color, label=key, marker="." * (len(points) < 2))
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.25)
            if axes.lines:
                axes.legend(frameon=False)
        figure.draw_without_rendering()
    return figure


def _drawn(figure: Figure, form: str, **options: Any) -> bytes:
    memory = io.BytesIO()
    figure.savefig(memory, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None, **options)
    return memory.getvalue()


def _svg(figure: Figure) -> str:
    drawn = _drawn(figure, "svg").decode()
    return drawn[drawn.index("<svg") :]


def _figures(config: Config, last: dict[str, int | float]) -> str:
    rows = [(name, f"{value:,}" if isinstance(value, int) else f"{value:.4g}") for name, value in last.items()]
    if config.expect:
        met = {True: "met", False: "not met", None: "not measured"}[config.meets_expectation(last)]
        rows.append((f"expected {config.expect}", met))
    return _table([(html.escape(name), value) for name, value in rows])


def _confusion(matrix: Sequence[Sequence[int]] | None) -> str:
    if matrix is None or len(matrix) > _MOST_CLASSES:
        return ""
    head = ("class", *(f"as {column}" for column in range(len(matrix))))
    rows = [head, *((str(number), *map(str, row)) for number, row in enumerate(matrix))]
    return f'<h2>Confusion matrix of the validation rows</h2>\n<div class="scroll">{_table(rows)}</div>'


def _model(model: Summary) -> str:
    rows = [("layer", "output shape", "parameters", "count")]
    for row in model.rows:
        indent = "&emsp;" * row.depth
        params = ", ".join(f"{name} {list(shape)}" for name, shape in row.params.items())
        label = indent + html.escape(f"{row.name} {row.layer}".strip())
        rows.append((label, html.escape(str(row.output_shape)), html.escape(params), f"{row.count:,}"))
    rows.append(("total", "", "", f"{model.count:,}"))
    return _table(rows)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = (
        "".join([*(f"<td>{cell}</td>" for cell in row[:-1]), f'<td class="number">{row[-1]}</td>']) for row in rows
    )
    return "<table>" + "".join(f"<tr>{line}</tr>\n" for line in lines) + "</table>"
