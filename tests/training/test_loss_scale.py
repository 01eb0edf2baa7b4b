"""Loss scaling: which models have it, what it saves and skips, and that other models do not change."""

import json
from typing import Annotated

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from densefn import Dense, Einsum, Function, Layer, MaxNorm, Policy, Repeat, Residual, Sequential, precision
from densefn._registry import as_layer
from densefn.cli import main
from densefn.data import Bundled, Rows
from densefn.training import config, loop, loss_scale, runs
from densefn.training.config import Config, Train
from densefn.training.epochs import make_epoch
from densefn.training.loss_scale import Dynamic, Fixed
from densefn.training.losses import SquaredError
from densefn.training.optimizer import as_optimizer
from densefn.training.step import make_state, make_step

NARROW = Dense(1, dtype="mixed_float16")


class Wrapped(Layer):
    """A layer of the user's."""

    inside: Annotated[Layer, as_layer]

    def declare(self, input_shape=None):
        return self.inside.declare(input_shape)

    def forward(self, params, x):
        return self.inside.forward(params, x)

    def output_shape(self, input_shape):
        return self.inside.output_shape(input_shape)


@pytest.fixture
def rows(key):
    x = jax.random.normal(key, (16, 4))
    return Rows(x, x[:, :1] - 0.5 * x[:, 1:2])


def weighted(weight):
    return lambda outputs, targets: weight * SquaredError()(outputs, targets)


def trained(model, optimizer, loss, rows, *, steps, **options):
    state = make_state(model, optimizer, jax.random.key(1), 4, **options)
    step = make_step(model, optimizer, loss)
    return jax.jit(lambda state: jax.lax.scan(lambda state, _: step(state, rows), state, length=steps))(state)


class TestWhichModelsHaveIt:
    @pytest.mark.parametrize(
        "model",
        [
            Dense(3, dtype="float16"),
            Dense(3, dtype="mixed_float16"),
            Dense(3, dtype=Policy("float32", "float16", "float32")),
            Dense(3, dtype=Policy("float32", "float32", "float16")),
            Einsum("ab,bc->ac", 3, dtype="mixed_float16"),
            Sequential(Dense(3), Sequential("relu", Residual(Dense(3, dtype="float16")))),
            Repeat(Residual(Sequential(Dense(3, dtype="mixed_float16"))), times=2),
            Wrapped(Dense(3, dtype="mixed_float16")),
        ],
        ids=repr,
    )
    def test_models_with_float16_anywhere(self, model, key):
        state = make_state(model, optax.sgd(0.1), key, 3)
        assert state.loss_scale == Dynamic(2.0**15, 0)

    @pytest.mark.parametrize(
        "model",
        [
            Dense(3),
            Dense(3, dtype="mixed_bfloat16"),
            Dense(3, dtype=Policy("float16", "float32", "float32")),
            Sequential(Dense(3, dtype="bfloat16"), Repeat(Residual(Dense(3)), times=2), Function("relu")),
        ],
        ids=repr,
    )
    def test_no_others(self, model, key):
        assert make_state(model, optax.sgd(0.1), key, 3).loss_scale is None

    def test_on_request(self, key):
        assert make_state(Dense(3), optax.sgd(0.1), key, 3, scale="dynamic").loss_scale == Dynamic(2.0**15, 0)
        assert make_state(NARROW, optax.sgd(0.1), key, 3, scale=8).loss_scale == Fixed(8.0)


def test_a_step_without_a_scale_is_compiled_as_before_there_were_any(rows):
    model, optimizer = Sequential(Dense(5, "relu", kernel_constraint=MaxNorm(1.0)), Dense(1)), optax.adam(0.1)

    def objective(params, rows):
        value, penalty = model.forward(params, rows.x)
        return SquaredError()(value, rows.y) + penalty

    def step(state, rows):
        value, gradient = jax.value_and_grad(objective)(state[0], rows)
        updates, opt_state = optimizer.update(gradient, state[1], state[0])
        return (model.project(optax.apply_updates(state[0], updates)), opt_state, state[2] + 1), value

    state = make_state(model, optimizer, jax.random.key(0), 4)
    assert len(jax.tree.leaves(state)) == len(jax.tree.leaves(state[:3]))
    ours, plain = (
        jax.jit(function).lower(given, rows).as_text()
        for function, given in ((make_step(model, optimizer, SquaredError()), state), (step, tuple(state[:3])))
    )
    # The names of what is returned are all that differs.
    nameless = [[line for line in text.splitlines() if "func.func public" not in line] for text in (ours, plain)]
    assert nameless[0] == nameless[1]


