"""The picture of an einsum: each axis is a line through the arrays that have it."""

from densefn import _svg as svg
from densefn.explanation.facts import Contraction

_TOP, _STEP, _APART = 34.0, 24.0, 80.0


def draw(contraction: Contraction) -> str:
    """Draws each axis as a line with a dot in every array that has it."""
    bottom = _TOP + _STEP * len(contraction.axes)
    first = 36 + svg.room(*(axis.label for axis in contraction.axes))
    columns = {"x": first, "kernel": first + _APART, "y": first + 2 * _APART}
    elements = []
    for name, x in columns.items():
        elements.append(svg.box(x - 24, _TOP - 10, 48, bottom - _TOP, name))
        elements.append(svg.text(x, 16, name, f"{name} middle"))
    for number, axis in enumerate(contraction.axes):
        y = _TOP + _STEP * number
        elements.append(svg.text(4, y + 5, axis.label))
        places = [columns[name] for name in axis.arrays]
        elements.append(svg.line(min(places), y, max(places), y))
        elements += [f'<circle class="head" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x in places]
        if axis.summed:
            elements.append(svg.text(columns["y"] + 36, y + 5, "summed", "tick"))
    return svg.picture(columns["y"] + 90, bottom, "The axes of x, kernel and y", elements)
