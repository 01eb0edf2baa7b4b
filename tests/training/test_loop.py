"""The loop over epochs, compared with the same epochs by hand."""

import signal
from dataclasses import replace

import chex
import jax
import numpy as np
import pytest

from densefn import Dense, Sequential
from densefn._values import TableError
from densefn.data import Bundled
from densefn.training import loop, signals
from densefn.training.config import Config, Train
from densefn.training.epochs import make_epoch, make_evaluate
from densefn.training.optimizer import as_optimizer
from densefn.training.step import make_step


@pytest.fixture
def plan():
    optimizer = as_optimizer({"name": "sgd", "learning_rate": 0.1})
    return loop.prepare(Config(Bundled("iris", batch_size=16), Dense(3), optimizer, Train(4, seed=5)))


def test_every_epoch_s_state_and_metrics_are_those_of_the_functions_one_by_one(plan):
    given = list(loop.train(plan))
    assert [row["epoch"] for _, row in given] == [1, 2, 3, 4]
    epoch = make_epoch(make_step(plan.model, plan.optimizer, plan.loss), 16)
    evaluate = make_evaluate(plan.model, plan.loss, plan.metrics)
    state = loop.initial_state(plan)
    for number, (after, row) in enumerate(given, 1):
        order = np.random.default_rng((5, number)).permutation(120)
        state, loss = epoch(state, plan.dataset.train, order)
        val_loss, measured = evaluate(state.params, plan.dataset.validation)
        # The first state is drawn in float32, compiled in two ways.
        chex.assert_trees_all_close(after, state, rtol=1e-5)
        expected = {"train_loss": loss, "val_loss": val_loss, **measured}
        chex.assert_trees_all_close({name: row[name] for name in expected}, jax.device_get(expected), rtol=1e-5)


def test_the_next_epoch_is_dispatched_before_the_metrics_of_one_are_read(plan, monkeypatch):
    events, epochs, get = [], loop._epochs, jax.device_get

    def dispatched(plan, past):
        for number, item in enumerate(epochs(plan, past), 1):
            events.append(f"dispatch {number}")
            yield item

    monkeypatch.setattr(loop, "_epochs", dispatched)
    monkeypatch.setattr(jax, "device_get", lambda tree: events.append("read") or get(tree))
    for _, row in loop.train(plan):
        events.append(f"show {row['epoch']}")
    expected = "dispatch 1, dispatch 2, read, show 1, dispatch 3, read, show 2, dispatch 4, read, show 3, read, show 4"
    assert ", ".join(events) == expected


def test_gradient_norms_are_taken_once_in_fifty_steps_in_the_first_evaluated_epoch(plan):
    train = replace(plan.config.train, epochs=20, evaluate_every=2)
    given = [row for _, row in loop.train(replace(plan, config=replace(plan.config, train=train)))]
    assert [row["epoch"] for row in given if "gradient_norms" in row] == [2, 8, 14, 20]  # after steps 16, 64, 112, 160


def test_an_interrupt_while_the_handler_is_set_is_not_lost(monkeypatch):
    setting, before = signal.signal, signal.getsignal(signal.SIGINT)
    interrupts = iter([signal.SIGINT])

    def interrupted(number, handler):
        replaced = setting(number, handler)
        for interrupt in interrupts:
            signal.raise_signal(interrupt)
        return replaced

    monkeypatch.setattr(signal, "signal", interrupted)
    with signals.stopping() as stop:
        assert stop.signal == signal.SIGINT
        assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGINT) is before


def test_after_a_handler_that_python_cannot_set_again_an_interrupt_ends_the_process(monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(signal, "getsignal", lambda _: None)
            with signals.stopping() as stop:
                signal.raise_signal(signal.SIGINT)
                assert stop.signal == signal.SIGINT
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_model_that_could_not_be_loaded_is_refused_before_it_trains(plan):
    deep = Sequential(*[Dense(3)] * 1001)
    with pytest.raises(TableError, match="model: expected a model of at most 1,000 layers"):
        loop.prepare(replace(plan.config, model=deep))