def test_gradients_that_underflow_train_with_a_scale_and_not_without(rows):
    # Gradients of outputs are about 1e-9: zero in float16, whose least number is 6e-8, and times 2**15 they are not.
    optimizer, loss = optax.sgd(1e7), weighted(1e-8)
    state, losses = trained(NARROW, optimizer, loss, rows, steps=40)
    same, flat = trained(NARROW, optimizer, loss, rows, steps=40, scale=1)
    wide, expected = trained(Dense(1), optimizer, loss, rows, steps=40)
    chex.assert_trees_all_equal(same.params, make_state(NARROW, optimizer, jax.random.key(1), 4).params)
    assert flat[-1] == flat[0]
    assert losses[-1] < 1e-3 * losses[0]
    # Float16 has 11 bits; the outputs are of order 1.
    chex.assert_trees_all_close(state.params, wide.params, atol=5e-3)
    np.testing.assert_allclose(losses[:5], expected[:5], rtol=1e-2)
    assert state.step == 40


@pytest.mark.parametrize("scale", [2.0**15, 2.0**20])
def test_gradients_of_float16_parameters_are_unscaled_in_float32(scale):
    # Neither 1e-9 nor 2**20 is in the range of float16.
    narrow = lambda w: jnp.float32(1e-9) * jnp.sum(w.astype(jnp.float32))
    _, gradient = loss_scale.value_and_grad(narrow, loss_scale.start(scale))(jnp.ones(3, jnp.float16))
    # The scaled gradient is rounded once to float16, which has 11 bits.
    np.testing.assert_allclose(gradient, 1e-9, rtol=2.0**-11)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("optimizer", [optax.adam(0.05), optax.adamw(0.05, weight_decay=1e-2)], ids=["adam", "adamw"])
def test_optimizers_of_narrow_parameters_compute_in_float32(optimizer, dtype, rows):
    # Squares of gradients of 1e-3, a thousandth of which Adam adds up, are zero in float16.
    train = lambda name: trained(Dense(1, dtype=name), optimizer, weighted(1e-3), rows, steps=30, scale=2.0**10)
    narrow, wide = train(dtype), train("float32")
    assert {leaf.dtype.name for leaf in jax.tree.leaves(narrow[0].opt_state)} == {"float32", "int32"}
    assert {leaf.dtype.name for leaf in jax.tree.leaves(narrow[0].params)} == {dtype}
    # Each of 30 updates rounds parameters of order 1 by at most half a bit.
    bound = 30 * float(jnp.finfo(dtype).eps) / 2
    chex.assert_trees_all_close(jax.tree.map(precision.widen, narrow[0].params), wide[0].params, atol=bound)
    assert np.isfinite(narrow[1]).all()


class TestSkipping:
    OPTIMIZER = optax.adam(optax.linear_schedule(0.0, 0.1, 10))
    MODEL = Dense(1, kernel_constraint=MaxNorm(0.1), dtype="mixed_float16")

    def after(self, rows, weight=1.0, **options):
        state = make_state(self.MODEL, self.OPTIMIZER, jax.random.key(1), 4, **options)
        return state, *jax.jit(make_step(self.MODEL, self.OPTIMIZER, weighted(weight)))(state, rows)

    def test_an_overflow_changes_only_the_scale_and_the_loss_is_returned(self, rows):
        before, after, loss = self.after(rows, 1e3)
        chex.assert_trees_all_equal(after._replace(loss_scale=None), before._replace(loss_scale=None))
        assert after.loss_scale == Dynamic(2.0**14, 0)
        outputs = np.asarray(self.MODEL.apply(before.params, rows.x), np.float64)
        np.testing.assert_allclose(loss, 1e3 * np.mean((outputs - np.asarray(rows.y)) ** 2), rtol=1e-5)

    def test_a_finite_gradient_counts(self, rows):
        before, after, _ = self.after(rows)
        assert (after.step, after.loss_scale) == (1, Dynamic(2.0**15, 1))
        assert after.opt_state[0].count == 1
        assert not np.array_equal(after.params["kernel"], before.params["kernel"])

    def test_an_epoch_with_skipped_steps_has_a_finite_loss(self, rows):
        state = make_state(self.MODEL, self.OPTIMIZER, jax.random.key(1), 4)
        step = make_step(self.MODEL, self.OPTIMIZER, weighted(1e3))
        state, loss = make_epoch(step, 1)(state, rows, np.arange(16))
        assert 0 < state.step < 16
        assert state.loss_scale.scale == 2.0 ** (15 - (16 - state.step))
        assert np.isfinite(loss)

    def test_an_output_that_overflows_shows_in_the_loss(self, rows):
        before, after, loss = self.after(Rows(rows.x * 1e6, rows.y))
        assert not np.isfinite(loss)
        chex.assert_trees_all_equal(after.params, before.params)

    def test_a_number_skips_nothing(self, rows):
        _, after, _ = self.after(rows, 1e3, scale=2.0**15)
        assert not np.isfinite(after.params["kernel"]).all()
        assert (after.step, after.loss_scale) == (1, Fixed(2.0**15))

    def test_a_scale_reaches_neither_zero_nor_infinity(self):
        lowest, highest = Dynamic(jnp.float32(2.0**-126), jnp.int32(0)), Dynamic(jnp.float32(2.0**127), jnp.int32(1999))
        assert loss_scale.adjust(lowest, jnp.array(False)).scale == 2.0**-126
        assert loss_scale.adjust(highest, jnp.array(True)).scale == 2.0**127


