"""Runs that were stopped or killed and went on, beside the same runs uninterrupted."""

import json
import signal
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

import densefn
from densefn import Dense, Sequential, _disk, report
from densefn.data import ArrayFile, Bundled, TableFile
from densefn.training import config, exportable, loop, metrics_file, runs, signals, snapshot, trained
from densefn.training.config import Config, Train
from densefn.training.optimizer import as_optimizer
from densefn.training.stopping import EarlyStopping
from tests import former

ADAM = {"name": "adam", "learning_rate": 0.05}
NET = Sequential(Dense(16, "tanh"), Dense(1))


def plan(*, model=NET, optimizer=None, data=None, **train):
    data = data or Bundled("diabetes", batch_size=64)
    return loop.prepare(Config(data, model, as_optimizer(optimizer or ADAM), Train(**{"epochs": 8, **train})))


def in_half(dtype, units=1):
    return Sequential(Dense(16, "tanh", dtype=dtype), Dense(units))


def interrupt(epoch):
    """What shows the epochs of a run, and stops it in one of them."""

    def show(row):
        if row["epoch"] == epoch:
            signal.raise_signal(signal.SIGINT)

    return show


def kill(epoch):
    """What shows the epochs of a run, and ends it in one of them without anything being written any more."""

    def show(row):
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    return show


def resume(run_dir, **changes):
    """As the command does it."""
    given = config.load(run_dir / "config.toml")
    again = loop.prepare(replace(given, train=replace(given.train, **changes)))
    shown = []
    result = runs.resume(again, run_dir, shown.append)
    return result, [row["epoch"] for row in shown]


def resume_until(run_dir, epoch):
    given = config.load(run_dir / "config.toml")
    runs.resume(loop.prepare(given), run_dir, kill(epoch))


def metrics(run_dir):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)
    return [{**row, "seconds": 0} for row in rows]


def check_same(run_dir: Path, other: Path):
    """All that is written but times and their hashes, to the bit."""
    names = {path.name for path in run_dir.iterdir()}
    assert names == {path.name for path in other.iterdir()}
    for name in names - {"metrics.jsonl", "result.json", "manifest.json"}:
        assert (run_dir / name).read_bytes() == (other / name).read_bytes(), name
    assert metrics(run_dir) == metrics(other)
    kept, same = (json.loads((folder / "result.json").read_text()) for folder in (run_dir, other))
    assert {**kept, "seconds": 0} == {**same, "seconds": 0}


def leave(run_dir, chosen, past):
    """What a run that was killed leaves of itself."""
    run = snapshot.begin(run_dir, chosen)
    (run_dir / "metrics.jsonl").write_text(metrics_file.lines(past.rows))
    snapshot.save(run, chosen, past)


def check_equal(state, other):
    chex.assert_trees_all_equal(*(jax.tree.map(snapshot._as_data, each) for each in (state, other)))


def check_goes_on(chosen, run_dir):
    whole = list(loop.train(chosen))
    (first, _), (second, _), *after = whole
    leave(run_dir, chosen, loop.Snapshot([row for _, row in whole[:2]], second, first))
    _, past = snapshot.reopen(run_dir, chosen, print)
    for read, written in [(past.state, second), (past.kept, first)]:
        chex.assert_trees_all_equal_dtypes(read, written)
        check_equal(read, written)
    for (state, row), (same, same_row) in zip(loop.train(chosen, past), after, strict=True):
        check_equal(state, same)
        assert {**row, "seconds": 0} == {**same_row, "seconds": 0}


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """Most of the time of such a short run is that of its pictures."""
    monkeypatch.setattr(report, "write_report", lambda _: None)


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "interrupted", tmp_path / "whole"


SCHEDULE = {"name": "cosine_decay_schedule", "init_value": 0.1, "decay_steps": 40}


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": {"name": "adamw", "learning_rate": SCHEDULE, "clip_norm": 1.0}, "ema": 0.9},
        {"optimizer": {**ADAM, "accumulate": 4}},  # 6 batches an epoch: half an update lies between two epochs
        {"optimizer": {"name": "noisy_sgd", "learning_rate": 0.01, "key": 3}},  # has a key in its state
        {"optimizer": {"name": "lbfgs", "learning_rate": 0.01}},
        {"model": in_half("mixed_float16"), "loss_scale": "dynamic"},
        {"model": in_half("bfloat16")},
        {"evaluate_every": 3, "keep": "best"},
        {"data": Bundled("iris", batch_size=50), "model": in_half("float32", 3)},
    ],
    ids=["schedule and average", "accumulation", "noise", "lbfgs", "float16", "bfloat16", "seldom evaluated", "iris"],
)
def test_goes_on_to_the_same_bits(options, tmp_path):
    check_goes_on(plan(epochs=4, **options), tmp_path)


