"""Runs with losses, metrics and options of training, and what they leave in their folders."""

import json
import re
import signal

import chex
import jax
import numpy as np
import pytest
from sklearn import metrics
from sklearn.utils.class_weight import compute_class_weight

from densefn import Dense, Sequential, checkpoint
from densefn.data import Bundled
from densefn.report import write_report
from densefn.training import config, loop, progress, runs
from densefn.training.config import Config, Train
from densefn.training.epochs import make_epoch
from densefn.training.losses import BinaryCrossEntropy, CrossEntropy, Huber
from densefn.training.optimizer import as_optimizer
from densefn.training.step import make_step, trained_params
from densefn.training.stopping import EarlyStopping

OPTIMIZER = as_optimizer({"name": "adam", "learning_rate": 0.05})
NETWORK = Sequential(Dense(16, "tanh"), Dense(1))


def plan(data="iris", model=None, optimizer=OPTIMIZER, train=None, loss=None, **options):
    model = model or Sequential(Dense(8, "tanh"), Dense(3))
    return loop.prepare(
        Config(Bundled(data, batch_size=16), model, optimizer, train or Train(**{"epochs": 6, **options}), loss=loss)
    )


def regression(**options):
    return plan("diabetes", NETWORK, **options)


def rows(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def without_seconds(given):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in given]


class TestMeasures:
    def test_are_reported_and_are_scikit_learn_s(self, tmp_path):
        chosen = plan(metrics=["accuracy", "f1", "top_2_accuracy"])
        result = runs.start(chosen, tmp_path / "run", print, finish=write_report)
        names = ["epoch", "step", "train_loss", "val_loss", "val_accuracy", "val_f1", "val_top_2_accuracy", "seconds"]
        for row in rows(tmp_path / "run"):
            assert [name for name in row if name != "gradient_norms"] == names
        layer, params = checkpoint.load(tmp_path / "run" / "model.safetensors")
        x, y = chosen.dataset.validation
        outputs = np.asarray(layer.apply(params, x))
        predicted, last = outputs.argmax(axis=1), result.metrics[-1]
        assert last["val_accuracy"] == pytest.approx(metrics.accuracy_score(y, predicted), abs=1e-6)
        assert last["val_f1"] == pytest.approx(metrics.f1_score(y, predicted, average="macro"), abs=1e-6)
        assert last["val_top_2_accuracy"] == pytest.approx(metrics.top_k_accuracy_score(y, outputs, k=2), abs=1e-6)
        matrix = json.loads((tmp_path / "run" / "confusion_matrix.json").read_text())
        assert matrix == metrics.confusion_matrix(y, predicted).tolist()
        page = (tmp_path / "run" / "report.html").read_text()
        shown = [re.findall(r">(\d+)</td>", row) for row in page.partition('class="heat"')[2].split("<tr>")[2:]]
        assert [[int(count) for count in row] for row in shown[: len(matrix)]] == matrix

    def test_a_regression_has_no_confusion_matrix(self, tmp_path):
        runs.start(regression(epochs=1), tmp_path / "run", print, finish=write_report)
        assert not (tmp_path / "run" / "confusion_matrix.json").exists()
        assert "Confusion" not in (tmp_path / "run" / "report.html").read_text()

    def test_a_binary_run_has_one_output(self, tmp_path):
        chosen = plan("breast_cancer", NETWORK, loss=BinaryCrossEntropy(class_weights="balanced"))
        result = runs.start(chosen, tmp_path / "run", print)
        x, y = chosen.dataset.validation
        layer, params = checkpoint.load(tmp_path / "run" / "model.safetensors")
        z = np.asarray(layer.apply(params, x))[:, 0]
        assert result.kept["val_accuracy"] == pytest.approx(metrics.accuracy_score(y, z > 0), abs=1e-6)
        assert result.kept["val_accuracy"] > 0.9
        # The weights are those of the training rows, the loss is that of the validation rows.
        weights = compute_class_weight("balanced", classes=np.arange(2), y=np.asarray(chosen.dataset.train.y))
        expected = np.mean(weights[y] * np.logaddexp(0, np.where(y, -z, z)))
        assert result.kept["val_loss"] == pytest.approx(expected, rel=1e-5)
        assert config.load(tmp_path / "run" / "config.toml").loss.class_weights == pytest.approx(weights)

    def test_the_usual_ones_are_written_into_the_folder(self, tmp_path):
        runs.start(plan(epochs=1), tmp_path / "run", print)
        resolved = config.load(tmp_path / "run" / "config.toml")
        assert (resolved.loss, resolved.train.metrics) == (CrossEntropy(), ("accuracy",))


class TestEvaluation:
    def test_is_every_n_epochs_and_after_the_last(self, tmp_path):
        every, all_rows = regression(evaluate_every=4), regression()
        result = runs.start(every, tmp_path / "run", print, finish=write_report)
        assert [row["epoch"] for row in result.metrics if "val_loss" in row] == [4, 6]
        assert [list(row) for row in result.metrics[:1]] == [["epoch", "step", "train_loss", "seconds"]]
        for row, (_, same) in zip(result.metrics, loop.train(all_rows), strict=True):
            # The same epochs, compiled with and without an evaluation. Gradients are looked at in others of them.
            names = set(row) - {"seconds", "gradient_norms"}
            chex.assert_trees_all_close(*({name: each[name] for name in names} for each in (row, same)), rtol=1e-5)
        assert "val_r2" in (tmp_path / "run" / "report.html").read_text()

    def test_a_run_that_is_stopped_before_the_first_is_reported_without(self, tmp_path):
        chosen = regression(epochs=50, evaluate_every=20)
        result = runs.start(chosen, tmp_path / "run", lambda _: signal.raise_signal(signal.SIGINT))
        assert result.stopped
        assert len(result.metrics) == 1
        line = progress.closing_line(chosen.config, result)
        assert re.match(r"stopped after 1 epochs in [\d.]+ s: not evaluated; open ", line)
        assert (tmp_path / "run" / "model.safetensors").exists()


