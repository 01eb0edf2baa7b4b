"""The forms of an explanation, and its pictures, against the facts and shapes that they show."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import jax.numpy as jnp
import numpy as np
import pytest

from densefn import (
    Dense,
    Einsum,
    Function,
    MaxNorm,
    Sequential,
    explain,
    initializers,
)
from densefn._fans import fans_of
from densefn.explanation import density
from densefn.explanation.formats import FORMATS
from densefn.explanation.machines import MACHINES, Machine
from densefn.explanation.mathml import mathml
from tests.test_explanation import MODEL

# Everything that the formats have a form for.
FULL = Dense(
    8,
    "softmax",
    kernel_regularizer="l1l2",
    activity_regularizer="l2",
    kernel_constraint=MaxNorm(3),
    bias_constraint="non_neg",
)
NUMBER = r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"


class Page(HTMLParser):
    """The elements of a page, each closed; its words; and the marks in its pictures."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.marks = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open and self.open[-1:] != ["title"]:
            mark = self.open[-1:] == ["text"] and "tick" in self.tags[-1][1]["class"]
            (self.marks if mark else self.words).append(data)


def numbers(text):
    """The numbers in a text, as they are written."""
    return {each.replace(",", "") for each in re.findall(NUMBER, text)}


class TestFormats:
    @pytest.mark.parametrize(("layer", "shape"), [(FULL, (4, 3)), (MODEL, (None, 4)), (Einsum("bi,io->bo", 2), (3, 4))])
    def test_json_holds_all_facts_and_reads_back(self, layer, shape):
        found = explain(layer, shape)
        read = json.loads(FORMATS["json"](found), parse_constant=pytest.fail)
        assert read["count"] == found.count
        assert read["input_shape"] == list(shape)
        assert [part["equation"] for part in read["parts"]] == [part.equation for part in found.parts]

    def test_markdown_has_tables_that_are_rectangular(self):
        written = FORMATS["markdown"](explain(FULL, (4, 3)))
        tables = re.findall(r"(?:^\|.*\|$\n?)+", written, re.MULTILINE)
        assert len(tables) == 4
        for table in tables:
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
        assert written.count("```") % 2 == 0

    def test_markdown_shows_the_name_of_a_lambda(self):
        assert "<lambda>(kernel)" in FORMATS["markdown"](
            explain(Dense(4, kernel_regularizer=lambda w: w.sum()), (8, 4))
        )

    def test_html_is_whole_and_needs_nothing_else(self):
        def evil(z):
            return z

        evil.__name__ = "<script>&"
        written = FORMATS["html"](explain(Sequential(FULL, Function(evil), MODEL), (None, 3)))
        page = Page(written)
        for tag, attributes in page.tags:
            assert tag not in ("script", "link", "img", "iframe")
            assert not {"src", "href"} & attributes.keys()
        assert "&lt;script&gt;&amp;" in written
        assert "prefers-color-scheme: dark" in written
        used = set(re.findall(r"var\((--\w+)\)", written))
        light, _, dark = written.partition("prefers-color-scheme: dark")
        assert all(f"{name}: " in light and f"{name}: " in dark for name in used)

    @pytest.mark.parametrize(
        ("layer", "shape"),
        [(FULL, (4, 3)), (MODEL, (None, 4)), (Dense(5, "leaky_relu"), (2, 7, 3)), (Einsum("bi,io->bo", 2), (3, 4))],
        ids=["full", "model", "rank 3", "einsum"],
    )
    def test_text_and_page_say_the_same_numbers(self, layer, shape):
        found = explain(layer, shape, machine="2e12,50e9")
        page = Page(FORMATS["html"](found))
        said = " ".join(page.words)
        assert numbers(str(found)) <= numbers(" ".join([said, *page.marks]))
        assert numbers(said) <= numbers(str(found))  # beside the marks on the axes of its pictures
        math = [attributes for tag, attributes in page.tags if tag == "math"]
        lines = [line for part in found.parts for line in (part.equation, *part.gradients)]
        assert len(math) >= len(lines)
        for part in found.parts:
            assert all(remark in said for remark in part.remarks)

    def test_a_notebook_shows_the_same_in_a_part_of_its_page(self):
        found = explain(Dense(3, "relu"), (2, 5))
        shown = found._repr_html_()
        Page(shown)
        assert shown.startswith('<div class="densefn">')
        assert shown.partition("</style>")[2].split("</div>\n", 1)[0] in FORMATS["html"](found)
        # No rule reaches the elements of the page around.
        styles = re.sub(r"\{[^{}]*(\{[^{}]*\}[^{}]*)*\}", "{}", shown.partition("<style>")[2].partition("</style>")[0])
        for selector in re.findall(r"^([^@{}\n][^{}\n]*)\{", styles, re.MULTILINE):
            assert selector.startswith(".densefn")

    def test_a_notebook_shows_a_layer_with_the_names_of_sizes_that_the_input_decides(self):
        page = Page(MODEL._repr_html_())
        cells = [word for word in page.words if word.strip()]
        assert cells[2:8] == [
            "Sequential",
            "0 Dense(units=6, activation='gelu')",
            "bias [6], kernel [in, 6]",
            "1 Repeat: 3 times",
            "Residual: x +",
            "Dense(units=6, activation='tanh', dtype='mixed_bfloat16')",
        ]
        assert "kernel [i, 2]" in Dense(3)._repr_html_() + Einsum("bi,io->bo", 2)._repr_html_()

    @pytest.mark.parametrize(
        ("formula", "expected"),
        [
            ("y[N, 2] = x[N, 3] @ kernel[3, 2]", "yN×2=xN×3kernel3×2"),
            ("dL/dkernel[3, 2] = x^T[3, N] @ g[N, 2]", "∂L∂kernel3×2=x3×NTgN×2"),
            ("relu(z) = max(z, 0)", "relu(z)=max(z,0)"),
            ("f(z) = z where z > 0, 0.2 * z elsewhere", "f(z)={zwhere\u00a0z>00.2·zelsewhere"),
            ("z / (1 + exp(-z))", "z1+e−z"),
            ("2 * (a + b)^2", "2·(a+b)2"),
            ("a - (b - c)", "a−(b−c)"),
            ("y = einsum('...i,io->...o', x[N, 3], kernel[3, 2])", "y=∑ix…iN×3kernelio3×2"),
        ],
    )  # fmt: skip
    def test_a_formula_is_mathematics(self, formula, expected):
        assert "".join(ET.fromstring(mathml(formula)).itertext()) == expected

    def test_words_are_no_formula(self):
        assert mathml("a random matrix with orthonormal columns") is None
        assert mathml("1 on the diagonal") is None


