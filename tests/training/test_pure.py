"""A training as a pure function, compared with the loop on the host, and under `vmap` with single calls."""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from densefn import Dense, data
from densefn.data import Bundled
from densefn.training import loop
from densefn.training.config import Config, Train
from densefn.training.epochs import make_epoch
from densefn.training.optimizer import as_optimizer
from densefn.training.pure import make_train
from densefn.training.step import make_step

ROWS = 120  # of iris, to train


def plan_of(optimizer=(), batch_size=64, **train):
    optimizer = as_optimizer({"name": "adam", "learning_rate": 0.1, **dict(optimizer)})
    train = Train(**{"epochs": 3, "seed": 5, **train})
    return loop.prepare(Config(Bundled("iris", batch_size=batch_size), Dense(3), optimizer, train))


@pytest.fixture(scope="module")
def plan():
    return plan_of()


@pytest.fixture(scope="module")
def train(plan):
    return make_train(plan)


def test_equals_the_loop_on_the_host_if_the_order_of_the_rows_does_not_matter():
    plan = plan_of(batch_size=ROWS, epochs=5, evaluate_every=2, ema=0.9)
    *_, (expected, _) = states = list(loop.train(plan))
    state, metrics = jax.jit(make_train(plan))(jax.random.key(5))
    # Sums over the rows in another order, in float32.
    chex.assert_trees_all_close(state, expected, rtol=1e-4, atol=1e-5)
    for name in ("train_loss", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(metrics[name], [row.get(name, np.nan) for _, row in states], rtol=1e-4)
    assert np.isnan(metrics["val_loss"]).tolist() == [True, False, True, False, False]


def test_each_epoch_takes_every_row_once_in_an_order_of_the_key_s(plan, monkeypatch):
    orders, permutation = [], jax.random.permutation

    def watched(key, count):
        order = permutation(key, count)
        jax.debug.callback(lambda order: orders.append(np.asarray(order)), order, ordered=True)
        return order

    monkeypatch.setattr(jax.random, "permutation", watched)
    trained, metrics = jax.jit(make_train(plan))(jax.random.key(0))
    jax.effects_barrier()
    assert len({tuple(order) for order in orders}) == len(orders) == 3
    assert all(sorted(order) == list(range(ROWS)) for order in orders)
    epoch = make_epoch(make_step(plan.model, plan.optimizer, plan.loss), 64)
    state = loop.initial_state(plan, jax.random.key(0))
    for order, expected in zip(orders, metrics["train_loss"], strict=True):
        state, loss = epoch(state, plan.dataset.train, order)
        np.testing.assert_allclose(loss, expected, rtol=1e-4)
    chex.assert_trees_all_close(trained, state, rtol=1e-4, atol=1e-5)


def test_vmap_over_keys_equals_one_by_one_and_compiles_once(train):
    keys = jax.random.split(jax.random.key(0), 3)
    single = jax.jit(chex.assert_max_traces(train, n=1))
    alone = [single(key) for key in keys]
    together = jax.vmap(train)(keys)
    chex.assert_trees_all_close(together, jax.tree.map(lambda *each: jnp.stack(each), *alone), rtol=1e-4, atol=1e-5)


def test_vmap_over_learning_rates_equals_their_configs(train):
    rates, key = jnp.float32([0.01, 0.3]), jax.random.key(5)
    state, metrics = jax.vmap(train, in_axes=(None, 0))(key, {"learning_rate": rates})
    assert metrics["train_loss"].shape == (2, 3)
    expected, _ = make_train(plan_of({"learning_rate": 0.3}))(key)
    chex.assert_trees_all_close(jax.tree.map(lambda w: w[1], state.params), expected.params, rtol=1e-4, atol=1e-5)


def test_a_number_replaces_a_schedule_or_another_number(plan):
    schedule = {"name": "cosine_decay_schedule", "init_value": 1.0, "decay_steps": 5}
    chosen = plan_of({"learning_rate": schedule, "clip_norm": 1.0, "accumulate": 2})
    key, numbers = jax.random.key(0), {"learning_rate": 0.1, "b1": 0.5}
    state, _ = jax.jit(make_train(chosen))(key, numbers)
    expected, _ = jax.jit(make_train(plan_of({**numbers, "clip_norm": 1.0, "accumulate": 2})))(key)
    chex.assert_trees_all_close(state.params, expected.params, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"learning_rat": 0.1}, ValueError, "unknown override 'learning_rat'; there are: .* mean 'learning_rate'"),
        ({"mask": 0.1}, ValueError, "unknown override 'mask'"),
        ({"learning_rate": np.ones(3)}, TypeError, "'learning_rate': expected a number or a scalar array.*vmap"),
        ({"learning_rate": "fast"}, TypeError, "'learning_rate': expected a number or a scalar array"),
    ],
)
def test_a_wrong_override_is_reported(train, overrides, error, message):
    with pytest.raises(error, match=message):
        train(jax.random.key(0), overrides)


def test_an_override_that_optax_cannot_trace_is_reported():
    train = make_train(plan_of({"name": "lbfgs", "memory_size": 3}))
    with pytest.raises(ValueError, match=r"optax needs the value of an override \(memory_size\)"):
        jax.eval_shape(lambda size: train(jax.random.key(0), {"memory_size": size}), jnp.float32(3))


def test_a_stream_is_refused(plan, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32))
    table = {"path": str(tmp_path / "x.npy"), "target": 2, "stream": True}
    streamed = replace(plan, dataset=data.load(data.as_source(table)))
    with pytest.raises(ValueError, match=r"expected rows on the device.*set data.stream to false"):
        make_train(streamed)