def test_of_a_stream_the_order_is_that_of_the_run_uninterrupted(tmp_path):
    draw = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", draw.normal(size=(500, 7)))
    np.save(tmp_path / "y.npy", draw.normal(size=500))
    data = ArrayFile(str(tmp_path / "x.npy"), target=str(tmp_path / "y.npy"), stream=True)
    check_goes_on(plan(data=data, epochs=4), tmp_path)


@pytest.mark.parametrize("show", [interrupt, kill])
def test_leaves_what_an_uninterrupted_run_leaves(show, folders, monkeypatch):
    monkeypatch.setattr(runs, "SECONDS_PER_SAVE", 0)
    run_dir, whole = folders
    runs.start(plan(), whole, print)
    try:
        assert runs.start(plan(), run_dir, show(4)).stopped
    except KeyboardInterrupt:
        assert len(metrics(run_dir)) == 4  # one more than what was saved
    _, shown = resume(run_dir)
    assert shown == ([5, 6, 7, 8] if show is interrupt else [4, 5, 6, 7, 8])
    check_same(run_dir, whole)


@pytest.mark.parametrize("after_the_best", [-2, 3])
def test_stops_early_where_it_would_have_and_keeps_the_same_epoch(after_the_best, folders):
    options = {"early_stopping": EarlyStopping(patience=6), "keep": "best", "epochs": 100, "optimizer": ADAM}
    run_dir, whole = folders
    result = runs.start(plan(**options), whole, print)
    best = result.kept["epoch"]
    assert 2 < best == len(result.metrics) - 6 < 94
    assert runs.start(plan(**options), run_dir, interrupt(best + after_the_best)).stopped
    resume(run_dir)
    check_same(run_dir, whole)


def test_more_epochs_go_on_from_the_last(folders):
    run_dir, whole = folders
    runs.start(plan(epochs=8), whole, print)
    runs.start(plan(epochs=3), run_dir, print)
    result, shown = resume(run_dir, epochs=8)
    assert (shown, result.stopped) == ([4, 5, 6, 7, 8], None)
    check_same(run_dir, whole)


def test_what_is_over_stays_as_it_is(folders):
    run_dir, whole = folders
    for folder in folders:
        runs.start(plan(), folder, print)
    (run_dir / "model.safetensors").unlink()  # as where it was killed between the last epoch and the end
    assert resume(run_dir)[1] == []
    check_same(run_dir, whole)


class TestOfAnEarlierDensefn:
    """Whose model and state lie in `.npz` archives."""

    @pytest.fixture
    def run_dir(self, folders):
        run_dir, whole = folders
        runs.start(plan(), whole, print)
        assert runs.start(plan(), run_dir, interrupt(4)).stopped
        return former.put_back(run_dir)

    def names(self, run_dir):
        return sorted(path.name for path in run_dir.iterdir() if path.suffix in (".npz", ".safetensors"))

    def check_read(self, run_dir, params):
        chex.assert_trees_all_equal(densefn.load(run_dir)[1], params)
        chex.assert_trees_all_equal(trained.open_run(run_dir).params, params)
        chex.assert_trees_all_equal(exportable.load(run_dir)[0].params, params)
        assert report.read_all([run_dir])[0].model.count == 10 * 16 + 16 + 17

    def test_is_read_and_goes_on(self, run_dir, folders):
        assert self.names(run_dir) == ["model.npz", "state.npz"]
        params = densefn.load(run_dir)[1]
        (run_dir / "model.safetensors").write_text("what was exported by default")
        self.check_read(run_dir, params)
        (run_dir / "model.safetensors").unlink()
        with pytest.raises(KeyboardInterrupt):
            resume_until(run_dir, 6)
        assert self.names(run_dir) == ["model.npz", "state.safetensors"]
        self.check_read(run_dir, params)
        resume(run_dir)
        check_same(run_dir, folders[1])
        assert self.names(run_dir) == ["model.safetensors", "state.safetensors"]

    @pytest.mark.parametrize("crash", range(1, 9))
    def test_is_one_run_wherever_it_is_killed(self, run_dir, folders, crash, monkeypatch):
        """In the first save after it went on, and in the last: a file is replaced, or one removed, and no other."""
        steps = iter(range(1, 100))

        def step(act):
            def acted(*given, **options):
                if next(steps) == crash:
                    raise KeyboardInterrupt
                return act(*given, **options)

            return acted

        with monkeypatch.context() as patch:
            patch.setattr(_disk, "replace", step(_disk.replace))
            patch.setattr(Path, "unlink", step(Path.unlink))
            with pytest.raises(KeyboardInterrupt):
                resume(run_dir)
        resume(run_dir)
        check_same(run_dir, folders[1])

    def test_without_its_state_it_is_refused(self, run_dir):
        (run_dir / "state.npz").unlink()
        with pytest.raises(ValueError, match=r"state\.npz: No such file, but manifest\.json lists it"):
            resume(run_dir)


