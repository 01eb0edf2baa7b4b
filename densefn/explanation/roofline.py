"""The picture of machines' rooflines, with a layer's place on them."""

import math
from collections.abc import Sequence

from densefn import _svg as svg
from densefn.explanation.machines import Roofline

_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 330.0, 12.0, 170.0
_COLORS = ("x", "kernel", "bias", "y")


def draw(rooflines: Sequence[Roofline], intensity: float) -> str:
    """Draws FLOP/s against FLOPs per byte, both logarithmic, with the layer's intensity as a vertical line."""
    peaks = [math.log10(it.ridge * it.machine.bandwidth) for it in rooflines]
    # Decimal logarithms: the axes span whole powers of ten around all machines and the layer.
    low, high = -1.0, max(3.0, math.ceil(math.log10(max(intensity, *(it.ridge for it in rooflines)))) + 1.0)
    top = math.ceil(max(peaks)) + 0.0
    floor = math.floor(min(math.log10(it.machine.bandwidth) for it in rooflines)) + low

    def at(x: float, y: float) -> tuple[float, float]:
        """The point for the decimal logarithms of FLOPs per byte and of FLOP/s."""
        across, up = (x - low) / (high - low), (y - floor) / (top - floor)
        return _LEFT + across * (_RIGHT - _LEFT), _BOTTOM - up * (_BOTTOM - _TOP)

    elements = []
    for power in range(int(low), int(high) + 1):
        x, _ = at(power, floor)
        elements += [svg.line(x, _TOP, x, _BOTTOM, "faint"), svg.text(x, _BOTTOM + 14, f"1e{power}", "tick middle")]
    for power in range(int(floor), int(top) + 1):
        _, y = at(low, power)
        elements += [svg.line(_LEFT, y, _RIGHT, y, "faint"), svg.text(4, y + 4, f"1e{power}", "tick")]
    elements.append(svg.text((_LEFT + _RIGHT) / 2, _BOTTOM + 30, "FLOP/s against FLOPs per byte", "tick middle"))
    mark = math.log10(max(intensity, 10.0**low))
    elements.append(svg.line(at(mark, 0)[0], _TOP, at(mark, 0)[0], _BOTTOM))
    for number, (it, peak) in enumerate(zip(rooflines, peaks, strict=True)):
        color, ridge, band = _COLORS[number % len(_COLORS)], math.log10(it.ridge), math.log10(it.machine.bandwidth)
        corners = [at(low, band + low), at(ridge, peak), at(high, peak)]
        elements.append(svg.path(corners, f"{color} curve"))
        reached = at(mark, min(band + mark, peak))
        elements.append(f'<circle class="{color}" cx="{reached[0]:.1f}" cy="{reached[1]:.1f}" r="4"/>')
        elements.append(svg.text(_LEFT, _BOTTOM + 50 + 18 * number, f"{it.machine.name}: {it.bound}-bound", color))
    label = f"Rooflines; the layer has {intensity:.1f} FLOPs per byte"
    return svg.picture(340, _BOTTOM + 40 + 18 * len(rooflines), label, elements)
