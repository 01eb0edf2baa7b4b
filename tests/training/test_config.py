"""Config files: what is read, and how mistakes are reported."""

import os
import re
import tomllib
from pathlib import Path

import optax
import pytest

from densefn import Dense, MaxNorm, Repeat, Residual, Sequential
from densefn._values import dotted
from densefn.data import Bundled
from densefn.training import config
from densefn.training.config import Config, ConfigError, Train
from densefn.training.optax_calls import OPTIMIZERS, Call

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))

GOOD = """\
expect = "val_accuracy >= 0.9"

[data]
name = "digits"
batch_size = 16

[[model.layers]]
units = 12
activation = "relu"

[[model.layers]]
units = 10

[optimizer]
name = "adam"
learning_rate = 1e-3

[train]
epochs = 2
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "some.toml"
        path.write_text(text)
        return path

    return write


def test_a_file_decodes_to_the_values_of_the_python_interface(write):
    read = config.load(write(GOOD))
    assert read.model == Sequential(Dense(12, "relu"), Dense(10))
    assert read.data == Bundled("digits", batch_size=16)
    assert read.train == Train(2)
    assert read.optimizer.call.name == "adam"
    assert dict(read.optimizer.call.arguments)["b1"] == 0.9  # optax's default, resolved


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_that_is_written_reads_as_the_same(path, write):
    read = config.load(path)
    assert config.load(write(config.dump(read))) == read
    assert read.shows
    assert read.expect


def test_all_mistakes_are_reported_with_line_path_and_nearest_name(write):
    text = GOOD.replace("batch_size = 16", "batch_siz = 16").replace('"relu"', '"rely"').replace('"adam"', '"adan_"')
    text = text.replace("epochs = 2", 'epochs = "2"').replace("units = 10", "units = 0").replace('"digits"', '"digit"')
    path = write(text)
    with pytest.raises(ConfigError) as error:
        config.load(path)
    assert [line.split(" ")[0:2] for line in str(error.value).splitlines()] == [
        [f"{path}:4:", "data.name:"],
        [f"{path}:5:", "data.batch_siz:"],
        [f"{path}:9:", "model.layers[0].activation:"],
        [f"{path}:12:", "model.layers[1].units:"],
        [f"{path}:15:", "optimizer.name:"],
        [f"{path}:19:", "train.epochs:"],
    ]
    for nearest in ("'digits'", "'batch_size'", "'relu'", "'adan'"):
        assert f"Did you mean {nearest}" in str(error.value)
    assert "expected a whole number of at least 1, got '2'" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[train]\nepochs = 2\n", "", "some.toml:1: missing key 'train'"),
        ('name = "digits"\n', "", "some.toml:3: data: missing key 'name'"),
        ("learning_rate = 1e-3\n", "", "some.toml:14: optimizer: missing key 'learning_rate'"),
        ("1e-3", '"fast"', "some.toml:16: optimizer.learning_rate: expected a finite number above 0, got .fast."),
        ("1e-3", "1e-3\nb3 = 1", "some.toml:17: optimizer.b3: unknown argument 'b3'"),
        ("1e-3", '1e-3\nnesterov = "yes"', "some.toml:17: optimizer.nesterov: expected true or false, got 'yes'"),
        ('"adam"', '"optimistic_adam"', "some.toml:15: optimizer.name: optimistic_adam is deprecated; use optim"),
        ("1e-3", "1e-3\nmu_dtype = 16", "some.toml:17: optimizer.mu_dtype: expected a string, got 16"),
        ("[train]", "[train", "some.toml:18: expected TOML"),
        ("[train]", "[train]\nepochs = 1", "some.toml:20: expected TOML"),
        ("[data]", "data = 3\n[other]", "some.toml:3: data: expected a table with a name or a path, got 3"),
        ('"val_accuracy >= 0.9"', '"good"', "some.toml:1: expect: expected a comparison such as"),
        ("batch_size = 16", "validation_fraction = 1.0", "some.toml:5: data.validation_fraction: expected a finite"),
        (
            "1e-3",
            '{ name = "cosine", init_value = 1, decay_steps = 5 }',
            "some.toml:16: optimizer.learning_rate.name: unknown schedule 'cosine'",
        ),
        (
            "1e-3",
            '{ name = "cosine_decay_schedule", init_value = 1, decay_steps = -5 }',
            "some.toml:16: optimizer.learning_rate.decay_steps: expected a whole number of at least 1",
        ),
        ('"val_accuracy >= 0.9"', '"val_r2 >= --"', "some.toml:1: expect: expected a comparison such as"),
        ("expect", 'loss = "hubber"\nexpect', "some.toml:1: loss: unknown loss 'hubber'.*Did you mean 'Huber'"),
        ("[train]", "[loss]\nname = 'huber'\ndelat = 1\n[train]", "some.toml:20: loss.delat: unknown key 'delat'"),
        ("epochs = 2", "epochs = 2\nkeep = 'all'", "some.toml:20: train.keep: expected one of last, best, got 'all'"),
        ("epochs = 2", "epochs = 2\nbest_metric = 'val_loss'", 'some.toml:18: train: expected keep = "best" with best'),
        ("epochs = 2", "epochs = 2\nema = 1", "some.toml:20: train.ema: expected a finite number above 0 and below 1"),
        ("epochs = 2", "epochs = 2\nevaluate_every = 0", "some.toml:20: train.evaluate_every: expected a whole"),
        ("epochs = 2", "epochs = 2\nmetrics = ['acc']", r"some.toml:20: train.metrics\[0\]: unknown metric 'acc'"),
        (
            "epochs = 2",
            "epochs = 2\nearly_stopping = { patienc = 3 }",
            "some.toml:20: train.early_stopping.patienc: unknown key 'patienc'.*Did you mean 'patience'",
        ),
        ("1e-3", "1e-3\nclip_nrm = 1", "some.toml:17: optimizer.clip_nrm: .*Did you mean 'clip_norm'"),
        (
            "units = 12",
            "units = 12\nkernel_regularizer = { name = 'L2', l3 = 1 }",
            "some.toml:9: .*l3: unknown key 'l3'",
        ),
    ],
)
def test_each_mistake_has_its_place(write, old, new, message):
    assert old in GOOD
    with pytest.raises(ConfigError, match=message):
        config.load(write(GOOD.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("key", "most"),
    [
        *(("train.epochs", 2**31 - 1), ("train.seed", 2**32 - 1), ("train.evaluate_every", 2**31 - 1)),
        *(("data.batch_size", 2**31 - 1), ("data.seed", 2**32 - 1), ("optimizer.accumulate", 2**31 - 1)),
        ("model.layers.0.units", 2**31 - 1),
    ],
)
def test_counts_and_seeds_have_a_maximum(key, most, write):
    path = write(GOOD)
    config.load(path, [f"{key}={most}"])
    for more in (most + 1, 10**400):
        with pytest.raises(ConfigError, match=f"expected a whole number of at least . and at most {most}, got"):
            config.load(path, [f"{key}={more}"])


def test_the_line_inside_a_statement_of_several_lines(write):
    layers = "layers = [\n  { units = 12 },\n  { units = 10, activatio = 'relu' },\n]\n"
    text = re.sub(r"\[\[model(.|\n)*(?=\[optimizer)", f"[model]\n{layers}\n", GOOD)
    with pytest.raises(ConfigError, match=r"some.toml:10: model.layers\[1\].activatio"):
        config.load(write(text))


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a.b = 1\na.c = 2\n", ("a", "c"), 2),
        ("a = { b = 1,  c = 2 }\n", ("a", "c"), 1),
        ('x = """\na = 1\n"""\na = 2\n', ("a",), 4),
        ("[[a]]\nb = 1\n[[a]]\nb = 2\n", ("a", 1, "b"), 4),
        ("[a]\nb = 1\n[c]\nb = 2\n", ("c", "d"), 3),
    ],
)
def test_lines_of_paths(text, path, line):
    assert config.line_of(text, path) == line


def test_a_thousand_mistakes_are_found_in_one_reading(write, monkeypatch):
    text = GOOD.replace("[optimizer]", "[[model.layers]]\nunits = 0\n\n" * 1000 + "[optimizer]")
    parsed, loads = [], tomllib.loads
    monkeypatch.setattr(tomllib, "loads", lambda text: parsed.append(len(text)) or loads(text))
    with pytest.raises(ConfigError) as error:
        config.load(write(text))
    lines = str(error.value).splitlines()
    first = text[: text.index("units = 0")].count("\n") + 1
    assert all(f"some.toml:{first + 3 * i}: model.layers[{i + 2}].units: " in lines[i] for i in range(20))
    assert lines[20:] == [f"{lines[0].split(':')[0]}: and 980 more"]
    assert sum(parsed) < 2 * len(text)


def test_every_path_of_a_text_has_its_line():
    text = """# a = 1
