"""Draws the pictures of the pages into `docs/images`, as SVG that is legible on white and on dark.

    python docs/pictures.py

Every picture has its own background, and its colours follow the reader's light or dark setting.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

IMAGES = Path(__file__).parent / "images"

STYLE = """
.card { fill: #ffffff; stroke: #d0d7de }
text { fill: #1f2328; font: 14px sans-serif }
.small { font-size: 12px }
.code { font-family: monospace }
.mid { text-anchor: middle }
.end { text-anchor: end }
.box { fill: #f3f5f8; stroke: #59636e }
.x { fill: #cfe4ff; stroke: #0550ae }
.w { fill: #ffe2b8; stroke: #9a5b00 }
.y { fill: #cdeeda; stroke: #116d3a }
.g { fill: #f9d4e2; stroke: #a31a5a }
.axis { fill: none; stroke: #59636e }
.grid { fill: none; stroke: #d0d7de }
.line { fill: none; stroke-width: 2 }
.blue { stroke: #0969da }
.orange { stroke: #b35900; stroke-dasharray: 6 3 }
.green { stroke: #1a7f37; stroke-dasharray: 2 3 }
@media (prefers-color-scheme: dark) {
  .card { fill: #161b22; stroke: #3d444d }
  text { fill: #e6edf3 }
  .box { fill: #21262d; stroke: #9198a1 }
  .x { fill: #10325c; stroke: #6cb6ff }
  .w { fill: #54350a; stroke: #e0a458 }
  .y { fill: #0f3d24; stroke: #57c785 }
  .g { fill: #4d1430; stroke: #f58bb8 }
  .axis { stroke: #9198a1 }
  .grid { stroke: #30363d }
  .blue { stroke: #58a6ff }
  .orange { stroke: #f0a050 }
  .green { stroke: #4ac26b }
}
"""


def picture(title: str, width: int, height: int, parts: Iterable[str]) -> str:
    """An SVG of parts on a card, with a title for those who cannot see it."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, words: str, classes: str = "") -> str:
    """Words whose baseline begins at a point, or as the classes say."""
    return f'<text class="{classes}" x="{x:g}" y="{y:g}">{words}</text>'


def box(x: float, y: float, width: float, height: float, classes: str = "box") -> str:
    """A rectangle from its upper left corner."""
    return f'<rect class="{classes}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"/>'


def line(points: Sequence[tuple[float, float]], classes: str) -> str:
    """A line through points."""
    return f'<polyline class="{classes}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def arrow(x: float, end: float, y: float) -> str:
    """A horizontal arrow."""
    return line([(x, y), (end, y), (end - 8, y - 5), (end, y), (end - 8, y + 5)], "axis")


def matrix(x: float, y: float, rows: Sequence[Sequence[int]], marked: Callable[[int, int], str]) -> list[str]:
    """A table of numbers, each in a cell of the class that `marked(row, column)` gives."""
    cells = [(i, j, number) for i, row in enumerate(rows) for j, number in enumerate(row)]
    return [box(x + 44 * j, y + 34 * i, 44, 34, marked(i, j)) for i, j, _ in cells] + [
        text(x + 44 * j + 22, y + 34 * i + 22, str(number).replace("-", "\u2212"), "mid") for i, j, number in cells
    ]


def contraction() -> str:
    """The worked example: one row, one column, and the entry that they give."""
    left, middle, right, top, low = 40, 250, 500, 44, 196
    return picture(
        "z = x @ kernel + bias: row 0 of x times column 0 of the kernel plus bias 0 is entry 0, 0 of z",
        620,
        300,
        [
            text(middle, top - 14, "kernel [3, 2]"),
            *matrix(middle, top, [[1, 0], [2, -1], [0, 1]], lambda _, j: "box" if j else "w"),
            text(left, low - 14, "x [2, 3]"),
            *matrix(left, low, [[1, 2, -1], [0, 1, 3]], lambda i, _: "box" if i else "x"),
            text(middle, low - 14, "z [2, 2]"),
            *matrix(middle, low, [[6, -4], [3, 1]], lambda i, j: "box" if i or j else "y"),
            text(right - 50, low + 38, "relu", "mid"),
            arrow(middle + 100, right - 12, low + 46),
            text(right, low - 14, "y [2, 2]"),
            *matrix(right, low, [[6, 0], [3, 1]], lambda i, j: "box" if i or j else "y"),
            text(middle + 110, top + 20, "bias [2]"),
            *matrix(middle + 175, top, [[1, -1]], lambda _, j: "box" if j else "g"),
            text(left, 287, "z[0, 0] = 1\u00b71 + 2\u00b72 + (\u22121)\u00b70 + 1 = 6", "code"),
        ],
    )


def sheets(x: float, y: float, width: float, row_class: str) -> list[str]:
    """Four sheets of rows, one behind the other; a row of the first is marked."""
    behind = [box(x + 10 * k, y - 10 * k, width, 110) for k in (3, 2, 1, 0)]
    rows = [line([(x, y + 22 * i), (x + width, y + 22 * i)], "grid") for i in range(1, 5)]
    return [*behind, *rows, box(x, y + 44, width, 22, row_class)]


def axes() -> str:
    """An input of rank 3: each row along the last axis goes through the same kernel."""
    return picture(
        "x of shape 32, 10, 100 times kernel 100, 64 gives y of shape 32, 10, 64, row by row",
        700,
        250,
        [
            *sheets(40, 90, 180, "x"),
            text(130, 225, "x [32, 10, 100]", "mid"),
            text(130, 160 - 11, "x[n, p, :]", "mid small"),
            arrow(256, 322, 145),
            box(330, 70, 90, 130, "w"),
            text(375, 140, "kernel", "mid"),
            text(375, 225, "[100, 64], the same for every row", "mid small"),
            arrow(426, 492, 145),
            *sheets(500, 90, 110, "y"),
            text(555, 225, "y [32, 10, 64]", "mid"),
            text(555, 160 - 11, "y[n, p, :]", "mid small"),
        ],
    )


def product(x: float, title: str, operands: Sequence[tuple[str, str, float, float, str]]) -> list[str]:
    """`a @ b = c`, as rectangles: each has a class, a name, a width, a height and a shape."""
    parts, signs = [text(x, 34, title)], ["@", "=", ""]
    for (classes, name, width, height, shape), sign in zip(operands, signs, strict=True):
        parts += [
            box(x, 120 - height / 2, width, height, classes),
            text(x + width / 2, 124, name, "mid small"),
            text(x + width / 2, 190, shape, "mid small"),
            text(x + width + 14, 125, sign, "mid"),
        ]
        x += width + 28
    return parts


def gradients() -> str:
    """The three products of a training step; heights and widths stand for rows, in and units."""
    rows, inputs, units = 110, 84, 66
    x, x_t = ("x", "x", inputs, rows, "[rows, in]"), ("x", "x\u1d40", rows, inputs, "[in, rows]")
    w, w_t = ("w", "kernel", units, inputs, "[in, units]"), ("w", "kernel\u1d40", inputs, units, "[units, in]")
    g = ("g", "g", units, rows, "[rows, units]")
    dw, dx = ("w", "dL/dkernel", units, inputs, "[in, units]"), ("x", "dL/dx", inputs, rows, "[rows, in]")
    return picture(
        "forward: x @ kernel = z; backward: x transposed @ g = dL/dkernel, and g @ kernel transposed = dL/dx",
        1010,
        215,
        [
            *product(30, "forward", [x, w, ("y", "z", units, rows, "[rows, units]")]),
            *product(350, "backward, kernel", [x_t, g, dw]),
            *product(690, "backward, input", [g, w_t, dx]),
        ],
    )


def plot(
    x: float, y: float, size: tuple[float, float], ranges: tuple[float, float, float, float]
) -> Callable[[Iterable[tuple[float, float]], str], str]:
    """A function that draws a line of data in a frame, for the ranges `(x0, x1, y0, y1)`."""
    x0, x1, y0, y1 = ranges

    def drawn(points: Iterable[tuple[float, float]], classes: str) -> str:
        return line(
            [(x + size[0] * (u - x0) / (x1 - x0), y + size[1] * (y1 - v) / (y1 - y0)) for u, v in points], classes
        )

    return drawn


def sizes_over_depth(std: Callable[[int], float], layers: int = 30, width: int = 256) -> list[float]:
    """The root mean square after each of these relu layers, for kernels of a standard deviation."""
    draw = np.random.default_rng(0)
    y = draw.normal(size=(64, width))
    sizes = [1.0]
    for _ in range(layers):
        y = np.maximum(y @ draw.normal(scale=std(width), size=(width, width)), 0)
        sizes.append(float(np.sqrt(np.mean(y**2))))
    return sizes


def first_values() -> str:
    """The size of a signal over depth, and the densities of Glorot's two distributions."""
    depth, density = plot(70, 50, (330, 180), (0, 30, -6, 1)), plot(490, 50, (290, 180), (-2.5, 2.5, 0, 0.52))
    laws = {
        "he (s\u00b2 = 2/in)": ("blue", lambda n: math.sqrt(2 / n)),
        "glorot (s\u00b2 = 1/in here)": ("orange", lambda n: math.sqrt(1 / n)),
        "random_normal (s = 0.05)": ("green", lambda _: 0.05),
    }
    parts = [text(70, 32, "root mean square after n relu layers of width 256")]
    for power in range(-6, 2, 2):
        parts += [
            depth([(0, power), (30, power)], "grid"),
            text(62, 54 + 180 * (1 - power) / 7, f"1e{power}", "end small"),
        ]
    parts += [depth([(0, 1), (0, -6), (30, -6)], "axis")]
    parts += [text(70 + 11 * n, 248, str(n), "mid small") for n in (0, 10, 20, 30)]
    for i, (name, (colour, std)) in enumerate(laws.items()):
        powers = [(n, math.log10(size)) for n, size in enumerate(sizes_over_depth(std))]
        parts.append(depth([(n, power) for n, power in powers if power >= -6], f"line {colour}"))
        parts += [line([(80, 170 + 20 * i), (106, 170 + 20 * i)], f"line {colour}")]
        parts += [text(112, 174 + 20 * i, name, "small")]
    limit, cut, s = math.sqrt(3), 2 / 0.87962566103423978, 0.87962566103423978
    grid = np.linspace(-cut, cut, 81)
    bell = np.exp(-((grid * s) ** 2) / 2) * s / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))
    parts += [
        text(490, 32, "density of the initial values, in units of s"),
        density([(-2.5, 0), (2.5, 0)], "axis"),
        density([(-limit, 0), (-limit, 0.5 / limit), (limit, 0.5 / limit), (limit, 0)], "line blue"),
        density([(-cut, 0), *zip(grid.tolist(), bell.tolist(), strict=True), (cut, 0)], "line orange"),
        *[text(635 + 58 * n, 248, str(n).replace("-", "\u2212"), "mid small") for n in (-2, -1, 0, 1, 2)],
        text(635, 190, "uniform, to \u00b11.73 s", "mid small"),
        text(635, 76, "normal, cut at \u00b12.27 s", "mid small"),
    ]
    return picture("The size of a signal over depth, and the densities of initial values", 820, 265, parts)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1 / (1 + np.exp(-z))


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z >= 0, z, 0.2 * z),
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "gelu": lambda z: z * np.array([1 + math.erf(v / math.sqrt(2)) for v in z]) / 2,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softplus": lambda z: np.log1p(np.exp(z)),
    "silu": lambda z: z * sigmoid(z),
}


def activations() -> str:
    """Eight activations, each with its slope."""
    grid = np.linspace(-4, 4, 161)
    parts = [line([(20, 22), (46, 22)], "line blue"), text(52, 26, "f(z)", "small")]
    parts += [line([(100, 22), (126, 22)], "line orange"), text(132, 26, "its slope f'(z)", "small")]
    for place, (name, function) in enumerate(ACTIVATIONS.items()):
        x, y = 20 + 195 * (place % 4), 62 + 165 * (place // 4)
        drawn = plot(x, y, (175, 125), (-4, 4, -1.2, 2.2))
        values, slopes = function(grid), (function(grid + 1e-4) - function(grid - 1e-4)) / 2e-4
        parts += [text(x, y - 6, name), drawn([(-4, 0), (4, 0)], "axis"), drawn([(0, -1.2), (0, 2.2)], "axis")]
        parts += [drawn([(-4, 1), (4, 1)], "grid"), text(x + 84, y + 48, "1", "end small")]
        parts.append(drawn([(z, v) for z, v in zip(grid, values, strict=True) if v <= 2.2], "line blue"))
        parts.append(drawn(list(zip(grid, slopes, strict=True)), "line orange"))
    return picture("Eight activations and their slopes, from -4 to 4", 800, 370, parts)


PICTURES: dict[str, Callable[[], str]] = {
    "contraction": contraction,
    "axes": axes,
    "gradients": gradients,
    "first-values": first_values,
    "activations": activations,
}


def main() -> None:
    """Draws all pictures."""
    for name, draw in PICTURES.items():
        (IMAGES / f"{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
