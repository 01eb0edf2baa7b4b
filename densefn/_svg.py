"""The SVG elements of drawings. An element's class gives its color, which `STYLE` sets."""

import html
from collections.abc import Iterable

from densefn import _page

STYLE = """\
.densefn .drawing { width: auto; max-width: 100%; margin: 1rem 0; font: 13px system-ui, sans-serif; color: var(--ink);
  fill: currentColor; }
.densefn .drawing .tick { font-size: 11px; opacity: .75; }
.densefn .drawing :is(line, path, .frame) { stroke: currentColor; fill: none; }
.densefn .drawing .faint { stroke: var(--line); }
.densefn .drawing .head { fill: currentColor; stroke: none; }
.densefn .drawing :is(rect, path) { fill-opacity: .3; stroke-width: 1.2; }
.densefn .drawing .x { fill: var(--c0); stroke: var(--c0); }
.densefn .drawing .kernel { fill: var(--c1); stroke: var(--c1); }
.densefn .drawing .bias { fill: var(--c2); stroke: var(--c2); }
.densefn .drawing .y { fill: var(--c3); stroke: var(--c3); }
.densefn .drawing text { stroke: none !important; }
.densefn .drawing .middle { text-anchor: middle; }
.densefn .drawing .end { text-anchor: end; }
.densefn .drawing .head { fill-opacity: 1; }
.densefn .drawing .curve { fill: none; stroke-width: 1.6; }
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
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{html.escape(label)}" width="{width:.0f}">{"".join(elements)}</svg>'
    )


def alone(drawn: str) -> str:
    """A picture as a standalone file, with its styles for light and dark."""
    opening, rest = drawn.split(">", 1)
    height = opening.split('viewBox="0 0 ')[1].split('"')[0].split()[1]
    opening = opening.replace('class="drawing"', f'class="densefn drawing" height="{height}"')
    style = _page.SCHEME + STYLE.replace(".densefn .drawing", ".drawing")
    return f"{opening}>\n<style>\n{style}</style>\n{rest}\n"


def room(*lines: str) -> float:
    """The width in pixels of the longest line, at 7.6 for each letter of font size 13."""
    return 7.6 * max(map(len, lines))


def box(x: float, y: float, width: float, height: float, name: str) -> str:
    """A rectangle with a class."""
    return f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5"/>'


def text(x: float, y: float, words: str, name: str = "") -> str:
    """Text that begins at a point. With the class `middle` or `end`, its middle or its end is at the point."""
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
