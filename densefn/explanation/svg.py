"""The SVG elements of an explanation's pictures. Classes give their colors, which the page's styles define."""

import html
from collections.abc import Iterable

from densefn import _page

STYLE = """\
.densefn svg { width: auto; max-width: 100%; margin: 1rem 0; font: 13px system-ui, sans-serif; color: var(--ink);
  fill: currentColor; }
.densefn svg .tick { font-size: 11px; opacity: .75; } .densefn svg :is(line, path, .frame) { stroke: currentColor;
  fill: none; } .densefn svg .faint { stroke: var(--line); } .densefn svg .head { fill: currentColor; stroke: none; }
.densefn svg :is(rect, path) { fill-opacity: .3; stroke-width: 1.2; }
.densefn svg .x { fill: var(--c0); stroke: var(--c0); } .densefn svg .kernel { fill: var(--c1); stroke: var(--c1); }
.densefn svg .bias { fill: var(--c2); stroke: var(--c2); } .densefn svg .y { fill: var(--c3); stroke: var(--c3); }
.densefn svg text { stroke: none !important; } .densefn svg .middle { text-anchor: middle; }
.densefn svg .end { text-anchor: end; }
.densefn svg .head { fill-opacity: 1; }
.densefn svg .curve { fill: none; stroke-width: 1.6; }
"""


def picture(width: float, height: float, label: str, elements: Iterable[str]) -> str:
    """A picture of this size in pixels; it shrinks to fit a narrower page.

    Args:
      width: in pixels.
      height: in pixels.
      label: a description for screen readers.
      elements: its SVG elements.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{html.escape(label)}" width="{width:.0f}">{"".join(elements)}</svg>'
    )


def alone(drawn: str) -> str:
    """A picture as a standalone file, with its styles for light and dark."""
    opening, rest = drawn.split(">", 1)
    height = opening.split('viewBox="0 0 ')[1].split('"')[0].split()[1]
    size = f' class="densefn" height="{height}"'
    return f"{opening}{size}>\n<style>\n{_page.SCHEME}{STYLE.replace('.densefn svg', '.densefn')}</style>\n{rest}\n"


def room(*lines: str) -> float:
    """The width of the longest of some lines in pixels, at 7.6 for each letter of size 13."""
    return 7.6 * max(map(len, lines))


def box(x: float, y: float, width: float, height: float, name: str) -> str:
    """A rectangle of a class."""
    return f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5"/>'


def text(x: float, y: float, words: str, name: str = "") -> str:
    """Text that begins at a point; with the class `middle` or `end`, its middle or end is there."""
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}">{html.escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, name: str = "") -> str:
    """A straight line."""
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def path(points: Iterable[tuple[float, float]], name: str) -> str:
    """A line through points."""
    return f'<path class="{name}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>'


def arrow(x: float, y1: float, y2: float) -> str:
    """A vertical arrow, down or up."""
    back = 6 if y2 > y1 else -6
    head = f'<path class="head" d="M{x:.1f} {y2:.1f} l-3.5 {-back} h7 z"/>'
    return line(x, y1, x, y2 - back) + head
