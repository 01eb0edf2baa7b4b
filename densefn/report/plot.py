"""The panels of a report, as PNG, or as SVG whose colors follow the page's light or dark scheme.

A panel is drawn in the colors of the light scheme. In an SVG each color is replaced by a CSS variable, which the page
sets for both schemes.
"""

import html
import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from densefn._page import COLORS, INK, LINE

# The epochs and the values of each run, by its number.
Lines = Mapping[int, tuple[Sequence[float], Sequence[float]]]
_DASHES = ("solid", (0, (4, 2)), (0, (1, 1.5)))
_STYLE: Any = {
    # Text stays text. The salt makes the ids in an SVG the same in each process.
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "svg.hashsalt": "densefn",
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.facecolor": "none", "axes.titlesize": 11,
    "axes.grid": True, "grid.color": LINE, "axes.axisbelow": True,
}  # fmt: skip


def color(number: int) -> str:
    """The color of a run, by its number from 0."""
    return COLORS[number % len(COLORS)]


def dashes(number: int) -> Any:
    """The line style of a run, by its number from 0. It changes when the colors repeat."""
    return _DASHES[number // len(COLORS) % len(_DASHES)]


@dataclass(frozen=True)
class Panel:
    """A picture with a title.

    Attributes:
      title: the text above the picture.
      alt: a description for screen readers.
      draw: draws the picture into axes.
    """

    title: str
    alt: str
    draw: Callable[[Axes], None]


def curves(title: str, lines: Lines, *, limits: tuple[float, float] | None = None) -> Panel:
    """Values against the epoch, with one line for each run.

    Args:
      title: the title of the panel.
      lines: the epochs and the values of each run, by its number.
      limits: the range of a logarithmic axis of values; None for a linear axis.
    """

    def draw(axes: Axes) -> None:
        for number, (epochs, values) in lines.items():
            # A line needs two finite values. A single one is drawn as a marker.
            few = "o" if np.isfinite(values).sum() < 2 else ""
            axes.plot(epochs, values, color=color(number), linestyle=dashes(number), marker=few, linewidth=1.6)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if limits is not None:
            axes.set(yscale="log", ylim=limits)
        _say_if_empty(axes, any(np.isfinite(values).any() for _, values in lines.values()))

    return Panel(title, f"{title} against the epoch; {_counted(lines)}", draw)


def steps(title: str, lines: Mapping[int, Mapping[str, Sequence[float]]], xlabel: str) -> Panel:
    """Histograms, with one outline for each run.

    Args:
      title: the title of the panel.
      lines: the `edges` and `counts` of each run, by its number.
      xlabel: the label of the horizontal axis.
    """

    def draw(axes: Axes) -> None:
        for number, each in lines.items():
            axes.stairs(
                each["counts"],
                each["edges"],
                color=color(number),
                linestyle=dashes(number),
                linewidth=1.4,
            )
            if len(lines) == 1:
                axes.stairs(each["counts"], each["edges"], color=color(number), fill=True, alpha=0.35)
        axes.xaxis.set_major_locator(MaxNLocator(5))  # with more, labels such as -0.025 would overlap
        axes.set_xlabel(xlabel, parse_math=False)
        axes.set_ylabel("count")
        _say_if_empty(axes, bool(lines))

    return Panel(title, f"Histogram of {title}; {_counted(lines)}", draw)


def scatter(title: str, points: tuple[ArrayLike, ArrayLike], number: int, name: str) -> Panel:
    """Predicted against actual values, with the diagonal on which they are equal."""

    def draw(axes: Axes) -> None:
        actual, predicted = np.asarray(points[0], float), np.asarray(points[1], float)
        middle = float(np.mean(actual))
        axes.plot(
            actual, predicted, color=color(number), marker="o", markersize=3, alpha=0.7, linestyle="", markeredgewidth=0
        )
        _say_if_empty(axes, bool(np.isfinite(predicted).any()))
        axes.axline((middle, middle), slope=1, color=INK, linewidth=0.8)
        axes.set_xlabel(f"actual {name}", parse_math=False)
        axes.set_ylabel("predicted")

    return Panel(title, f"Predicted against actual {name}, {np.size(points[0])} validation rows of {title}", draw)


def _counted(lines: Mapping[int, Any]) -> str:
    return "1 run" if len(lines) == 1 else f"{len(lines)} runs"


def _say_if_empty(axes: Axes, drawn: bool) -> None:
    if not drawn:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", va="center")


def _figure(panels: Sequence[Panel]) -> Figure:
    """A figure with the panels side by side; margins are in inches."""
    width, height = 4.4, 3.1
    left, right, bottom, top = 0.78, 0.12, 0.52, 0.32
    drawn = Figure(figsize=(width * len(panels), height), facecolor="none")
    shares = np.array([width * len(panels), height] * 2)
    for number, panel in enumerate(panels):
        box = (number * width + left, bottom, width - left - right, height - bottom - top)
        axes = drawn.add_axes(tuple(box / shares))
        panel.draw(axes)
        axes.set_title(panel.title, parse_math=False)
    return drawn


def png(panels: Sequence[Panel]) -> bytes:
    """The panels side by side as a PNG on white."""
    return _saved(panels, "png", facecolor="white")


def svg(panel: Panel) -> str:
    """One panel as an SVG element that takes its colors from the page."""
    drawn = _saved([panel], "svg").decode()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*">', "<g>", drawn)
    for variable, light in {"ink": INK, "line": LINE, **{f"c{i}": c for i, c in enumerate(COLORS)}}.items():
        drawn = drawn.replace(light, f"var(--{variable})")
    label = html.escape(panel.alt)
    box = re.search(r'viewBox="[^"]*"', drawn)
    opening = f'<svg role="img" aria-label="{label}" {box[0] if box else ""}>'
    return opening + drawn[drawn.index(">") + 1 :]


def _saved(panels: Sequence[Panel], form: str, **options: Any) -> bytes:
    memory = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else None
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")  # a name in a script that the font lacks
        _figure(panels).savefig(memory, format=form, dpi=150, metadata=metadata, **options)
    return memory.getvalue()