"q.r".c = "# [t]" # x
d = 1979-05-27 07:32:00
e = [1.5, [2, { x = 3, y.z = 4 }], # c
  '''
  [no]
  ''', {},

  5]
g = "a\\"b"
[h.i]
j = true
[[k]]
[[k.m]]
[[k.m]]
n = \"\"\"
o = 1\"\"\"\"\"
[k.'p']
[[ k ]]
[k . "m 1"]
"""
    lines = {
        1: [""],
        2: ["q.r", "q.r.c"],
        3: ["d"],
        5: ["e[2]"],
        7: ["e[3]"],
        9: ["e[4]"],
        10: ["g"],
        11: ["h", "h.i"],
        4: ["e", "e[0]", "e[1]", "e[1][0]", "e[1][1]", "e[1][1].x", "e[1][1].y", "e[1][1].y.z"],
        12: ["h.i.j"],
        13: ["k", "k[0]"],
        14: ["k[0].m", "k[0].m[0]"],
        15: ["k[0].m[1]"],
        16: ["k[0].m[1].n"],
        18: ["k[0].p"],
        19: ["k[1]"],
        20: ["k[1].m 1"],
    }

    def paths(table, path=()):
        yield path
        items = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
        for key, inner in items:
            yield from paths(inner, (*path, key))

    found = {dotted(path): config.line_of(text, path) for path in paths(tomllib.loads(text))}
    assert found == {path: line for line, several in lines.items() for path in several}


class TestOverrides:
    @pytest.mark.parametrize(
        ("written", "get", "expected"),
        [
            ("optimizer.learning_rate=3e-4", lambda c: dict(c.optimizer.call.arguments)["learning_rate"], 3e-4),
            ("optimizer.name=sgd", lambda c: c.optimizer.call.name, "sgd"),
            ('data.name="iris"', lambda c: c.data.name, "iris"),
            ("optimizer.learning_rate=.002", lambda c: dict(c.optimizer.call.arguments)["learning_rate"], 0.002),
            ("shows=my file.csv", lambda c: c.shows, "my file.csv"),
            ("shows=2024-01-01 b.csv", lambda c: c.shows, "2024-01-01 b.csv"),
            ("model.layers[0].units=20", lambda c: c.model.layers[0].units, 20),
            ("train.seed = 7", lambda c: c.train.seed, 7),
            ("model.layers.0.units=20", lambda c: c.model.layers[0].units, 20),
            ("model.layers.0.use_bias=false", lambda c: c.model.layers[0].use_bias, False),
            (
                "model.layers.1.kernel_constraint={name='MaxNorm'}",
                lambda c: c.model.layers[1].kernel_constraint,
                MaxNorm(),
            ),
        ],
    )
    def test_changes_one_key(self, write, written, get, expected):
        path = write(GOOD)
        assert get(config.load(path, [written])) == expected
        assert get(config.load(path)) != expected

    def test_makes_a_section_that_is_not_there(self, write):
        path = write(GOOD.replace("[train]\nepochs = 2\n", ""))
        assert config.load(path, ["train.epochs=3"]).train == Train(3)

    @pytest.mark.parametrize(
        ("written", "message"),
        [
            ("train.epoch=3", "^--set train.epoch=3: train.epoch: unknown key 'epoch'.*Did you mean 'epochs'"),
            ("train.epochs=many", "^--set train.epochs=many: train.epochs: expected a whole number"),
            ("train.epochs", "^--set train.epochs: expected KEY=VALUE"),
            ("=3", "^--set =3: expected KEY=VALUE"),
            ("train.epochs=[1", r"^--set train.epochs=\[1: expected a TOML value, got '\[1'"),
            ("train.epochs=1\nx=2", "expected a TOML value"),
            ("model.layers.7.units=3", r"^--set model.layers.7.units=3: .*there is no 'model.layers\[7\].units'"),
            ("train.epochs=" + "9" * 5000, "expected a TOML value, got .*Exceeds the limit"),
            ("shows='a", "expected a TOML value, got .*put a string in quotes"),
            ("model.layers[7].units=3", r"there is no 'model.layers\[7\].units'"),
            ("model.layers[0].unit=3", r"layers\[0\].unit: unknown key 'unit'.*Did you mean 'units'"),
            ("train.epochs.a=3", "^--set train.epochs.a=3: expected a key of the config"),
        ],
    )
    def test_mistakes_name_the_override(self, write, written, message):
        with pytest.raises(ConfigError, match=message):
            config.load(write(GOOD), [written])


class TestFiles:
    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(ConfigError, match=r"none.toml: expected a config file to read: No such file"):
            config.load(tmp_path / "none.toml")
        with pytest.raises(ConfigError, match="expected a config file to read: Is a directory"):
            config.load(tmp_path)

    def test_a_file_in_another_encoding(self, tmp_path):
        path = tmp_path / "latin.toml"
        path.write_bytes('shows = "für"'.encode("latin-1"))
        with pytest.raises(ConfigError, match="latin.toml: expected UTF-8 text"):
            config.load(path)

    def test_a_byte_order_mark_is_no_text(self, tmp_path):
        path = tmp_path / "some.toml"
        path.write_text(GOOD, encoding="utf-8-sig")
        assert config.load(path).train == Train(2)
        path.write_text(GOOD, encoding="utf-16")
        with pytest.raises(ConfigError, match="some.toml: expected UTF-8 text, got UTF-16"):
            config.load(path)

    def test_lines_that_end_as_on_windows(self, tmp_path):
        path = tmp_path / "some.toml"
        path.write_bytes(GOOD.replace("epochs = 2", "epochs = 0").replace("\n", "\r\n").encode())
        with pytest.raises(ConfigError, match="some.toml:19: train.epochs: expected a whole number"):
            config.load(path)

    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ConfigError, match="pipe: expected a config file to read, got a pipe or a device"):
            config.load(tmp_path / "pipe")

    @pytest.mark.parametrize(
        ("text", "message"),
        [("x = " + "[" * 20000, "nested too deep"), ("x = " + "9" * 5000, "Exceeds the limit")],
    )
    def test_values_that_the_parser_cannot_hold(self, write, text, message):
        with pytest.raises(ConfigError, match=f"expected TOML: .*{message}"):
            config.load(write(text))

    def test_an_empty_file_lacks_the_sections(self, write):
        with pytest.raises(ConfigError) as error:
            config.load(write(""))
        assert [line.split("missing key ")[1] for line in str(error.value).splitlines()] == [
            "'data'",
            "'model'",
            "'optimizer'",
            "'train'",
        ]


class TestOptimizer:
    @pytest.mark.parametrize("name", sorted(OPTIMIZERS))
    def test_every_optimizer_of_optax_is_written_and_read(self, name, write):
        rate = "max_learning_rate" if name == "polyak_sgd" else "learning_rate"
        read = config.load(write(GOOD.replace('"adam"', f'"{name}"').replace("learning_rate", rate)))
        assert isinstance(read.optimizer.make(), optax.GradientTransformation)
        assert config.load(write(config.dump(read))) == read

    def test_the_well_known_ones_are_there(self):
        assert {"adam", "adamw", "sgd", "lion", "rmsprop", "adagrad", "lamb", "lbfgs"} <= OPTIMIZERS.keys()


def test_expectations_compare_the_metrics_of_the_last_epoch():
    base = Config(Bundled("digits"), Dense(10), Call("sgd", (("learning_rate", 0.1),)), Train(1))
    assert base.meets_expectation({"val_accuracy": 0.5}) is None
    for expect, met in {"val_accuracy >= 0.5": True, "val_accuracy>=0.51": False, "val_loss <= 1e-1": None}.items():
        value = Config(base.data, base.model, base.optimizer, base.train, expect=expect)
        assert value.meets_expectation({"val_accuracy": 0.5}) is met


def test_a_model_may_be_any_layer(write):
    text = re.sub(r"\[\[model(.|\n)*(?=\[optimizer)", "[model]\nlayer = 'Residual'\nbody = { units = 10 }\n", GOOD)
    assert config.load(write(text)).model == Residual(Dense(10))
    text = text.replace("'Residual'", "'Repeat'").replace("body =", "times = 2\nbody =")
    assert config.load(write(text)).model == Repeat(Dense(10), 2)
