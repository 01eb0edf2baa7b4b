"""What a run leaves to be looked at, against NumPy, `jax.grad` and scikit-learn, and the page that shows it."""

import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors.numpy import load_file

from densefn import Dense, Frozen, Remat, Repeat, Residual, Sequential, report
from densefn.cli import main
from densefn.data import Rows
from densefn.report import plot
from densefn.training import config, diagnostics, loop
from densefn.training.step import make_state
from tests.training.runs_made import seal

CONFIGS = Path(__file__).parents[2] / "configs"


def train(name, folder, *overrides):
    settings = [word for each in overrides for word in ("--set", each)]
    assert main(["train", str(CONFIGS / f"{name}.toml"), "--run-dir", str(folder), *settings]) == 0
    return folder


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return train("digits", tmp_path_factory.mktemp("runs") / "classes", "train.epochs=2")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return train("diabetes", tmp_path_factory.mktemp("runs") / "numbers", "train.epochs=3")


def read(folder, name):
    return json.loads((folder / name).read_text())


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def shown(*folders):
    return report.page(report.read_all(folders))


class TestOutputs:
    def test_by_path_are_those_of_the_layers_one_after_the_other(self):
        last = Residual(Sequential(Dense(3), "relu"))
        model = Sequential(Dense(3, "tanh"), Repeat(Residual(Dense(3, use_bias=False)), times=2), last)
        params = model.init(jax.random.key(0), (None, 2))
        x = jax.random.normal(jax.random.key(1), (4, 2))
        got = diagnostics.outputs(model, params, x)
        # In float64; a few roundings of float32.
        p = jax.tree.map(lambda w: np.asarray(w, np.float64), params)
        first = np.tanh(x @ p["0"]["kernel"] + np.tile(p["0"]["bias"], (4, 1)))
        second = first + first @ p["1"]["kernel"][0]
        third = second + second @ p["1"]["kernel"][1]
        dense = third @ p["2"]["0"]["kernel"] + np.tile(p["2"]["0"]["bias"], (4, 1))
        expected = {
            "0": first,
            "1": np.stack([second - first, third - second]),
            "2/0": dense,
            "2/1": np.maximum(dense, 0),
        }
        assert list(got) == list(expected)
        chex.assert_trees_all_close(dict(got), expected, atol=1e-6)

    def test_of_layers_in_other_combinators_are_theirs(self):
        plain = Sequential(Dense(3, "tanh"), Residual(Dense(3)))
        model = Sequential(Remat(Frozen(Dense(3, "tanh"))), Remat(Residual(Dense(3))))
        params, x = model.init(jax.random.key(0), (None, 3)), jnp.ones((4, 3))
        chex.assert_trees_all_close(
            diagnostics.outputs(model, params, x), diagnostics.outputs(plain, params, x), rtol=1e-6
        )

    def test_of_a_layer_alone_have_no_path(self):
        model = Dense(3)
        params = model.init(jax.random.key(0), (None, 2))
        x = jnp.ones((4, 2))
        assert list(diagnostics.outputs(model, params, x)) == [""]
        assert list(diagnostics.arrays(model, params, x)["outputs"]) == ["model"]


class TestHistogram:
    def test_counts_as_numpy_does(self):
        values = np.random.default_rng(0).normal(size=1000)
        counts, edges = np.histogram(values, 20)  # Rice's rule: twice the cube root of 1000
        assert diagnostics.histogram(values) == {"edges": edges.tolist(), "counts": counts.tolist()}

    @pytest.mark.parametrize("values", [[], [math.nan], [math.inf, -math.inf]])
    def test_of_nothing_finite_is_none(self, values):
        assert diagnostics.histogram(values) is None

    @pytest.mark.parametrize(
        "values",
        [
            [1e26] * 5,
            [1e26, np.nextafter(1e26, 2e26)],
            [-1.7e308, 1.7e308, 3.0],
            [np.finfo(float).max],
            [5e-324, 0.0, 1e-323],
            [1.0, 1 + 2**-52, 1 + 2**-51] * 9,
        ],
    )
    def test_of_any_finite_range_counts_every_value(self, values):
        made = diagnostics.histogram(values)
        assert made is not None
        assert sum(made["counts"]) == len(values)
        assert sorted(set(made["edges"])) == made["edges"]
        assert np.isfinite(made["edges"]).all()

    def test_of_one_value_and_of_bfloat16(self):
        assert sum(diagnostics.histogram(jnp.full(7, 2, jnp.bfloat16))["counts"]) == 7


