"""What is done around optax's optimizers: masks of weight decay, clipping, accumulation."""

import functools
import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from densefn import L2, Dense, MaxNorm, Repeat, Sequential
from densefn._values import TableError, fields
from densefn.data import Rows
from densefn.training.losses import SquaredError
from densefn.training.optax_calls import OPTIMIZERS, SCHEDULES, _argument, kernels
from densefn.training.optimizer import Optimizer, as_optimizer
from densefn.training.step import make_state, make_step

MODEL = Sequential(Dense(4, "tanh", kernel_constraint=MaxNorm(0.3)), Repeat(Dense(4), times=2), Dense(1))


X = np.float32(np.random.default_rng(0).normal(size=(16, 3)))
ROWS = Rows(X, 5 * X[:, :1] - X[:, 1:2])


@pytest.fixture
def rows():
    return ROWS


def optimizer(**table):
    return as_optimizer({"learning_rate": 0.1, **table}).make()


def part(rows, index):
    return Rows(rows.x[4 * index : 4 * index + 4], rows.y[4 * index : 4 * index + 4])


def test_no_key_is_an_argument_of_optax():
    own = {field.name for field in fields(Optimizer)}
    for name, function in OPTIMIZERS.items():
        assert not own & inspect.signature(function).parameters.keys(), name


DECAYS = [
    (name, decay)
    for name, function in OPTIMIZERS.items()
    for decay in ("weight_decay", "weight_decay_rate")
    if decay in inspect.signature(function).parameters and name != "novograd"
]


class TestWeightDecay:
    def changed(self, *tables):
        """The names of the parameters that each optimizer changes where all gradients are zero."""
        rng = np.random.default_rng(0)
        shapes = jax.eval_shape(lambda key: MODEL.init(key, (None, 3)), jax.random.key(0))
        params = jax.tree.map(lambda w: np.float32(rng.uniform(0.1, 1, size=w.shape)), shapes)

        @jax.jit
        def updates(params, gradient):
            made = [optimizer(**table) for table in tables]
            return [each.update(gradient, each.init(params), params)[0] for each in made]

        names = lambda update: {
            path[-1].key for path, leaf in jax.tree_util.tree_leaves_with_path(update) if np.any(np.asarray(leaf) != 0)
        }
        return [names(update) for update in updates(params, jax.tree.map(np.zeros_like, params))]

    @pytest.mark.parametrize(("name", "decay"), DECAYS)
    def test_leaves_biases_out_unless_asked(self, name, decay):
        parameters = inspect.signature(OPTIMIZERS[name]).parameters
        mask = next(key for key in ("mask", "weight_decay_mask") if key in parameters)
        tables = [{"name": name, decay: 0.1, **masked} for masked in ({}, {mask: "kernels"}, {mask: "all"})]
        assert self.changed(*tables) == [{"kernel"}, {"kernel"}, {"kernel", "bias"}]

    def test_the_optimizer_without_a_mask_is_known(self):
        assert {name for name, _ in DECAYS} >= {"adamw", "lion", "lamb", "adafactor", "lars"}
        assert self.changed({"name": "novograd", "weight_decay": 0.1}) == [{"kernel", "bias"}]

    def test_another_mask_is_refused(self):
        with pytest.raises(TableError, match="mask: expected one of kernels, all, got 'biases'"):
            optimizer(name="adamw", mask="biases")


class TestClipping:
    def clipped(self, gradient, **table):
        made = optimizer(name="sgd", **table)
        updates, _ = made.update(gradient, made.init(gradient), gradient)
        return jax.tree.map(lambda update: -10 * update, updates)

    @pytest.mark.parametrize("limit", [0.1, 3.0, 1e3])
    def test_the_norm_is_that_of_all_gradients_together(self, limit, key):
        gradient = {name: jax.random.normal(jax.random.fold_in(key, n), (4, 3)) for n, name in enumerate("ab")}
        norm = np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradient.values()))
        expected = {name: np.asarray(g) * min(1, limit / norm) for name, g in gradient.items()}
        chex.assert_trees_all_close(self.clipped(gradient, clip_norm=limit), expected, rtol=1e-5)

    def test_the_value_is_that_of_each_entry(self, key):
        gradient = jax.random.normal(key, (40,))
        np.testing.assert_allclose(self.clipped(gradient, clip_value=0.5), np.clip(gradient, -0.5, 0.5), rtol=1e-5)

    def test_not_both(self):
        with pytest.raises(TableError, match="expected clip_norm or clip_value, got both"):
            optimizer(name="sgd", clip_norm=1, clip_value=1)


