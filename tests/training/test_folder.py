"""A run's folder after its process is killed at any write, with a full disk, and with a second process."""

import dataclasses
import errno
import math
import os
import shutil
import signal
from itertools import count
from pathlib import Path

import chex
import pytest

from densefn import Dense, Sequential, _archive, checkpoint, report
from densefn.cli import main
from densefn.data import Bundled
from densefn.training import config, environment, folder, loop, metrics_file, runs, snapshot
from densefn.training.config import Config, Train
from densefn.training.epochs import first_rows
from densefn.training.optimizer import as_optimizer

STRAY = f".densefn-{0:032x}.tmp"


class Killed(BaseException):
    """Nothing catches it."""


@pytest.fixture(scope="module")
def computed():
    """What a run computes: plan, initial snapshot, epochs, and the arrays and held-out results of the last epoch."""
    model = Sequential(Dense(4, "tanh"), Dense(3))
    plan = loop.prepare(
        Config(
            Bundled("iris", batch_size=60),
            model,
            as_optimizer({"name": "adam", "learning_rate": 0.05}),
            Train(epochs=2),
        )
    )
    epochs = list(loop.train(plan))
    params = epochs[-1][0].params
    arrays = runs.diagnostics.arrays(plan.model, params, first_rows(plan.dataset.validation, 30).x)
    return plan, loop.initial_snapshot(plan), epochs, arrays, runs._held_out(plan, params)


@pytest.fixture(autouse=True)
def path(computed, monkeypatch, tmp_path):
    """The path of a config; its runs reuse what was computed once, and save their state after each epoch."""
    plan, initial, epochs, arrays, held_out = computed
    monkeypatch.setattr(loop, "prepare", lambda _: plan)
    facts = environment.read()
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(environment, "read", lambda: facts)
    monkeypatch.setattr(snapshot, "initial_state", lambda _: initial.state)
    monkeypatch.setattr(runs, "initial_snapshot", lambda _: initial)
    monkeypatch.setattr(runs, "train", lambda _, past: iter(epochs[len(past.rows) :]))
    monkeypatch.setattr(runs.diagnostics, "arrays", lambda *_: arrays)
    monkeypatch.setattr(runs, "_held_out", lambda *_: held_out)
    monkeypatch.setattr(runs, "SECONDS_PER_SAVE", 0)
    monkeypatch.setattr(report, "write_report", lambda _: None)
    (tmp_path / "iris.toml").write_text(config.dump(plan.config))
    return tmp_path / "iris.toml"


def train(path, run_dir):
    return main(["train", str(path), "--run-dir", str(run_dir)])


def resume(run_dir):
    return main(["train", "--resume", str(run_dir)])


def contents(run_dir):
    return {path.name: path.read_bytes() for path in run_dir.iterdir()}


@pytest.fixture
def whole(path, tmp_path):
    assert train(path, tmp_path / "whole") == 0
    return contents(tmp_path / "whole")


def failing(monkeypatch, at, error):
    """Makes the call number `at` of `os.fsync` and `Path.replace` fail; returns the calls.

    A killed process does nothing afterwards: it removes no temporary file.
    """
    calls = []

    def counted(function):
        def call(*given):
            calls.append(function)
            if len(calls) == at:
                raise error
            return function(*given)

        return call

    def unless_killed(function):
        return lambda *given, **options: (len(calls) >= at and error is Killed) or function(*given, **options)

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(Path, "unlink", unless_killed(Path.unlink))
    monkeypatch.setattr(Path, "rmdir", unless_killed(Path.rmdir))
    return calls


def test_a_run_killed_at_any_write_resumes_to_the_same_bits(path, whole, tmp_path, monkeypatch):
    left = set()
    for at in count(1):
        run_dir = tmp_path / str(at)
        with monkeypatch.context() as patch:
            failing(patch, at, Killed)
            try:
                assert train(path, run_dir) == 0
                assert at > 50
                break
            except Killed:
                left |= {name for name in contents(run_dir) if name.startswith(".densefn-")}
        assert (resume(run_dir) if folder.is_begun(run_dir) else train(path, run_dir)) == 0, at
        assert contents(run_dir) == whole, at
    assert len(left) > 10