def boxes(picture):
    """The classes and places of the boxes in a picture."""
    return [
        (each.get("class"), *(float(each.get(name)) for name in ("x", "y", "width", "height")))
        for each in ET.fromstring(picture).iter()
        if each.tag.endswith("rect")
    ]


class TestPictures:
    @pytest.mark.parametrize(
        ("rows", "inner", "units"), [(32, 100, 25600), (1, 1, 1), (10_000, 3, 2), (None, 784, 100)]
    )
    def test_the_picture_is_to_scale_and_inside_its_frame(self, rows, inner, units):
        picture = FORMATS["svg"](explain(Dense(units), (rows, inner)))
        width, height = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', picture).groups())
        found = {name: place for name, *place in boxes(picture)}
        assert width <= 350  # so that its labels of 13 are legible on a phone
        for x, y, w, h in found.values():
            assert x + w <= width
            assert y + h <= height
        kernel, result, given = found["kernel"], found["y"], found["x"]
        assert kernel[2] == result[2]
        assert kernel[3] == given[2]
        assert given[3] == result[3]
        if min(kernel[2:]) > 10:  # else the thin side is drawn thicker; numbers are written to a tenth
            assert kernel[3] / kernel[2] == pytest.approx(inner / units, rel=0.02)

    @pytest.mark.parametrize("shape", [(5,), (2, 5), (3, 2, 5), (None, 2, 5), (2, 2, 2, 5)])
    def test_the_picture_has_the_shapes_of_any_rank(self, shape):
        picture = FORMATS["svg"](explain(Dense(4), shape))
        words = " ".join(ET.fromstring(picture).itertext())
        lead = [*("N" if n is None else str(n) for n in shape[:-1])]
        for label in ("kernel [5, 4]", "bias [4]", f"x [{', '.join([*lead, '5'])}]", f"y [{', '.join([*lead, '4'])}]"):
            assert label in words
        sheets = 4 if None in shape else int(np.prod(shape[:-2]))
        assert [name for name, *_ in boxes(picture)].count("x") == sheets

    def test_the_axes_of_an_einsum_are_in_the_arrays_that_have_them(self):
        found = explain(Einsum("...i,ihd->...hd", (8, 64)), (None, 512))
        said = [line.strip() for line in str(found).splitlines() if "axis of" in line]
        assert said == ["a = N: axis of x and y", "i = 512: axis of x and kernel, summed",
                        "h = 8: axis of kernel and y", "d = 64: axis of kernel and y"]  # fmt: skip
        picture = ET.fromstring(FORMATS["svg"](found))
        words = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
        assert words == ["x", "kernel", "y", "a = N", "i = 512", "summed", "h = 8", "d = 64"]
        columns = {name: (x, x + width) for name, x, _, width, _ in boxes(FORMATS["svg"](found))}
        dots = [float(each.get("cx")) for each in picture.iter("{http://www.w3.org/2000/svg}circle")]
        at = [next(name for name, (left, right) in columns.items() if left < dot < right) for dot in dots]
        assert at == ["x", "y", "x", "kernel", "kernel", "y", "kernel", "y"]

    @pytest.mark.parametrize("layer", [Dense(25600, "leaky_relu"), Dense(2, jnp.tanh), MODEL], ids=repr)
    def test_no_words_leave_a_picture(self, layer):
        page = FORMATS["html"](explain(layer, (2, 1, 1, 1, 4)))
        for picture in re.findall(r"<svg.*?</svg>", page):
            width = float(re.search(r'viewBox="0 0 (\d+) ', picture)[1])
            for each in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text"):
                centred = "middle" in each.get("class")
                small = "tick" in each.get("class")
                # Letters of 13 pixels are 6.9 wide on average, as a browser draws them.
                reach = len(each.text) * (5.8 if small else 6.9) / (1 + centred)
                left = 0 if "end" in each.get("class").split() else reach
                assert float(each.get("x")) + left <= width, each.text

    def test_the_diagram_has_every_layer_inside_its_combinator(self):
        found = explain(MODEL, (None, 4))
        drawn = boxes(FORMATS["svg"](found))
        frames = [box for box in drawn if box[0] == "frame"]
        assert len(drawn) == len(found.model.rows)
        assert len(frames) == 3  # Sequential, Repeat, Residual
        _, left, top, width, height = max(frames, key=lambda box: box[4])
        for _, x, y, w, h in drawn:
            assert left <= x <= x + w <= left + width
            assert top <= y <= y + h <= top + height
        words = " ".join(ET.fromstring(FORMATS["svg"](found)).itertext())
        for row in found.model.rows:
            assert row.layer[:12] in words

    @pytest.mark.parametrize("name", ["glorot_uniform", "he_normal", "random_normal"])
    def test_a_density_has_the_deviation_that_is_said(self, name):
        fans = fans_of((300, 200))
        initializer = initializers.get(name)
        found = density.density(initializer, "kernel", fans)
        assert f"standard deviation {found.deviation:.4g}" in initializer.formula(fans)
        # The drawn curve is that of a distribution with this mean and deviation: integrated in float64.
        reach = 6 * found.sigma if found.low is None else found.high
        values = np.linspace(-reach, reach, 20001)
        weights = np.array([found.at(value) for value in values])
        assert np.sqrt(np.average(values**2, weights=weights)) == pytest.approx(found.deviation, rel=1e-3)
        assert f"{found.deviation:.4g}" in density.draw(found)

    def test_what_is_constant_or_a_function_has_no_density(self):
        for initializer in ("zeros", "identity", "orthogonal", initializers.Constant(2.0), np.ones):
            assert density.density(initializers.get(initializer), "kernel", fans_of((3, 3))) is None