class TestAccumulation:
    def test_four_parts_are_one_batch(self, rows, key):
        schedule = {"name": "exponential_decay", "init_value": 0.1, "transition_steps": 1, "decay_rate": 0.5}
        table = {"name": "adamw", "clip_norm": 0.5, "learning_rate": schedule}
        whole, parts = optimizer(**table), optimizer(**table, accumulate=4)
        state, expected = (make_state(MODEL, made, key, 3, ema=0.5) for made in (parts, whole))
        in_parts, at_once = (jax.jit(make_step(MODEL, made, SquaredError())) for made in (parts, whole))
        for _ in range(3):
            for index in range(4):
                before = state
                state, _ = in_parts(state, part(rows, index))
                if index < 3:
                    unchanged = lambda state: state._replace(opt_state=state.opt_state.inner_opt_state)
                    chex.assert_trees_all_equal(unchanged(state), unchanged(before))
            expected, _ = at_once(expected, rows)
            # Adam's steps of float32, on means taken in another order.
            chex.assert_trees_all_close(state.params, expected.params, rtol=1e-4, atol=1e-5)
            chex.assert_trees_all_close(state.average, expected.average, rtol=1e-4, atol=1e-5)
            assert state.step == expected.step
        assert state.step == 3

    def test_first_parameters_that_no_constraint_has_met_stay_until_the_update(self, rows, key):
        made = optimizer(name="sgd", accumulate=2)
        state = make_state(MODEL, made, key, 3)
        norms = lambda state: np.linalg.norm(state.params["0"]["kernel"], axis=0)
        assert norms(state).max() > 0.31
        step = jax.jit(make_step(MODEL, made, SquaredError()))
        first, _ = step(state, part(rows, 0))
        chex.assert_trees_all_equal(first.params, state.params)
        second, _ = step(first, part(rows, 1))
        assert norms(second).max() < 0.3001

    def test_a_gradient_that_overflows_is_left_out(self, rows, key):
        model, made = Dense(1), optimizer(name="sgd", accumulate=2)
        state = make_state(model, made, key, 3, scale="dynamic")
        step = jax.jit(make_step(model, made, SquaredError()))
        broken = Rows(part(rows, 1).x, part(rows, 1).y * jnp.inf)
        for batch in (part(rows, 0), broken, part(rows, 2)):
            state, _ = step(state, batch)
        expected = make_state(model, made, key, 3, scale="dynamic")
        for batch in (part(rows, 0), part(rows, 2)):
            expected, _ = step(expected, batch)
        # The scale is half as large, which is exact.
        chex.assert_trees_all_equal(state.params, expected.params)
        assert state.step == 1

    def test_float64_is_accumulated_in_float64(self):
        with jax.enable_x64(True):
            made = optimizer(name="sgd", accumulate=2)
            assert made.init(jnp.zeros(3)).acc_grads.dtype == jnp.float64


def test_an_optimizer_alone_is_optax_s_own(key):
    params = MODEL.init(key, (None, 3))
    ours, theirs = optimizer(name="adam"), optax.adam(0.1)
    chex.assert_trees_all_equal(ours.init(params), theirs.init(params))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"clip_nrm": 1}, "clip_nrm: unknown argument 'clip_nrm'.*clip_norm.*Did you mean 'clip_norm'"),
        ({"clip_norm": 0}, "clip_norm: expected a finite number above 0, got 0"),
        ({"accumulate": 0}, "accumulate: expected a whole number of at least 1, got 0"),
        ({"accumulate": 1.5, "b7": 1}, "b7: unknown argument 'b7'.*; accumulate: expected a whole number"),
        ({"name": [1]}, r"name: unknown optimizer \[1\]; there are: adabelief"),
        ({"learning_rate": {"name": [1]}}, r"learning_rate.name: unknown schedule \[1\]; there are: constant"),
        (
            {"name": "lbfgs", "linesearch": 1},
            "linesearch: unknown argument 'linesearch'; there are: learning_rate, mem",
        ),
        ({"name": "sgd", "momentum": "much"}, "momentum: expected a finite number .*, got 'much'"),
        ({"learning_rate": 0}, "^learning_rate: expected a finite number above 0, got 0$"),
        ({"learning_rate": -0.1}, "^learning_rate: expected a finite number above 0, got -0.1$"),
        ({"b1": 2}, "^b1: expected a finite number of at least 0 and below 1, got 2$"),
        ({"b2": -0.5}, "^b2: expected a finite number of at least 0 and below 1, got -0.5$"),
        ({"eps": -1e-8}, "^eps: expected a finite number of at least 0, got -1e-08$"),
        ({"name": "adamw", "weight_decay": -1e-4}, "^weight_decay: expected a finite number of at least 0, got -0.0"),
        ({"name": "sgd", "momentum": 1}, "^momentum: expected a finite number of at least 0 and below 1, got 1$"),
        ({"name": "rmsprop", "decay": 1.5}, "^decay: expected a finite number of at least 0 and below 1, got 1.5$"),
        ({"name": "adafactor", "decay_rate": 0}, "^decay_rate: expected a finite number above 0, got 0$"),
        ({"name": "lbfgs", "memory_size": 0}, "^memory_size: expected a whole number of at least 1, got 0$"),
        ({"name": "noisy_sgd", "key": 0.5}, "^key: expected a whole number of at least 0, got 0.5$"),
        ({"call": 1}, "call: unknown argument 'call'"),
        ({"learning_rate": 1e-50}, r"^learning_rate: .* from 1\.2e-38 to 3\.4e\+38, got 1e-50$"),
        ({"learning_rate": 1e39}, r"^learning_rate: .* to 3\.4e\+38, got 1e\+39$"),
        ({"eps": 1e-39}, r"^eps: expected a number of float32, 0 or .* from 1\.2e-38 .*, got 1e-39$"),
        ({"name": "adamw", "weight_decay": 1e-46}, r"^weight_decay: .* from 1\.2e-38 .*, got 1e-46$"),
        ({"b2": 0.99999999999}, r"^b2: .* below 1, got 1\.0, to which float32 rounds 0\.99999999999$"),
        ({"clip_norm": 1e-50}, r"^clip_norm: .* from 1\.2e-38 .*, got 1e-50$"),
        ({"accumulate": 2**31}, "^accumulate: .* at most 2147483647, got 2147483648$"),
    ],
)
def test_mistakes(table, message):
    with pytest.raises(TableError, match=message):
        optimizer(**{"name": "adam", **table})