def test_may_be_stopped_again_and_again(folders):
    run_dir, whole = folders
    runs.start(plan(), whole, print)
    runs.start(plan(), run_dir, interrupt(1))
    for epoch in (2, 5):
        again = plan()
        assert runs.resume(again, run_dir, interrupt(epoch)).stopped
        assert len(metrics(run_dir)) == epoch
    resume(run_dir)
    check_same(run_dir, whole)


def test_stopped_before_its_first_epoch_it_loses_none(folders, monkeypatch):
    run_dir, before = folders
    for folder in folders:
        runs.start(plan(keep="best"), folder, interrupt(4))
    stop = signals.Stop()
    stop.signal = signal.SIGTERM
    with monkeypatch.context() as patch:
        patch.setattr(signals, "stopping", lambda: nullcontext(stop))
        result, shown = resume(run_dir)
    assert (result.stopped, shown) == (signal.SIGTERM, [])
    check_same(run_dir, before)


def test_a_diverged_run_says_so_again(tmp_path):
    diverging = plan(optimizer={"name": "sgd", "learning_rate": 1e9})
    for begin in (lambda: runs.start(diverging, tmp_path / "run", print), lambda: resume(tmp_path / "run")):
        with pytest.raises(runs.RunError, match="the loss is .* in epoch"):
            begin()
        written = metrics(tmp_path / "run")
    assert written[-1]["train_loss"] is None


def test_is_saved_after_the_first_epoch_and_then_now_and_then(tmp_path, monkeypatch):
    seconds, saved = iter(range(0, 1000, 10)), []
    monkeypatch.setattr(runs.time, "monotonic", lambda: next(seconds) / 2)  # asked twice where it saves
    save = snapshot.save
    monkeypatch.setattr(snapshot, "save", lambda *given: saved.append(len(given[-1].rows)) or save(*given))
    runs.start(plan(epochs=20), tmp_path / "run", print)
    assert saved == [1, 7, 13, 19, 20]


class TestRefuses:
    @pytest.fixture
    def run_dir(self, tmp_path):
        chosen = plan(epochs=2)
        _, first, _ = loop.initial_snapshot(chosen)
        row = {"step": 6, "train_loss": 1.0, "seconds": 0.5}
        leave(tmp_path, chosen, loop.Snapshot([{"epoch": 1, **row}, {"epoch": 2, **row}], first, first))
        return tmp_path

    def check(self, run_dir, message, **changes):
        before = {path.name: path.read_bytes() for path in run_dir.iterdir()}
        with pytest.raises(ValueError, match=message):
            resume(run_dir, **changes)
        assert {path.name: path.read_bytes() for path in run_dir.iterdir()} == before

    def test_another_config(self, run_dir):
        message = r"got another train.seed, train.ema; only train.epochs and the place of the data may be changed"
        self.check(run_dir, message, seed=7, ema=0.5, epochs=9)

    def test_fewer_epochs_than_are_done(self, run_dir):
        self.check(run_dir, ": expected train.epochs of at least the 2 that are done, got 1", epochs=1)

    def test_a_state_that_is_missing(self, run_dir):
        (run_dir / "state.safetensors").unlink()
        message = "state.safetensors: No such file, but manifest.json lists it"
        self.check(run_dir, message)

    def test_a_state_that_is_damaged(self, run_dir):
        content = bytearray((run_dir / "state.safetensors").read_bytes())
        content[len(content) // 2] ^= 1
        (run_dir / "state.safetensors").write_bytes(content)
        self.check(run_dir, "state.safetensors: it is not as the run wrote it")

    def test_metrics_that_are_missing(self, run_dir):
        lines = (run_dir / "metrics.jsonl").read_text().splitlines(keepends=True)
        (run_dir / "metrics.jsonl").write_text(lines[0])
        self.check(run_dir, "metrics.jsonl: it is not as the run wrote it")


class TestData:
    def table(self, folder):
        folder.mkdir()
        (folder / "rows.csv").write_text("\n".join(["a,b", *(f"{a},{a * b}" for a in range(8) for b in range(5))]))
        return TableFile(str(folder / "rows.csv"), "b", task="regression")

    def test_that_has_moved_is_the_same(self, tmp_path):
        runs.start(plan(data=self.table(tmp_path / "here")), tmp_path / "run", interrupt(2))
        (tmp_path / "here").rename(tmp_path / "there")
        moved = plan(data=TableFile(str(tmp_path / "there" / "rows.csv"), "b", task="regression"))
        runs.resume(moved, tmp_path / "run", print)
        assert config.load(tmp_path / "run" / "config.toml") == moved.config
        assert len(metrics(tmp_path / "run")) == 8

    def test_that_has_changed_is_refused(self, tmp_path):
        runs.start(plan(data=self.table(tmp_path / "here")), tmp_path / "run", interrupt(2))
        with (tmp_path / "here" / "rows.csv").open("a") as file:
            file.write("\n9,9")
        with pytest.raises(ValueError, match=r"rows.csv: has changed since the run began; train anew"):
            resume(tmp_path / "run")
