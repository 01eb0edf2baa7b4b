"""Passes over rows in parts, compared with loops by hand and scikit-learn; streamed passes, with those in memory."""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn import metrics

from densefn import L2, Dense, MaxNorm, Sequential, data
from densefn.cli import main
from densefn.data import ArrayFile, Rows, Stream, TableFile
from densefn.training import epochs, loop, runs
from densefn.training.config import Config, EarlyStopping, Train
from densefn.training.epochs import make_epoch, make_evaluate, outputs
from densefn.training.losses import CrossEntropy
from densefn.training.metrics import accuracy
from densefn.training.optimizer import as_optimizer
from densefn.training.step import make_state, make_step
from densefn.training.trained import open_run

MODEL = Sequential(
    Dense(5, "tanh", kernel_regularizer=L2(0.1), activity_regularizer="l1"), Dense(3, kernel_constraint=MaxNorm(0.5))
)
OPTIMIZER = optax.adam(0.1)


@pytest.fixture(params=[4, 8192])
def at_once(request, monkeypatch):
    monkeypatch.setattr(epochs, "_MOST_ROWS", request.param)


@pytest.fixture
def rows(key):
    return Rows(jax.random.normal(key, (10, 4)), jnp.arange(10) % 3)


@pytest.fixture
def state(key):
    return make_state(MODEL, OPTIMIZER, key, 4)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 16])