class TestRoofline:
    def test_bounds_are_those_of_operations_and_bytes(self):
        machine = Machine("mine", 2e12, 5e10, 8e12)
        for dtype, peak in (("float32", 2e12), ("mixed_bfloat16", 8e12)):
            for rows, bound in ((1, "memory"), (4096, "compute")):
                found = explain(Dense(512, use_bias=False, dtype=dtype), (rows, 512), machine=machine)
                (roofline,) = found.rooflines
                seconds = (found.cost.forward_flops / peak, found.cost.forward_bytes / 5e10)
                assert roofline.bound == bound
                assert roofline.forward_seconds == pytest.approx(max(seconds))
                assert roofline.training_seconds == pytest.approx(3 * max(seconds))  # a dense layer's products alone
                assert roofline.ridge == pytest.approx(peak / 5e10)

    def test_a_machine_has_a_name_or_two_numbers(self):
        named = explain(Dense(3), (2, 5), machine="h100").rooflines
        assert [it.machine for it in named] == [MACHINES["h100"]]
        assert len(explain(Dense(3), (2, 5)).rooflines) == len(MACHINES)
        for wrong in ("h1000", "1e12", "0,1", "inf,1", "1,2,3"):
            with pytest.raises(ValueError, match="expected a machine: one of a100"):
                explain(Dense(3), (2, 5), machine=wrong)
