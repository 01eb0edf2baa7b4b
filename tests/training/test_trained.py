"""Trained models, opened again: the same numbers as in training, for held-out and for new rows."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from sklearn import metrics

import densefn
from densefn import data
from densefn.data import DataError, Table
from densefn.training import config, loop, runs, trained
from densefn.training.config import Config, ConfigError

CLASSES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trained")


def written(folder, name, rows, seed=0):
    """A table in which the price is a sum, and the pet that of the largest column."""
    draw = np.random.default_rng(seed)
    x = draw.normal(5, [1, 20, 300], (rows, 3))
    frame = pl.DataFrame(
        {
            **{column: x[:, i] for i, column in enumerate("abc")},
            "price": 1000 + x @ [100.0, 5.0, 0.3],
            "pet": [CLASSES[i] for i in ((x - 5) / [1, 20, 300]).argmax(axis=1)],
        }
    )
    frame.write_csv(folder / name)
    return frame


def run(folder, name, target, ignored, units, **train):
    written(folder, "rows.csv", 300)
    table = {
        "data": {"path": str(folder / "rows.csv"), "target": target, "ignore": [ignored]},
        "model": {"layers": [{"units": 16, "activation": "tanh", "kernel_regularizer": "l2"}, {"units": units}]},
        "optimizer": {"name": "adam", "learning_rate": 0.02},
        "train": {"epochs": 12, **train},
    }
    plan = loop.prepare(densefn._values.build(Config, table))
    return runs.start(plan, folder / name, print)


@pytest.fixture(scope="module")
def regression(folder):
    return run(folder, "price", "price", "pet", 1, metrics=["r2", "mean_absolute_error"])


@pytest.fixture(scope="module")
def classification(folder):
    return run(folder, "pet", "pet", "price", 3, metrics=["accuracy", "f1"], keep="best", ema=0.9)


@pytest.mark.parametrize("name", ["regression", "classification"])
def test_held_out_rows_are_as_good_as_in_training(name, request):
    result = request.getfixturevalue(name)
    measured = trained.open_run(result.run_dir).evaluate()
    kept = {key.removeprefix("val_"): value for key, value in result.kept.items() if key.startswith("val_")}
    assert measured == pytest.approx(kept, rel=1e-5)  # another program of the same float32 sums


def test_predictions_are_in_the_units_of_the_target(regression, folder):
    new = written(folder, "new.csv", 20_000, seed=1)
    run = trained.open_run(regression.run_dir)
    table = data.read(folder / "new.csv")
    predicted = run.predict(table)
    assert predicted.probabilities is None
    assert predicted.values.shape == (20_000, 1)
    measured = run.evaluate(table)
    # Batches of another size are added up in another order.
    expected = metrics.r2_score(new["price"], predicted.values[:, 0])
    assert measured["r2"] == pytest.approx(expected, abs=1e-4)
    assert expected > 0.9


def test_predictions_of_classes_are_names_with_probabilities(classification, folder):
    new = written(folder, "new.csv", 500, seed=2)
    run = trained.open_run(classification.run_dir)
    table = data.read(folder / "new.csv")
    predicted = run.predict(table)
    np.testing.assert_allclose(predicted.probabilities.sum(axis=1), 1, rtol=1e-12)
    measured = run.evaluate(table)
    assert measured["accuracy"] == pytest.approx(metrics.accuracy_score(new["pet"], predicted.values), abs=1e-6)
    assert measured["f1"] == pytest.approx(metrics.f1_score(new["pet"], predicted.values, average="macro"), abs=1e-6)
    assert measured["accuracy"] > 0.8


def test_a_row_is_predicted_alike_in_any_company(regression, folder):
    written(folder, "new.csv", 9, seed=3)
    run = trained.open_run(regression.run_dir)
    table = data.read(folder / "new.csv")
    alone = Table("alone", {name: column[3:4] for name, column in table.columns.items()})
    np.testing.assert_allclose(run.predict(alone).values, run.predict(table).values[3:4], rtol=1e-6)


def test_a_frame_has_the_rows_and_what_is_said_of_them(classification, folder):
    new = written(folder, "new.csv", 5)
    run = trained.open_run(classification.run_dir)
    table = data.read(folder / "new.csv")
    frame = trained.as_frame(table, run.preparation, run.predict(table))
    assert frame.columns == [*new.columns, "predicted pet", *(f"probability {name}" for name in CLASSES)]
    frame.write_csv(folder / "again.csv")
    again = data.read(folder / "again.csv")
    assert trained.as_frame(again, run.preparation, run.predict(again)).columns == frame.columns


def test_arrays_are_predicted_without_their_numbers(folder):
    table = {
        "data": {"name": "two_moons"},
        "model": {"layers": [{"units": 1}]},
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
        "train": {"epochs": 1},
        "loss": "binary_cross_entropy",
    }
    result = runs.start(loop.prepare(densefn._values.build(Config, table)), folder / "moons", print)
    run = trained.open_run(result.run_dir)
    np.save(folder / "moons.npy", np.array([[0.0, 1.0], [1.0, -0.5], [0.5, 0.2]]))
    rows = data.read(folder / "moons.npy")
    frame = trained.as_frame(rows, run.preparation, run.predict(rows))
    assert [len(frame), *frame.columns[1:]] == [3, "probability upper", "probability lower"]
    assert run.evaluate().keys() == {"loss", "accuracy"}


def test_rows_that_are_not_those_of_the_run_are_not_taken_for_them(folder):
    result = run(folder, "changed", "price", "pet", 1)
    written(folder, "rows.csv", 300, seed=9)
    opened = trained.open_run(result.run_dir)
    with pytest.raises(DataError, match="rows.csv: has changed since the run; name a file"):
        opened.evaluate()
    (folder / "rows.csv").unlink()
    with pytest.raises(ConfigError, match=r"config.toml:\d+: data.path: .*rows.csv: expected a file"):
        opened.evaluate()


def test_weights_of_the_training_rows_are_those_of_new_rows(folder):
    written(folder, "rows.csv", 300)
    result = run(folder, "weighted", "pet", "price", 3)
    path = result.run_dir / "config.toml"
    weighted = config.read(path, ['loss={name="cross_entropy", class_weights="balanced"}']).decode()
    result = runs.start(loop.prepare(weighted), folder / "balanced", print)
    written(folder, "new.csv", 50, seed=4)
    opened = trained.open_run(result.run_dir)
    assert opened.config.loss.class_weights != "balanced"
    assert opened.evaluate()["loss"] == pytest.approx(result.kept["val_loss"], rel=1e-5)
    assert opened.evaluate(data.read(folder / "new.csv"))["loss"] > 0


@pytest.mark.parametrize("name", ["model.safetensors", "config.toml", "preparation.json"])
def test_a_folder_without_a_file_is_refused(name, tmp_path):
    result = run(tmp_path, "run", "price", "pet", 1)
    (result.run_dir / name).unlink()
    with pytest.raises(ValueError, match=name):
        trained.open_run(result.run_dir)


def test_a_run_is_loaded_by_its_folder(regression):
    layer, params = densefn.load(regression.run_dir)
    assert layer == trained.open_run(regression.run_dir).model
    assert json.loads(json.dumps(densefn.to_dict(layer))) == densefn.to_dict(layer)
    np.testing.assert_array_equal(
        params["1"]["bias"], densefn.load(regression.run_dir / "model.safetensors")[1]["1"]["bias"]
    )


def test_an_output_that_is_not_finite_is_refused(regression, folder):
    written(folder, "far.csv", 3)
    run = trained.open_run(regression.run_dir)
    huge = replace(run, params=jax.tree.map(lambda w: w * np.float32(np.inf), run.params))
    with pytest.raises(DataError, match=r"far.csv: the model's output for line 2 is not finite"):
        huge.predict(data.read(folder / "far.csv"))


def test_a_loss_that_is_not_finite_is_refused(regression, folder):
    opened = trained.open_run(regression.run_dir)
    huge = replace(opened, params=jax.tree.map(lambda p: jnp.full_like(p, 1e25), opened.params))  # squared: infinite
    with pytest.raises(DataError, match=r"rows.csv: the model's loss for these rows is inf; train anew"):
        huge.evaluate()
    written(folder, "new.csv", 5)
    with pytest.raises(DataError, match=r"new.csv: the model's loss for these rows is inf"):
        huge.evaluate(data.read(folder / "new.csv"))
