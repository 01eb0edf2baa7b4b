"""What the training loop adds to its steps: shuffling, gathering, evaluation and the epoch's report."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import jax
import jax.numpy as jnp

from densefn.data import Rows
from densefn.training.config import load
from densefn.training.loop import Plan, initial_state, prepare, train
from densefn.training.step import make_step
from tests.benchmarks.clock import Case, Measurement, medians, once
from tests.benchmarks.record import Settings, Table, compared

CONFIG = Path(__file__).parents[3] / "configs" / "digits.toml"
LARGE = "model.layers.0.units=1024", "model.layers.1.units=1024", "data.batch_size=256"
LOOP, UNEVALUATED, STEPS = "training loop", "training loop, not evaluated", "bare steps"


def table(settings: Settings) -> Table:
    """Training rows a second over a whole run."""
    epochs = f"train.epochs={3 if settings.quick else 30}"
    effort = settings.effort._replace(rounds=1 if settings.quick else 5)
    plans = [prepare(load(CONFIG, [epochs, *changes])) for changes in ((), LARGE)[: 1 if settings.quick else 2]]
    measurements: dict[Case, Measurement] = {}
    for plan in plans:
        work = _title(plan)
        makers = {LOOP: seconds_of_epoch, UNEVALUATED: _unevaluated, STEPS: _steps}
        measurements |= {Case(work, "float32", name): make(plan) for name, make in makers.items()}
    rows = {_title(plan): len(plan.dataset.train.y) for plan in plans}
    values = {case: rows[case.work] / seconds for case, seconds in medians(measurements, effort).items()}
    return Table(
        "throughput",
        f"Training on {plans[0].config.data.title}, {plans[0].config.train.epochs} epochs",
        "rows/s",
        STEPS,
        compared(values, reference=lambda case: case._replace(peer=STEPS)),
        "More is better. Loop: densefn.training.loop.train, from the end of its first epoch, which compiles, to "
        "that of its last; each epoch is evaluated on a quarter as many rows as it trains on, or none is. Bare: the "
        " same step, jitted and donated, in a Python loop over the batches of an epoch, cut beforehand.",
    )


def _title(plan: Plan) -> str:
    config = plan.config
    units = [layer.units for layer in config.model.layers]
    return f"{'-'.join(map(str, [plan.dataset.features, *units]))}, batch {config.data.batch_size}"


def seconds_of_epoch(plan: Plan) -> Measurement:
    """Of an epoch of the training loop: from the end of the first, which compiles, to that of the plan's last."""
    return lambda: _between([metrics["seconds"] for _, metrics in train(plan)])


def _unevaluated(plan: Plan) -> Measurement:
    # The loop is one epoch ahead, and the last one is evaluated.
    epochs = plan.config.train.epochs
    settings = replace(plan.config.train, epochs=epochs + 2, evaluate_every=epochs + 2)
    longer = replace(plan, config=replace(plan.config, train=settings))
    return lambda: _between([metrics["seconds"] for _, metrics in islice(train(longer), epochs)])


def _between(ends: list[float]) -> float:
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def _steps(plan: Plan) -> Measurement:
    step = jax.jit(make_step(plan.model, plan.optimizer, plan.loss), donate_argnums=0)
    batches = _batches(plan.dataset.train, plan.config.data.batch_size)
    epochs = plan.config.train.epochs - 1

    def run(state, epochs):
        for _ in range(epochs):
            for rows in batches:
                state, _ = step(state, rows)
        return state

    def seconds() -> float:
        state = jax.block_until_ready(run(initial_state(plan), 1))
        return once(lambda: run(state, epochs)) / epochs

    return seconds


def _batches(rows: Rows, size: int) -> list[Rows]:
    starts = range(0, len(rows.y), size)
    return jax.device_put([Rows(*(jnp.asarray(column[start : start + size]) for column in rows)) for start in starts])
