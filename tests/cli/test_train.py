"""The command as its user runs it."""

import errno
import json
import os
import pty
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress

import chex
import jax
import matplotlib.image
import pytest

from densefn import Sequential, checkpoint
from densefn.cli import main
from densefn.report import write_report
from densefn.training import config, loop
from tests.cli.promises import CONFIGS, TRAINED_IN_PATHS, check

DIGITS, MOONS = (str(path) for path in CONFIGS if path.stem in ("digits", "moons"))


def rows(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", [path.stem for path in CONFIGS if path.stem not in TRAINED_IN_PATHS])
def test_every_config_reaches_what_it_promises(name, tmp_path, capsys):
    assert main(["train", name, "--run-dir", str(tmp_path / "run")]) == 0
    check(name, tmp_path / "run", capsys.readouterr().out)


def read_all(descriptor):
    """What is written to the other end of a terminal until it is closed."""
    with os.fdopen(descriptor, "rb", buffering=0) as terminal:
        parts = []
        with suppress(OSError):
            while part := terminal.read(4096):
                parts.append(part)
        return b"".join(parts).decode()


class TestRun:
    @pytest.fixture(scope="class")
    @classmethod
    def run_on_a_terminal(cls, tmp_path_factory):
        """The folder of a run of 2 epochs, and what a terminal showed of it."""
        run_dir = tmp_path_factory.mktemp("runs") / "new" / "run"
        outer, inner = pty.openpty()
        with ThreadPoolExecutor() as pool, pytest.MonkeyPatch.context() as patch:
            patch.setenv("TERM", "xterm")
            patch.setenv("COLUMNS", "120")
            shown = pool.submit(read_all, outer)
            with os.fdopen(inner, "w") as terminal, redirect_stdout(terminal), redirect_stderr(terminal):
                assert main(["train", DIGITS, "--run-dir", str(run_dir), "--set", "train.epochs=2"]) == 0
        return run_dir, shown.result()

    @pytest.fixture(scope="class")
    @classmethod
    def run_dir(cls, run_on_a_terminal):
        return run_on_a_terminal[0]

    def test_a_terminal_shows_a_live_bar(self, run_on_a_terminal):
        text = run_on_a_terminal[1]
        assert text.startswith("digits: 1,438 rows to train, 359 held out; 64 features; target y")
        assert "2/2" in text
        assert "val_accuracy" in text
        assert text.count("\r\x1b[2K") > 3

    def test_leaves_its_files_and_no_others(self, run_dir):
        assert sorted(path.name for path in run_dir.iterdir()) == [
            "config.toml",
            "confusion_matrix.json",
            "curves.png",
            "histograms.json",
            "manifest.json",
            "metrics.jsonl",
            "model.safetensors",
            "notes.json",
            "preparation.json",
            "report.html",
            "result.json",
            "state.safetensors",
        ]

    def test_its_model_is_explained_like_that_of_its_config(self, run_dir, capsys):
        assert main(["explain", "--run", str(run_dir), "--input-shape", "64,64"]) == 0
        explained = capsys.readouterr().out
        assert main(["explain", "--config", DIGITS]) == 0
        assert capsys.readouterr().out == explained
        assert "parameters, all trainable" in explained

    def test_metrics_have_one_row_per_epoch(self, run_dir):
        keys = ["epoch", "step", "train_loss", "val_loss", "val_accuracy", "seconds"]
        assert [list(row) for row in rows(run_dir)] == [[*keys, "gradient_norms"], keys]
        assert [(row["epoch"], row["step"]) for row in rows(run_dir)] == [(1, 23), (2, 46)]

    def test_the_model_has_the_accuracy_of_the_last_row(self, run_dir):
        layer, params = checkpoint.load(run_dir / "model.safetensors")
        plan = loop.prepare(config.load(run_dir / "config.toml"))
        assert layer == plan.model
        held_out = plan.dataset.validation
        accuracy = float((layer.apply(params, held_out.x).argmax(axis=1) == held_out.y).mean())
        assert accuracy == pytest.approx(rows(run_dir)[-1]["val_accuracy"], abs=1e-6)

    def test_the_config_it_leaves_trains_the_same_run_to_the_bit(self, run_dir, tmp_path):
        again = tmp_path / "again"
        assert main(["train", str(run_dir / "config.toml"), "--run-dir", str(again)]) == 0
        assert (again / "model.safetensors").read_bytes() == (run_dir / "model.safetensors").read_bytes()
        for row, same in zip(rows(run_dir), rows(again), strict=True):
            assert {**row, "seconds": 0} == {**same, "seconds": 0}

    def test_another_seed_trains_another_model(self, run_dir, tmp_path):
        main(["train", str(run_dir / "config.toml"), "--run-dir", str(tmp_path / "other"), "--set", "train.seed=1"])
        assert (tmp_path / "other" / "model.safetensors").read_bytes() != (run_dir / "model.safetensors").read_bytes()

    @pytest.mark.usefixtures("drawn")
    def test_the_report_needs_no_other_file_and_the_picture_opens(self, run_dir):
        write_report(run_dir)
        page = (run_dir / "report.html").read_text()
        assert not re.search(r"(src|href)=\"(?!#)|url\((?!#)|@import", page)
        for part in ("val_accuracy", "<svg", "17,226", "learning_rate = 0.001", "kernel [64, 128]"):
            assert part in page
        height, width, _ = matplotlib.image.imread(run_dir / "curves.png").shape
        assert (width, height) == (1980, 465)


def test_the_default_folder_is_named_by_config_and_time(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["train", MOONS, "--set", "train.epochs=1"]) == 0
    names = [path.name for path in (tmp_path / "runs").iterdir()]
    assert len(names) == 2
    assert all(re.fullmatch(r"moons-\d{8}-\d{6}(-2)?", name) for name in names)
    assert re.search(r"open runs/moons-.*/report.html", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.epoch=3"], "--set train.epoch=3: train.epoch: unknown key 'epoch'"),
        (["model.layers.2.units=9"], "model: expected 10 outputs for the 10 classes of digits, got the output shape"),
        (["data.name=diabetes"], "expected 1 outputs for the 1 targets of diabetes"),
        (["loss=huber"], "--set loss=huber: loss: expected a loss for targets that are classes (cross_entropy, binary"),
        (["loss=binary_cross_entropy"], "loss: expected data of two classes for BinaryCrossEntropy, got 10 classes"),
        (
            ["loss=binary_cross_entropy", "data.name=breast_cancer"],
            "model: expected 1 outputs for the 2 classes of breast_cancer, got the output shape (None, 10); set the "
            "units of the last layer to 1, as BinaryCrossEntropy needs",
        ),
        (
            ["loss={name='cross_entropy', class_weights=[1, 2]}"],
            "loss.class_weights: expected a number for each of the 10 classes, got 2",
        ),
        (["train.metrics=['r2']"], "train.metrics[0]: expected a metric for targets that are classes (accuracy, f1"),
        (
            ["train.early_stopping={metric='val_f1'}"],
            "train.early_stopping.metric: expected one that the run reports (train_loss, val_loss, val_accuracy), got",
        ),
        (["train.keep=best", "train.best_metric=f1"], "--set train.best_metric=f1: train.best_metric: expected one"),
        (
            ["optimizer.accumulate=70", "train.epochs=3"],
            "optimizer.accumulate: expected at most the 69 batches of the run, got 70",
        ),
        (["optimizer.mu_dtype=float23"], "optimizer: optax.adam refuses these arguments: data type 'float23'"),
        (["optimizer.mu_dtype=S3"], "optimizer: a training step fails with these arguments"),
        (["optimizer.memory_size=2.5", "optimizer.name=lbfgs"], "optimizer.memory_size: expected a whole number"),
        (["optimizer.learning_rate=[1]", "train.seed=-1"], "--set train.seed=-1: train.seed: expected a whole number"),
        (["model.layers.0={layer='Residual', body={units=3}}"], "keeps the shape of its input"),
    ],
)
def test_mistakes_are_messages_and_write_nothing(overrides, message, tmp_path, capsys):
    sets = [word for override in overrides for word in ("--set", override)]
    assert main(["train", DIGITS, "--run-dir", str(tmp_path / "run"), *sets]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("argv", [[], ["trian"], ["train"], ["train", DIGITS, "--sett", "a=1"], ["train", DIGITS, "x"]])
def test_mistakes_in_the_arguments_exit_with_2_and_a_usage_line(argv, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert "usage: densefn" in capsys.readouterr().err


def test_a_folder_that_holds_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("precious")
    assert main(["train", DIGITS, "--run-dir", str(tmp_path)]) == 1
    assert "expected a new or empty folder" in capsys.readouterr().err
    assert main(["train", DIGITS, "--run-dir", str(tmp_path / "mine")]) == 1
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_diverging_loss_is_reported_and_keeps_the_finished_epochs(tmp_path, capsys):
    run_dir = tmp_path / "run"
    sets = ["--set", "optimizer.name=sgd", "--set", "optimizer.learning_rate=1e38", "--set", "train.epochs=9"]
    assert main(["train", MOONS, "--run-dir", str(run_dir), *sets]) == 1
    assert re.search(
        r"the loss is (nan|inf) in epoch 1; try a smaller optimizer.learning_rate", capsys.readouterr().err
    )
    assert rows(run_dir)[-1]["train_loss"] is None


def test_training_without_its_packages_says_how_to_install_them(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("densefn.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tomli_w", None)
    assert main(["train", DIGITS]) == 2
    assert "pip install 'densefn[train]'" in capsys.readouterr().err


def start(run_dir, **options):
    """A process that trains until it is ended, compiled as the tests are: so its bits are those of a run in them."""
    command = [sys.executable, "-m", "densefn", "train", MOONS, "--run-dir", str(run_dir)]
    command += ["--set", "train.epochs=100000"]
    compiled = {"JAX_DISABLE_MOST_OPTIMIZATIONS": str(jax.config.read("jax_disable_most_optimizations"))}
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, env={**os.environ, **compiled}, **options)


def test_ctrl_c_keeps_the_finished_epochs(tmp_path):
    run_dir = tmp_path / "run"
    with start(run_dir, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("two_moons: 800 rows to train, 200 held out; 2 features; target y")
        assert process.stdout.readline().startswith("epoch 1/100000")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert re.fullmatch(r"stopped after \d+ epochs in .*report.html", out.splitlines()[-2])
    assert out.splitlines()[-1] == f"to go on: densefn train --resume {run_dir}"
    layer, params = checkpoint.load(run_dir / "model.safetensors")
    chex.assert_tree_all_finite(params)
    assert isinstance(layer, Sequential)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path, capsys):
    whole, run_dir = tmp_path / "whole", tmp_path / "run"
    assert main(["train", MOONS, "--run-dir", str(whole), "--set", "train.epochs=40"]) == 0
    with start(run_dir) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert 10 < len(rows(run_dir)) < 100_000
    capsys.readouterr()
    assert main(["train", "--resume", str(run_dir), "--set", "train.epochs=40"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("epoch 2/40 ")  # it was saved after the first
    for name in ("model.safetensors", "state.safetensors", "confusion_matrix.json"):
        assert (run_dir / name).read_bytes() == (whole / name).read_bytes()
    assert [{**row, "seconds": 0} for row in rows(run_dir)] == [{**row, "seconds": 0} for row in rows(whole)]


def test_a_run_that_cannot_be_resumed_is_a_message(tmp_path, capsys):
    run_dir = tmp_path / "run"
    main(["train", MOONS, "--run-dir", str(run_dir), "--set", "train.epochs=2"])
    capsys.readouterr()

    def refused(*arguments):
        assert main(["train", "--resume", str(run_dir), *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "expected the config with which the run began, got another train.seed;" in refused("--set", "train.seed=1")
    assert "expected train.epochs of at least the 2 that are done, got 1" in refused("--set", "train.epochs=1")
    assert "--run-dir: a run resumes in its own folder" in refused("--run-dir", "other")
    (run_dir / "state.safetensors").unlink()
    assert "state.safetensors: No such file, but manifest.json lists it" in refused()


def test_a_folder_that_is_not_a_run_cannot_be_resumed(tmp_path, capsys):
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert "config.toml: expected a config file to read: No such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_a_message(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    run_dir = tmp_path / "run"
    assert main(["train", DIGITS, "--run-dir", str(run_dir), "--set", "train.epochs=1"]) == 1
    assert capsys.readouterr().err == f"{run_dir / 'config.toml'}: No space left on device\n"
    assert not run_dir.exists()