def test_an_epoch_is_its_steps_and_uses_every_row_once(batch_size, state, rows):
    seen, order = [], np.random.default_rng(0).permutation(10)

    def step(state, batch):
        jax.debug.callback(lambda x: seen.extend(x[:, 0].tolist()), batch.x)
        return make_step(MODEL, OPTIMIZER, CrossEntropy())(state, batch)

    after, loss = jax.block_until_ready(make_epoch(step, batch_size)(state, rows, order))
    jax.effects_barrier()
    np.testing.assert_array_equal(np.sort(np.float32(seen)), np.sort(rows.x[:, 0]))
    assert after.step == -(-10 // batch_size)

    total = 0.0
    plain = jax.jit(make_step(MODEL, OPTIMIZER, CrossEntropy()))
    for begin in range(0, 10, batch_size):
        index = order[begin : begin + batch_size]
        state, value = plain(state, Rows(rows.x[index], rows.y[index]))
        total += value * len(index)
    # Ten Adam steps in float32, compiled in two ways.
    chex.assert_trees_all_close((after.params, loss), (state.params, total / 10), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("at_once")
def test_an_evaluation_is_loss_with_penalty_and_metric(state, rows):
    value, penalty = MODEL.forward(state.params, rows.x)
    loss, measured = make_evaluate(MODEL, CrossEntropy(), {"a": accuracy})(state.params, rows)
    np.testing.assert_allclose(loss, metrics.log_loss(rows.y, jax.nn.softmax(value)) + penalty, rtol=1e-5)
    np.testing.assert_allclose(measured["a"], metrics.accuracy_score(rows.y, value.argmax(axis=1)), rtol=1e-6)
    # Two programs sum in different orders: a few units in the last place of numbers up to 1.2.
    np.testing.assert_allclose(outputs(MODEL, state.params, rows), value, rtol=1e-6, atol=5e-7)


def test_parts_of_wide_rows_have_fewer_rows():
    rows = Rows(jnp.zeros((20, 2**22)), jnp.zeros(20))
    assert [len(part.y) for part in epochs._parts(rows, np.arange(20), 3)] == [3, 3, 3, 3, 3, 3, 2]
    assert [len(part.y) for part in epochs._parts(rows, np.arange(20))] == [4, 4, 4, 4, 4]


RAW = np.random.default_rng(0).normal(3, 2, (500, 7))
CLASSES = (RAW[:, 0] + RAW[:, 1] > 6).astype(np.int64) + (RAW[:, 2] > 4)
NUMBERS = np.stack([RAW[:, 0] * RAW[:, 1], np.sin(RAW[:, 2])], axis=1)


def write(folder, x=RAW, y=CLASSES):
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    return ArrayFile(str(folder / "x.npy"), target=str(folder / "y.npy"))


def plans(section, model, *, optimizer=None, **options):
    """The same run, on the device and streamed."""
    made = as_optimizer(optimizer or {"name": "adam", "learning_rate": 0.01})
    settings = Train(**{"epochs": 3, "seed": 1} | options)
    return [loop.prepare(Config(replace(section, stream=stream), model, made, settings)) for stream in (False, True)]


def mlp(units, dtype="float32"):
    return Sequential(Dense(16, "gelu", activity_regularizer="l2", dtype=dtype), Dense(units, dtype=dtype))


class TestTrainsToTheSameBits:
    """Of the state and of all metrics, where the parts of a pass are many."""

    @pytest.fixture(autouse=True)
    def many_parts(self, monkeypatch):
        monkeypatch.setattr(epochs, "_MOST_ROWS", 64)

    def check(self, held, streamed):
        assert isinstance(streamed.dataset.train, Stream)
        assert isinstance(streamed.dataset.validation, Stream)
        assert isinstance(held.dataset.train, Rows)
        for (state, row), (other, other_row) in zip(loop.train(held), loop.train(streamed), strict=True):
            chex.assert_trees_all_equal(state, other)
            assert {**row, "seconds": 0} == {**other_row, "seconds": 0}

    @pytest.mark.parametrize("batch_size", [1, 50, 65, 1000])
    def test_with_any_batch_size(self, batch_size, tmp_path):
        self.check(*plans(replace(write(tmp_path), batch_size=batch_size), mlp(3)))

    @pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16", "mixed_float16"])
    def test_in_any_precision(self, dtype, tmp_path):
        self.check(*plans(write(tmp_path), mlp(3, dtype)))

    def test_of_a_regression(self, tmp_path):
        self.check(*plans(write(tmp_path, y=NUMBERS), mlp(2)))

    def test_with_every_option_of_a_step(self, tmp_path):
        optimizer = {"name": "adamw", "learning_rate": 0.01, "accumulate": 3, "clip_norm": 1.0}
        self.check(*plans(write(tmp_path), mlp(3), optimizer=optimizer, ema=0.9, evaluate_every=2))

    @pytest.mark.parametrize("dtype", [np.uint8, np.float16, ">f8"])
    def test_from_any_dtype(self, dtype, tmp_path):
        self.check(*plans(write(tmp_path, np.abs(RAW * 10).astype(dtype)), Dense(3)))

    def test_from_any_layout(self, tmp_path):
        self.check(*plans(write(tmp_path, np.asfortranarray(RAW)), Dense(3)))
        self.check(*plans(write(tmp_path, RAW[:, :6].reshape(500, 3, 2)), Dense(3)))
        self.check(*plans(write(tmp_path, RAW[:, 0]), Dense(3)))

    def test_with_the_target_in_a_column_and_a_validation_file(self, tmp_path):
        np.save(tmp_path / "a.npy", RAW)
        np.save(tmp_path / "b.npy", RAW[:90] * 2)
        section = ArrayFile(str(tmp_path / "a.npy"), target=-1, validation=str(tmp_path / "b.npy"))
        held, streamed = plans(section, mlp(1))
        assert len(streamed.dataset.validation.y) == 90
        self.check(held, streamed)

    def test_up_to_the_files_of_a_run(self, tmp_path):
        settings = {"early_stopping": EarlyStopping(patience=1), "keep": "best", "epochs": 40}
        folders = [tmp_path / "held", tmp_path / "streamed"]
        results = [
            runs.start(plan, folder, print)
            for plan, folder in zip(plans(write(tmp_path), mlp(3), **settings), folders, strict=True)
        ]
        assert len(results[0].metrics) == len(results[1].metrics) < 40
        for name in ("model.safetensors", "preparation.json", "confusion_matrix.json", "histograms.json"):
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
        held, streamed = map(open_run, folders)
        assert held.evaluate() == streamed.evaluate()
        assert streamed.evaluate()["loss"] == pytest.approx(results[1].kept["val_loss"], rel=1e-6)


def test_in_parts_of_the_usual_size_it_trains_to_the_same_bits_too(tmp_path):
    draw = np.random.default_rng(1)
    x = draw.normal(size=(20_000, 10)).astype(np.float32)
    held, streamed = plans(replace(write(tmp_path, x, x[:, 0] * x[:, 1]), batch_size=256), mlp(1), epochs=2)
    for (state, row), (other, other_row) in zip(loop.train(held), loop.train(streamed), strict=True):
        chex.assert_trees_all_equal(state, other)
        assert {**row, "seconds": 0} == {**other_row, "seconds": 0}


class TestStream:
    def test_the_order_depends_on_the_seed_and_the_number_of_the_epoch_alone(self, tmp_path, monkeypatch):
        taken, take = [], Stream.take
        monkeypatch.setattr(Stream, "take", lambda self, index: taken.append(index) or take(self, index))
        monkeypatch.setattr(epochs, "_MOST_ROWS", 128)
        for options in ({"epochs": 3}, {"epochs": 2, "ema": 0.5, "evaluate_every": 2}):
            plan = plans(write(tmp_path), mlp(3), **options)[1]
            taken.clear()
            list(loop.train(plan))
            shuffled = [index for index in taken if not np.array_equal(index, np.sort(index))]
            orders = np.concatenate(shuffled).reshape(options["epochs"], 400)
            for number, order in enumerate(orders, 1):
                np.testing.assert_array_equal(order, np.random.default_rng((1, number)).permutation(400))

    def test_a_part_is_read_while_the_previous_one_is_computed_and_not_earlier(self, tmp_path, monkeypatch):
        events, take, wait = [], Stream.take, jax.block_until_ready
        stream = plans(write(tmp_path), MODEL)[1].dataset.train
        monkeypatch.setattr(epochs, "_MOST_ROWS", 128)
        monkeypatch.setattr(Stream, "take", lambda self, index: events.append("read") or take(self, index))
        monkeypatch.setattr(jax, "block_until_ready", lambda tree: events.append(float(tree)) or wait(tree))

        def step(state, batch):
            return state + len(batch.y), jnp.ones(())

        make_epoch(step, 32)(0, stream, np.arange(400))
        # What is waited for is the sum of the losses up to the part before.
        assert events == ["read", 0, "read", 128, "read", 256, "read", 384]

    def test_rows_stay_in_the_file_until_they_are_taken(self, tmp_path, monkeypatch):
        monkeypatch.setattr(epochs, "_MOST_ROWS", 64)
        monkeypatch.setattr(data.table, "_NUMBERS_AT_ONCE", 64 * 7)
        most, encode = [], data.Preparation.encode
        monkeypatch.setattr(
            data.Preparation, "encode", lambda self, table: most.append(len(table)) or encode(self, table)
        )
        plan = plans(write(tmp_path), mlp(3))[1]
        assert isinstance(plan.dataset.train.table.columns["x"], np.memmap)
        most.clear()
        runs.start(plan, tmp_path / "run", print)
        assert max(most) == 64

    @pytest.mark.parametrize("memory", [0, 500 * 7 * 4 * 4 - 1, 500 * 7 * 4 * 4])
    def test_rows_beyond_a_quarter_of_the_memory_are_streamed(self, memory, tmp_path, monkeypatch):
        monkeypatch.setattr(data.dataset, "_memory", lambda: memory)
        section = write(tmp_path)
        assert data.load(section).is_streamed == (memory < 500 * 7 * 4 * 4)
        assert not data.load(replace(section, stream=False)).is_streamed
        np.savez(tmp_path / "a.npz", x=RAW, y=CLASSES)
        (tmp_path / "a.csv").write_text("x,y\n" + "1,a\n2,b\n" * 9)
        assert not data.load(ArrayFile(str(tmp_path / "a.npz"))).is_streamed
        assert not data.load(TableFile(str(tmp_path / "a.csv"), "y")).is_streamed

    def test_these_fit(self, tmp_path):
        assert data.dataset._memory() > 2**28
        assert not data.load(write(tmp_path)).is_streamed

    @pytest.mark.parametrize("dtype", [np.float32, np.uint8])
    def test_mean_and_scale_are_those_of_the_training_rows(self, dtype, tmp_path, monkeypatch):
        monkeypatch.setattr(data.table, "_NUMBERS_AT_ONCE", 64)
        x = np.abs(RAW * 10).astype(dtype)
        dataset = data.load(replace(write(tmp_path, x), stream=True))
        train = np.random.default_rng(0).permutation(500)[100:]
        axis = None if dtype == np.uint8 else 0
        wide = x[train].astype(np.float64)
        np.testing.assert_allclose(dataset.preparation.mean, np.broadcast_to(wide.mean(axis=axis), 7), rtol=1e-13)
        np.testing.assert_allclose(dataset.preparation.scale, np.broadcast_to(wide.std(axis=axis), 7), rtol=1e-13)


CONFIG = """
    [data]
    path = "x.npy"
    target = "y.npy"
    stream = true
    [[model.layers]]
    units = 3
    [optimizer]
    name = "sgd"
    learning_rate = 0.1
    [train]
    epochs = 2
"""


class TestCommands:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write(tmp_path)
        (tmp_path / "c.toml").write_text(CONFIG)

    def test_train_evaluate_predict_and_report(self, tmp_path, capsys):
        assert main(["train", "c.toml", "--run-dir", "run"]) == 0
        assert "400 rows to train, 100 held out; 7 features; target y: classification, 3 classes; streamed" in (
            capsys.readouterr().out
        )
        for command in (["evaluate", "run"], ["predict", "run", "x.npy", "-o", "out.csv"], ["report", "run"]):
            assert main(command) == 0
        trained = open_run("run")
        x = trained.preparation.inputs(data.read("x.npy"))
        expected = trained.model.apply(trained.params, x).argmax(axis=1)
        assert [trained.preparation.classes[i] for i in expected] == trained.predict(data.read("x.npy")).values.tolist()

    @pytest.mark.parametrize("row", [0, 250, 499])
    def test_a_wrong_number_is_reported_before_a_run_begins(self, row, tmp_path, capsys):
        x = RAW.copy()
        x[row, 4] = np.nan
        write(tmp_path, x)
        assert main(["train", "c.toml", "--run-dir", "run"]) == 2
        assert f"x.npy: row {row + 1}: column 'x[4]': expected a number that is finite" in capsys.readouterr().err
        assert not (tmp_path / "run").exists()

    def test_only_npy_files_are_streamed(self, tmp_path, capsys):
        np.savez("x.npz", x=RAW, y=CLASSES)
        (tmp_path / "c.toml").write_text(CONFIG.replace("x.npy", "x.npz").replace("y.npy", "y"))
        assert main(["train", "c.toml", "--run-dir", "run"]) == 2
        assert "expected an .npy file to stream from, got x.npz; numpy.save writes one" in capsys.readouterr().err
