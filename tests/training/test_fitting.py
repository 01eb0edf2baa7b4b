"""Trainings from Python: what `fit` leaves is what `densefn train` leaves, from each kind of config."""

import chex
import jax
import pytest

from densefn import checkpoint
from densefn.training import fit, load_config, make_train, open_run, prepare
from densefn.training.config import ConfigError

TOML = """
[data]
path = "rows.csv"
target = "y"

[[model.layers]]
units = 1

[optimizer]
name = "adam"
learning_rate = 0.1

[train]
epochs = 2
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{i / 7},{i % 5},{i / 3}" for i in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,y", *lines]))
    (tmp_path / "mine.toml").write_text(TOML)
    return tmp_path


def table():
    return {
        "data": {"path": "rows.csv", "target": "y"},
        "model": {"layers": [{"units": 1}]},
        "optimizer": {"name": "adam", "learning_rate": 0.1},
        "train": {"epochs": 2},
    }


def test_fit_leaves_the_same_run_whatever_the_config_is_written_as(folder, monkeypatch):
    shown = []
    configs = {"path": "mine.toml", "config": load_config("mine.toml"), "table": table()}
    results = {name: fit(config, folder / name, shown.append) for name, config in configs.items()}
    assert [row["epoch"] for row in shown] == [1, 2] * 3
    expected = (folder / "path" / "config.toml").read_bytes()
    _, params = checkpoint.load(folder / "path" / "model.safetensors")
    monkeypatch.chdir("/")  # where the rows are found does not depend on the folder
    for name, result in results.items():
        assert result.run_dir == folder / name
        losses = [row["val_loss"] for row in result.metrics]
        assert losses == [row["val_loss"] for row in results["path"].metrics]
        assert (folder / name / "config.toml").read_bytes() == expected
        chex.assert_trees_all_equal(checkpoint.load(folder / name / "model.safetensors")[1], params)
        assert open_run(folder / name).evaluate()["loss"] == pytest.approx(losses[-1], rel=1e-5)


def test_mistakes_have_their_place(folder):
    (folder / "wrong.toml").write_text(TOML.replace("units = 1", "units = 2"))
    with pytest.raises(ConfigError, match=r"wrong.toml:6: model: expected 1 outputs"):
        fit("wrong.toml", folder / "run")
    with pytest.raises(ValueError, match=r"train.epoch: unknown key 'epoch'"):
        fit({**table(), "train": {"epoch": 2}}, folder / "run")
    with pytest.raises(TypeError, match="config: expected the path of a TOML file, a Config or a table, got 3"):
        fit(3, folder / "run")
    assert not (folder / "run").exists()


def test_prepare_makes_a_plan_for_make_train(folder):
    _, metrics = jax.eval_shape(make_train(prepare("mine.toml")), jax.random.key(0))
    assert metrics["val_loss"].shape == (2,)


def test_another_name_is_an_attribute_error():
    import densefn.training

    assert {"fit", "make_train"} <= set(dir(densefn.training))
    with pytest.raises(AttributeError, match=r"densefn.training.*fits"):
        densefn.training.fits  # noqa: B018