@pytest.mark.parametrize("scale", ["dynamic", 1024, 3.0])
def test_float32_trains_the_same_with_any_scale(scale, rows):
    model, optimizer = Sequential(Dense(5, "tanh"), Dense(1)), optax.adam(0.1)
    plain, losses = trained(model, optimizer, SquaredError(), rows, steps=20)
    scaled, same = trained(model, optimizer, SquaredError(), rows, steps=20, scale=scale)
    # Twenty Adam steps in float32, compiled in two ways.
    chex.assert_trees_all_close((scaled.params, same), (plain.params, losses), rtol=1e-4, atol=1e-5)


def test_under_vmap_each_training_has_its_own_scale(rows):
    optimizer = optax.sgd(0.01)

    def train(weight):
        return trained(NARROW, optimizer, weighted(weight), rows, steps=12)[0]

    weights = jnp.array([1.0, 30.0, 1000.0])
    together = jax.jit(jax.vmap(lambda weight: train(weight)._replace(params={})))(weights)
    alone = [train(weight) for weight in weights]
    assert together.loss_scale.scale.tolist() == [float(state.loss_scale.scale) for state in alone]
    assert together.step.tolist() == [int(state.step) for state in alone]
    assert len(set(together.step.tolist())) == 3


class TestConfig:
    @pytest.fixture
    def settings(self):
        model = Sequential(Dense(16, "relu", dtype="mixed_float16"), Dense(3))
        optimizer = as_optimizer({"name": "adam", "learning_rate": 1e-2})
        return Config(Bundled("iris", batch_size=16), model, optimizer, Train(2))

    @pytest.mark.parametrize("given", ["dynamic", 1024.0, 0.5, None])
    def test_is_written_and_read(self, given, settings, tmp_path):
        written = Config(settings.data, settings.model, settings.optimizer, Train(2, loss_scale=given))
        (tmp_path / "a.toml").write_text(config.dump(written))
        assert config.load(tmp_path / "a.toml") == written
        assert ("loss_scale" in config.dump(written)) == (given is not None)

    @pytest.mark.parametrize("given", ["0", "-8", "inf", "nan", "static", "true", "[1]", "{}", "1e39", "1e-50"])
    def test_says_what_is_expected(self, given, settings, tmp_path, capsys):
        (tmp_path / "a.toml").write_text(config.dump(settings))
        assert main(["train", str(tmp_path / "a.toml"), "--set", f"train.loss_scale={given}"]) == 2
        expected = 'train.loss_scale: expected "dynamic" or a finite number above 0, got '
        assert expected in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]

    @pytest.mark.parametrize("given", [2.0**-126, 2.0**127])
    def test_the_last_powers_of_two_of_float32_are_scales(self, given):
        assert loss_scale.start(loss_scale.check(given)).scale == given
        outside = given * (2 if given > 1 else 0.5)
        with pytest.raises(ValueError, match="float32 takes 1.2e-38 to 1.7e38"):
            loss_scale.check(outside)

    def test_a_run_in_float16_is_scaled_and_its_folder_says_so(self, settings, tmp_path):
        plan = loop.prepare(settings)
        assert loop.initial_state(plan).loss_scale == Dynamic(2.0**15, 0)
        result = runs.start(plan, tmp_path / "run", print)
        assert np.isfinite([row["train_loss"] for row in result.metrics]).all()
        resolved = config.load(tmp_path / "run" / "config.toml")
        assert resolved.train == Train(2, loss_scale="dynamic", metrics=("accuracy",))
        again = runs.start(loop.prepare(resolved), tmp_path / "again", print)
        assert [{**row, "seconds": 0} for row in again.metrics] == [{**row, "seconds": 0} for row in result.metrics]

    def test_a_run_in_float32_is_not(self, settings):
        plan = loop.prepare(Config(settings.data, Dense(3), settings.optimizer, Train(2)))
        assert plan.config.train.loss_scale is None
        assert loop.initial_state(plan).loss_scale is None

    def test_the_command_counts_updates_and_skips_what_overflows(self, settings, tmp_path):
        (tmp_path / "a.toml").write_text(config.dump(settings))
        wide = "model.layers.1.kernel_initializer={name='RandomNormal', stddev=100}"
        assert main(["train", str(tmp_path / "a.toml"), "--run-dir", str(tmp_path / "run"), "--set", wide]) == 0
        rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
        assert 0 < rows[-1]["step"] < 2 * 8
        assert all(np.isfinite(row["train_loss"]) for row in rows)