def test_a_resumed_run_killed_at_any_write_resumes_again(path, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        failing(patch, 25, Killed)  # after the first of two saves
        with pytest.raises(Killed):
            train(path, tmp_path / "first")
    for at in count(1):
        run_dir = shutil.copytree(tmp_path / "first", tmp_path / str(at))
        with monkeypatch.context() as patch:
            failing(patch, at, Killed)
            try:
                assert resume(run_dir) == 0
                assert at > 30
                break
            except Killed:
                pass
        assert resume(run_dir) == 0, at
        assert contents(run_dir) == whole, at


def test_a_full_disk_is_one_line_and_the_run_resumes(path, whole, tmp_path, monkeypatch, capsys):
    for at in count(1):
        run_dir = tmp_path / str(at)
        with monkeypatch.context() as patch:
            calls = failing(patch, at, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            capsys.readouterr()
            status, said = train(path, run_dir), capsys.readouterr().err
        if len(calls) < at:
            assert at > 50
            break
        if status or said:  # otherwise only the sync of a folder failed, which is ignored
            assert (status, said.count("\n")) == (1, 1)
            assert said.startswith(str(run_dir))
            assert said.endswith(": No space left on device\n")
        assert not list(run_dir.glob(".densefn-*"))
        assert (resume(run_dir) if run_dir.exists() else train(path, run_dir)) == 0, at
        assert contents(run_dir) == whole, at


def test_a_second_process_is_refused(path, whole, tmp_path, monkeypatch, capsys):
    run_dir, train_on = tmp_path / "run", runs.train

    def interfered_with(plan, past):
        before = contents(run_dir)
        for second in (
            lambda: train(path, run_dir),
            lambda: resume(run_dir),
        ):  # locks are per descriptor, so one process can try both
            capsys.readouterr()
            assert second() == 1
            said = f"{run_dir}: the run is being trained by process {os.getpid()}\n"
            assert capsys.readouterr().err == said
        assert contents(run_dir) == before
        yield from train_on(plan, past)

    monkeypatch.setattr(runs, "train", interfered_with)
    assert train(path, run_dir) == 0
    assert contents(run_dir) == whole


def test_sigterm_sets_the_exit_status_and_loses_nothing(path, whole, tmp_path, monkeypatch, capsys):
    run_dir, train_on = tmp_path / "run", runs.train

    def stopped(plan, past):
        os.kill(os.getpid(), signal.SIGTERM)
        yield from train_on(plan, past)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "train", stopped)
        assert train(path, run_dir) == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert f"to go on: densefn train --resume {run_dir}\n" in capsys.readouterr().out
    assert contents(run_dir).keys() == whole.keys()
    assert len(metrics_file.read(run_dir / "metrics.jsonl")) == 1
    assert resume(run_dir) == 0
    assert contents(run_dir) == whole


def test_a_last_val_loss_of_nan_is_one_line_and_the_finite_epoch_is_kept(path, computed, tmp_path, monkeypatch, capsys):
    (state, row), (last, last_row) = computed[2]
    epochs = [(state, row), (last, dataclasses.replace(last_row, metrics={**last_row.metrics, "val_loss": math.nan}))]
    monkeypatch.setattr(runs, "train", lambda _, past: iter(epochs[len(past.rows) :]))
    for run in (lambda: train(path, tmp_path / "run"), lambda: resume(tmp_path / "run")):
        assert run() == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("the val_loss is nan in epoch 2; try a smaller optimizer.learning_rate.")
        assert line.endswith("model.safetensors is that of epoch 1")
        _, kept = checkpoint.load(tmp_path / "run")
        chex.assert_trees_all_equal(kept, state.params)


def test_a_run_with_another_jax_setting_is_not_resumed(path, tmp_path, monkeypatch, capsys):
    assert train(path, tmp_path / "run") == 0
    now = environment.read()
    settings = {**now["settings"], "jax_enable_x64": True}
    monkeypatch.setattr(environment, "read", lambda: {**now, "settings": settings})
    assert resume(tmp_path / "run") == 2
    said = "expected JAX's settings as they were, got jax_enable_x64 = True (then: False)\n"
    assert capsys.readouterr().err == f"{tmp_path / 'run'}: {said}"


@pytest.mark.parametrize("name", ["state.safetensors", "manifest.json"])
def test_a_later_format_is_refused(name, path, tmp_path, monkeypatch, capsys):
    pack = snapshot.pack

    def later(*given):
        with monkeypatch.context() as patch:
            patch.setattr(_archive, "FORMAT", 2)
            return pack(*given)

    with monkeypatch.context() as patch:
        if name == "state.safetensors":
            patch.setattr(snapshot, "pack", later)
        else:
            patch.setattr(_archive, "FORMAT", 2)
        assert train(path, tmp_path / "run") == 0
    assert resume(tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path / 'run' / name}: expected ")
    assert said.endswith(": expected format 1, got 2 of a later version of densefn\n")