class TestRun:
    def test_gradient_norms_are_those_of_the_loss_with_penalties_on_the_first_batch(self):
        plan = loop.prepare(config.load(CONFIGS / "diabetes.toml", ["train.epochs=1"]))
        [(state, row)] = loop.train(plan)
        size = plan.config.data.batch_size
        x, y = (np.asarray(column[:size]) for column in plan.dataset.train)

        def loss(params):
            value, penalty = plan.model.forward(params, x)
            return jnp.mean((value - y) ** 2) + penalty

        gradient = jax.grad(loss)(state.params)
        expected = {
            f"{layer}/{name}": np.linalg.norm(g) for layer, each in gradient.items() for name, g in each.items()
        }
        assert row["gradient_norms"] == pytest.approx(expected, rel=1e-4)  # compiled with the rest, and by itself
        assert plan.model.forward(state.params, x)[1] > 0

    @pytest.mark.parametrize("size", [1e20, 1e-20, 1.0, 0.0])
    def test_gradient_norms_are_finite_wherever_float32_holds_them(self, size):
        x = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
        model, state = (
            Dense(1, use_bias=False),
            make_state(Dense(1, use_bias=False), optax.sgd(0.1), jax.random.key(0), 2),
        )
        norms = diagnostics.make_gradient_norms(model, lambda outputs, _: jnp.sum(outputs) * size)
        np.testing.assert_allclose(norms(state, Rows(x, x))["kernel"], 5.0 * size, rtol=1e-6)

    def test_gradient_norms_are_not_scaled_by_the_loss_scale(self):
        plain, scaled = (
            next(loop.train(loop.prepare(config.load(CONFIGS / "diabetes.toml", [*more, "train.epochs=1"]))))[1]
            for more in ([], ["train.loss_scale=1024"])
        )
        assert scaled["gradient_norms"] == pytest.approx(plain["gradient_norms"], rel=1e-3)

    def test_histograms_count_all_weights_and_outputs(self, classes):
        found = read(classes, "histograms.json")
        arrays = load_file(classes / "model.safetensors")
        for path, each in found["weights"].items():
            assert sum(each["counts"]) == arrays[path].size
            assert (each["edges"][0], each["edges"][-1]) == (arrays[path].min(), arrays[path].max())
        held_out = sum(map(sum, read(classes, "confusion_matrix.json")))
        assert {path: sum(each["counts"]) / held_out for path, each in found["outputs"].items()} == {
            "0": 128,
            "1": 64,
            "2": 10,
        }

    def test_the_result_is_the_row_of_the_saved_model(self, classes):
        assert read(classes, "result.json") == rows(classes)[-1]

    def test_predictions_are_in_the_units_of_the_target(self, numbers):
        told = read(numbers, "predictions.json")
        targets, predictions = np.array(told["targets"]), np.array(told["predictions"])
        assert targets.shape == predictions.shape == (88, 1)
        # The progress of diabetes is a whole number from 25 to 346.
        np.testing.assert_allclose(targets, np.round(targets), atol=1e-3)
        assert targets.min() >= 25 - 1e-3
        assert targets.max() <= 346 + 1e-3
        r2 = 1 - np.sum((targets - predictions) ** 2) / np.sum((targets - targets.mean()) ** 2)
        assert r2 == pytest.approx(rows(numbers)[-1]["val_r2"], abs=1e-5)