class TestAverage:
    def test_is_what_is_evaluated_and_saved(self, tmp_path):
        chosen = regression(ema=0.9)
        result = runs.start(chosen, tmp_path / "run", print)
        step = make_step(chosen.model, chosen.optimizer, chosen.loss)
        epoch, state = make_epoch(step, 16), loop.initial_state(chosen)
        for number in range(1, 7):
            order = np.random.default_rng((0, number)).permutation(len(chosen.dataset.train.y))
            state, _ = epoch(state, chosen.dataset.train, order)
        _, params = checkpoint.load(tmp_path / "run" / "model.safetensors")
        # Some hundred Adam steps in float32, compiled in two ways.
        chex.assert_trees_all_close(params, trained_params(chosen.model, state), rtol=1e-3, atol=1e-4)
        assert not np.allclose(params["0"]["kernel"], state.params["0"]["kernel"], rtol=1e-3, atol=1e-3)
        x, y = chosen.dataset.validation
        expected = metrics.r2_score(y, chosen.model.apply(params, x))
        assert result.kept["val_r2"] == pytest.approx(expected, abs=1e-5)

    def test_trainings_without_options_have_no_state_for_them(self):
        chosen = plan()
        state = loop.initial_state(chosen)
        assert state[3:] == (None, None)
        updates = chosen.config.optimizer.call.make().init(state.params)
        assert jax.tree.structure(state.opt_state) == jax.tree.structure(updates)


class TestEnds:
    def overfitting(self, **options):
        return regression(optimizer=as_optimizer({"name": "adam", "learning_rate": 0.02}), epochs=60, **options)

    def by_hand(self, given, name, patience):
        """The epochs that are trained, and the best of them."""
        best, best_epoch = np.inf, 0
        for row in given:
            if row[name] < best:
                best, best_epoch = row[name], row["epoch"]
            if row["epoch"] == best_epoch + patience:
                return row["epoch"], best_epoch
        raise AssertionError("expected a run that ends early")

    def test_early_and_keeps_the_best(self, tmp_path):
        states, all_rows = zip(*loop.train(self.overfitting()), strict=True)
        last, best = self.by_hand(all_rows, "val_loss", patience=4)
        assert 1 <= best < last < 60
        chosen = self.overfitting(early_stopping=EarlyStopping(patience=4), keep="best")
        result = runs.start(chosen, tmp_path / "run", print, finish=write_report)
        assert without_seconds(result.metrics) == without_seconds(all_rows[:last])
        assert result.kept == result.metrics[best - 1]
        assert not result.stopped
        _, params = checkpoint.load(tmp_path / "run" / "model.safetensors")
        chex.assert_trees_all_equal(params, states[best - 1].params)
        line = progress.closing_line(chosen.config, result)
        reached = f"val_r2 {result.kept['val_r2']:.4f} of epoch {best}; open "
        assert re.match(rf"stopped early after {last} epochs in [\d.]+ s: {re.escape(reached)}", line)
        assert (
            f'<th scope="row">run</th><td class="number">{best}</td>' in (tmp_path / "run" / "report.html").read_text()
        )

    def test_early_and_keeps_the_last(self, tmp_path):
        chosen = self.overfitting(early_stopping={"metric": "val_r2", "patience": 3})
        result = runs.start(chosen, tmp_path / "run", print)
        assert result.kept == result.metrics[-1]
        values = [row["val_r2"] for row in result.metrics]
        assert len(values) < 60
        assert max(range(len(values)), key=values.__getitem__) == len(values) - 4

    def test_by_ctrl_c_with_the_best_so_far(self, tmp_path):
        def show(row):
            if row["epoch"] == 5:
                signal.raise_signal(signal.SIGINT)

        chosen = regression(epochs=50, keep="best", best_metric="val_r2")
        result = runs.start(chosen, tmp_path / "run", show)
        assert result.stopped
        assert len(result.metrics) == 5
        assert result.kept["val_r2"] == max(row["val_r2"] for row in result.metrics)

    def test_the_metric_of_the_best_is_that_of_early_stopping_or_the_loss(self):
        assert Train(1, keep="best").kept_by == "val_loss"
        assert Train(1, keep="best", early_stopping={"metric": "val_f1"}).kept_by == "val_f1"
        assert Train(1, keep="best", early_stopping={"metric": "val_f1"}, best_metric="val_r2").kept_by == "val_r2"


def test_every_option_is_written_and_read(tmp_path):
    optimizer = as_optimizer({"name": "lion", "learning_rate": 0.1, "clip_value": 0.5, "accumulate": 3})
    train = Train(
        3, metrics=["r2", "mean_absolute_error"], evaluate_every=2, keep="best", best_metric="val_r2", ema=0.5,
        early_stopping=EarlyStopping("val_mean_absolute_error", 3, 0.1),
    )  # fmt: skip
    given = Config(Bundled("diabetes"), NETWORK, optimizer, train, loss=Huber(2.0))
    (tmp_path / "a.toml").write_text(config.dump(given))
    assert config.load(tmp_path / "a.toml") == given == loop.prepare(given).config
    weighted = Config(Bundled("iris"), NETWORK, optimizer, Train(1), loss=CrossEntropy(0.1, (1.0, 2.0, 0.5)))
    (tmp_path / "b.toml").write_text(config.dump(weighted))
    assert config.load(tmp_path / "b.toml") == weighted
