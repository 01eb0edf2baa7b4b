"""The ratios of all tables as one picture: a panel a table, a line a piece of work, a dot a peer."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from tests.benchmarks.peers import PEERS, title
from tests.benchmarks.record import Row, Table

# The peers in their order, then what else a table compares.
_STYLES = (
    ("#d62728", "o"),
    ("#111111", "s"),
    ("#1f77b4", "D"),
    ("#17becf", "^"),
    ("#2ca02c", "v"),
    ("#9467bd", "P"),
    ("#ff7f0e", "*"),
    ("#8c564b", "X"),
    ("#e377c2", "<"),
    ("#bcbd22", ">"),
    ("#7f7f7f", "p"),
    ("#aec7e8", "h"),
)
_LINE, _PANEL = 0.3, 0.95  # inches


def save(tables: Sequence[Table], path: Path) -> None:
    """Draws the tables below each other, all on logarithmic axes.

    Args:
      tables: at least one.
      path: of the PNG.
    """
    counts = [len(_works(table)) for table in tables]
    heights = [_PANEL + _LINE * count for count in counts]
    figure = Figure(figsize=(10, sum(heights) + 0.7), dpi=120, layout="constrained")
    panels = figure.subplots(len(tables), squeeze=False, height_ratios=heights)[:, 0]
    names = _names(tables)
    for axes, table in zip(panels, tables, strict=True):
        _draw(axes, table, names)
    handles = {label: dot for axes in panels for dot, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    ordered = [label for label in map(title, names) if label in handles]
    figure.legend([handles[name] for name in ordered], ordered, loc="outside upper center", ncols=6, frameon=False)
    figure.savefig(path)


def _draw(axes: Axes, table: Table, names: Sequence[str]) -> None:
    works = _works(table)
    for index, name in enumerate(names):
        own = [row for row in table.rows if row.case.peer == name]
        if own:
            color, marker = _STYLES[index % len(_STYLES)]
            style = {"color": color, "marker": marker, "zorder": 2 + len(names) - index}
            y = [works.index(_work(row)) for row in own]
            axes.scatter([row.ratio for row in own], y, s=42, alpha=0.8, label=title(name), **style)
    axes.axvline(1, color="#999999", linewidth=1, zorder=0)
    _scale(axes, [row.ratio for row in table.rows])
    axes.set_yticks(range(len(works)), works)
    axes.set_ylim(len(works) - 0.5, -0.5)
    better = "more" if table.quantity == "rows/s" else "less"
    axes.set_title(f"{table.title}: ratio to {table.reference}, {better} is better", loc="left", fontsize=10)
    axes.grid(axis="both", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _scale(axes: Axes, ratios: Sequence[float]) -> None:
    """A logarithmic axis that shows 1 and something on both sides of it, however near to it all ratios are."""
    least, most = min(0.5, *ratios) / 1.15, max(2.0, *ratios) * 1.15
    axes.set_xscale("log")
    axes.set_xlim(least, most)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if most < 1000 * least else (1,), numticks=12))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def _work(row: Row) -> str:
    return f"{row.case.work}, {row.case.dtype}" if row.case.dtype else row.case.work


def _works(table: Table) -> list[str]:
    return list(dict.fromkeys(map(_work, table.rows)))


def _names(tables: Sequence[Table]) -> list[str]:
    """All peers in their own order, then whatever else the tables compare."""
    return list(dict.fromkeys([*PEERS, *(row.case.peer for table in tables for row in table.rows)]))