class Page(HTMLParser):
    """The elements of a page, each closed."""

    VOID = ("meta", "line", "path", "use", "rect", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def headings(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


class TestPage:
    def test_of_one_run_of_classes(self, classes):
        page = shown(classes)
        assert headings(page) == [
            "Result",
            "Curves",
            "Confusion matrix of the validation rows",
            "Gradient norms",
            "Weights",
            "Layer outputs on validation rows",
            "Model",
            "Config",
        ]
        assert page == (classes / "report.html").read_text()

    def test_of_several_has_what_differs_and_the_best_of_each_column(self, classes, numbers, tmp_path):
        other = shutil.copytree(classes, tmp_path / "other")
        (other / "config.toml").write_text((other / "config.toml").read_text().replace("units = 64", "units = 63"))
        better = {**rows(other)[-1], "epoch": 1, "val_loss": 0.001, "val_accuracy": 0.5}
        (other / "metrics.jsonl").write_text(json.dumps(better) + "\n")
        (other / "result.json").write_text(json.dumps(better))
        page = shown(classes, numbers, seal(other))
        assert "Residuals of the validation rows" in headings(page)
        for cell in ('<th scope="row">model.layers.1.units</th><td>64</td><td>1</td><td>63</td>', "0.001 ★"):
            assert cell in page
        assert f"{rows(classes)[-1]['val_accuracy']:.4g} ★" in page
        assert "0.5 ★" not in page
        assert "model.layers.0.units</th><td>128</td><td>32</td><td>128</td>" in page
        assert "train.seed" not in page.partition("<h2>Curves")[0]

    def test_of_runs_with_the_same_config_says_so(self, classes, tmp_path):
        assert "The configs are the same." in shown(classes, shutil.copytree(classes, tmp_path / "again"))

    def test_is_whole_and_needs_no_other_file(self, classes, numbers):
        page = Page(shown(classes, numbers))
        for tag, attributes in page.tags:
            assert tag not in ("script", "link", "img", "iframe")
            assert not {"src", "href"} & attributes.keys()
            assert attributes.get("xlink:href", "#").startswith("#")
        pictures = [attributes for tag, attributes in page.tags if tag == "svg" and "role" in attributes]
        assert all(attributes["aria-label"] for attributes in pictures)
        assert len(pictures) == 4 + 2 + 6 + 6 + 3 + 2  # and a diagram of each model

    @pytest.mark.usefixtures("drawn")
    def test_follows_the_scheme_of_its_reader(self, classes, numbers):
        page = shown(classes, numbers)
        styles, _, body = page.partition("</style>")
        assert "prefers-color-scheme: dark" in styles
        # Pictures use the page's colors only, and each variable has a value in both schemes.
        assert not re.search(r"(?:stroke|fill): ?#", body)
        used = set(re.findall(r"var\((--c?\w+)\)", body))
        light, _, dark = styles.partition("prefers-color-scheme: dark")
        assert {"--ink", "--line", "--c0", "--c1"} <= used
        assert all(f"{name}: #" in light and f"{name}: #" in dark for name in used)

    @pytest.mark.usefixtures("drawn")
    def test_ids_in_its_pictures_are_not_the_same(self, classes, numbers):
        page = shown(classes, numbers)
        ids = [attributes["id"] for _, attributes in Page(page).tags if "id" in attributes]
        assert all(f"#{each}" in page for each in set(ids))

    def test_text_of_the_config_is_text(self, classes, tmp_path):
        run = shutil.copytree(classes, tmp_path / "<b>bold")
        text = (run / "config.toml").read_text()
        (run / "config.toml").write_text(re.sub("shows = .*", 'shows = "<script>alert(1)</script>"', text))
        page = shown(seal(run), classes)
        assert "<script>" not in page
        assert "<b>" not in page
        assert "&lt;b&gt;bold" in page

    def test_more_classes_than_can_be_read_are_a_list_of_the_most_frequent_confusions(self, classes, tmp_path):
        run = shutil.copytree(classes, tmp_path / "run")
        prepared = json.loads((run / "preparation.json").read_text())
        prepared["target"]["names"] = [f"class{number}" for number in range(40)]
        (run / "preparation.json").write_text(json.dumps(prepared))
        matrix = np.eye(40, dtype=int) * 5
        (run / "confusion_matrix.json").write_text(json.dumps(matrix.tolist()))
        assert "No row is misclassified." in shown(seal(run))
        matrix[3, 17] = 9
        (run / "confusion_matrix.json").write_text(json.dumps(matrix.tolist()))
        assert '<th scope="row">class3</th><td>class17</td><td class="number">9</td>' in shown(seal(run))

    def test_of_an_interrupted_run_has_what_there_is(self, classes, tmp_path):
        run = tmp_path / "run"
        run.mkdir()
        for name in ("config.toml", "preparation.json"):
            shutil.copy(classes / name, run)
        (run / "metrics.jsonl").write_text(json.dumps(rows(classes)[0]) + '\n{"epoch": 2, "st')
        assert headings(shown(seal(run, over=False))) == ["Result", "Curves", "Gradient norms", "Config"]

    def test_what_was_made_of_the_rows_is_listed(self, numbers, tmp_path):
        table = "".join(f"{n},one,{['Rome', 'Oslo'][n % 2]},{n / 4}\n" for n in range(20))
        (tmp_path / "<a>.csv").write_text(f"x,<same>,city,y\n{table},,,\n")
        text = (CONFIGS / "diabetes.toml").read_text()
        section = re.sub(r"\[data\][^\[]*", f'[data]\npath = "{tmp_path / "<a>.csv"}"\ntarget = "y"\n\n', text)
        (tmp_path / "a.toml").write_text(section)
        assert main(["train", str(tmp_path / "a.toml"), "--run-dir", str(tmp_path / "run")]) == 0
        page = shown(tmp_path / "run")
        assert headings(page)[:2] == ["Result", "Data preparation"]
        assert "<li>column &#x27;&lt;same&gt;&#x27;: the same in all 16 training rows; left out</li>" in page
        assert "&lt;a&gt;.csv: left out at the end, as they are empty: line 22</li>" in page
        assert shown(tmp_path / "run", numbers).count("<li>column ") == 1
        (tmp_path / "run" / "notes.json").unlink()  # as one that an earlier densefn made
        assert "Data preparation" not in shown(seal(tmp_path / "run"))

    @pytest.mark.usefixtures("drawn")
    def test_a_loss_that_was_not_finite_is_shown(self, numbers, tmp_path):
        run = shutil.copytree(numbers, tmp_path / "run")
        row = {**rows(run)[0], "train_loss": None, "val_loss": None, "gradient_norms": {"0/kernel": None}}
        (run / "metrics.jsonl").write_text(json.dumps(row) + "\n")
        (run / "result.json").write_text(json.dumps(row))
        page = shown(seal(run), numbers)
        assert "no finite value" in shown(run)
        assert '<td class="number">nan</td>' in page


@pytest.mark.usefixtures("drawn")
def test_names_are_drawn_as_they_are():
    """Two dollar signs begin no formula, and a script that the font lacks is no warning."""
    for name in (r"price $ and \frac $", "$^$", "価格"):
        panel = plot.scatter("run", ([1.0, 2.0], [1.0, 2.0]), 0, name)
        assert f"actual {name}" in plot.svg(panel)
        assert plot.png([plot.steps(name, {}, name), panel])


@pytest.mark.usefixtures("drawn")
def test_a_name_that_is_no_text_is_shown_with_the_sign_for_it(numbers, tmp_path):
    run = shutil.copytree(numbers, tmp_path / "run\udcff")
    report.write_report(run)
    assert "<title>run\ufffd</title>" in (run / "report.html").read_text(encoding="utf-8")


OTHER_FORMS = [
    ("predictions.json", "[1]"),
    ("predictions.json", '{"names": ["y"], "targets": [[1, 2]], "predictions": [[1, 2]]}'),
    ("predictions.json", '{"names": ["y"], "targets": [[1]], "predictions": [[1], [2]]}'),
    ("predictions.json", '{"names": [["y"]], "targets": [[1]], "predictions": [[1]]}'),
    ("predictions.json", '{"names": ["y"], "targets": [["1"]], "predictions": [["2"]]}'),
    ("confusion_matrix.json", "[[1]]"),  # of a regression
    ("confusion_matrix.json", '{"a": [1]}'),
    ("histograms.json", '{"weights": {"0/bias": {"edges": ["0", "1"], "counts": ["1"]}}}'),
    ("histograms.json", '{"weights": {"0/bias": {"edges": [1, 0], "counts": [1]}}}'),
    ("histograms.json", '{"weights": {"0/bias": {"edges": [0], "counts": []}}}'),
    ("histograms.json", '{"weights": {"0/bias": {"edges": [0, NaN], "counts": [1]}}}'),
    ("result.json", "[1]"),
    ("result.json", '{"epoch": "1"}'),
]


class TestCommand:
    def test_writes_the_page_to_the_output(self, classes, numbers, tmp_path, capsys):
        output = tmp_path / "page.html"
        assert main(["report", str(classes), str(numbers), "-o", str(output)]) == 0
        assert capsys.readouterr().out == f"open {output}\n"
        assert output.read_text() == shown(classes, numbers)

    def test_writes_one_run_into_its_folder_and_several_into_the_current_one(
        self, classes, numbers, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        run = shutil.copytree(classes, tmp_path / "run")
        (run / "report.html").unlink()
        assert main(["report", "run"]) == 0
        assert (run / "report.html").exists()
        assert main(["report", "run", str(numbers)]) == 0
        assert (tmp_path / "report.html").read_text() == shown(run, numbers)

    def test_runs_of_the_same_name_have_their_whole_paths(self, classes, tmp_path):
        again = shutil.copytree(classes, tmp_path / classes.name)
        assert f'<th scope="row">{again.resolve()}</th>' in shown(classes, again)

    @pytest.mark.parametrize(
        "case",
        [
            ("manifest.json", None, "No such file; without it densefn cannot tell whether the files belong together"),
            ("metrics.jsonl", "", "expected the files of a run that densefn wrote: metrics.jsonl has no epoch yet"),
            (
                "metrics.jsonl",
                '{"epoch": 1, "step": 1, "train_loss": 1, "seconds": 1}\n',
                "expected the files of a run that densefn wrote: metrics.jsonl lacks the row of epoch",
            ),
            (
                "metrics.jsonl",
                '{"epoch": 1, "step": 1, "train_loss": 1, "seconds": 1, "gradient_norms": 3}\n',
                "expected the files of a run that densefn wrote: ",
            ),
            ("config.toml", "expect = 3", "expected the files of a run that densefn wrote: config.toml: expect: "),
            ("config.toml", "a = " + "[" * 3000, "expected the files of a run that densefn wrote: "),
            ("histograms.json", "[" * 90000, "expected the files of a run that densefn wrote: "),
            ("histograms.json", '{"weights": [1]}', "expected the files of a run that densefn wrote: "),
            ("metrics.jsonl", "7\n", "expected the files of a run that densefn wrote: "),
            ("config.toml", "a = ", "expected the files of a run that densefn wrote: "),
            ("model.safetensors", "no", "expected the files of a run that densefn wrote: "),
            ("preparation.json", "{}", "expected the files of a run that densefn wrote: "),
            *((name, content, "expected the files of a run that densefn wrote: ") for name, content in OTHER_FORMS),
        ],
    )
    def test_a_folder_that_is_no_run_is_named(self, case, numbers, tmp_path, capsys):
        name, content, message = case
        run = shutil.copytree(numbers, tmp_path / "run")
        (run / name).unlink(missing_ok=True)
        if content is not None:
            (run / name).write_text(content)
            seal(run)
        assert main(["report", str(run), "-o", str(tmp_path / "page.html")]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith(f"{run}: {message}" if content is not None else f"{run / name}: {message}")
        assert captured.err.count("\n") == 1
        assert not (tmp_path / "page.html").exists()

    @pytest.mark.parametrize(
        "content",
        [
            "[[1, 2], [3]]",
            "[1]",
            "7",
            "{}",
            '"a"',
            "[[1]]",
            json.dumps([["1"] * 10] * 10),
            json.dumps([[-1] * 10] * 10),
        ],
    )
    def test_a_confusion_of_another_form_is_named(self, content, classes, tmp_path, capsys):
        run = shutil.copytree(classes, tmp_path / "run")
        (run / "confusion_matrix.json").write_text(content)
        assert main(["report", str(seal(run)), "-o", str(tmp_path / "page.html")]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"{run}: expected the files of a run that densefn wrote: ")
        assert err.count("\n") == 1

    def test_the_same_run_twice(self, numbers, capsys):
        assert main(["report", str(numbers), str(numbers)]) == 2
        assert capsys.readouterr().err == f"expected each run once, got {numbers} {numbers}\n"

    def test_a_page_that_cannot_be_written(self, numbers, tmp_path, capsys):
        output = tmp_path / "none" / "page.html"
        assert main(["report", str(numbers), "-o", str(output)]) == 2
        assert capsys.readouterr().err == f"--output {output}: No such file or directory\n"