@pytest.mark.parametrize("functions", [OPTIMIZERS, SCHEDULES])
def test_defaults_of_optax_are_in_range(functions):
    for name, function in functions.items():
        for argument, parameter in inspect.signature(function).parameters.items():
            if isinstance(parameter.default, int | float) and not isinstance(parameter.default, bool):
                assert _argument(parameter, None, parameter.default) == parameter.default, (name, argument)


def test_is_written_and_read():
    for own in ({}, {"clip_norm": 1.0}, {"clip_value": 0.5, "accumulate": 3}):
        made = as_optimizer({"name": "adamw", "learning_rate": 0.1, **own})
        assert as_optimizer(made.to_table()) == made
        assert made.to_table()["mask"] == "kernels"


def by_optax(name, arguments):
    """Optax's own optimizer, which leaves the biases out of its weight decay as a config's does."""
    parameters = inspect.signature(getattr(optax, name)).parameters
    masks = {mask: kernels for mask in ("mask", "weight_decay_mask") if mask in parameters}
    return getattr(optax, name)(**arguments, **masks, **({"key": 0} if "key" in parameters else {}))


STEPPED, LOSS = Dense(1, kernel_regularizer=L2(1.0)), SquaredError()


def some_arguments(name):
    # Those that ask for the loss take steps that depend on it.
    rates = {"lbfgs": {"learning_rate": 1.0}, "polyak_sgd": {"max_learning_rate": 1e3}}
    decays = {"weight_decay", "weight_decay_rate"} & inspect.signature(OPTIMIZERS[name]).parameters.keys()
    return {**rates.get(name, {"learning_rate": 0.05}), **dict.fromkeys(decays, 0.1)}


@functools.cache
def after_three_steps_of_optax(name):
    theirs = optax.with_extra_args_support(by_optax(name, some_arguments(name)))
    objective = lambda params: LOSS(STEPPED.apply(params, ROWS.x), ROWS.y) + STEPPED.forward(params, ROWS.x)[1]

    @jax.jit
    def step(params, opt_state):
        value, gradient = jax.value_and_grad(objective)(params)
        asked_for = {"value": value, "grad": gradient, "value_fn": objective}
        updates, opt_state = theirs.update(gradient, opt_state, params, **asked_for)
        return optax.apply_updates(params, updates), opt_state

    params = STEPPED.init(jax.random.key(0), (None, 3))
    opt_state = theirs.init(params)
    for _ in range(3):
        params, opt_state = step(params, opt_state)
    return params


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_optimizer_steps_as_optax_s_does(name, accumulate, rows):
    made = as_optimizer({"name": name, **some_arguments(name), "accumulate": accumulate}).make()
    state = make_state(STEPPED, made, jax.random.key(0), 3)
    chex.assert_trees_all_equal(state.params, STEPPED.init(jax.random.key(0), (None, 3)))
    step = jax.jit(make_step(STEPPED, made, LOSS))
    assert jax.eval_shape(step, state, rows)[0] == jax.eval_shape(lambda: state)  # nothing to compile a second time
    for _ in range(3 * accumulate):
        state, _ = step(state, rows)
    # Three steps of float32, compiled in two ways.
    chex.assert_trees_all_close(state.params, after_three_steps_of_optax(name), rtol=1e-4, atol=1e-5)
