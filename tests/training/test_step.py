"""Steps, epochs and evaluations against loops by hand, optax and scikit-learn."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn import datasets, metrics

from densefn import L2, Dense, MaxNorm, Sequential, data
from densefn.data import Bundled, Rows
from densefn.data import dataset as dataset_module
from densefn.training.losses import CrossEntropy, SquaredError
from densefn.training.metrics import r2
from densefn.training.step import make_state, make_step

MODEL = Sequential(
    Dense(5, "tanh", kernel_regularizer=L2(0.1), activity_regularizer="l1"), Dense(3, kernel_constraint=MaxNorm(0.5))
)
OPTIMIZER = optax.adam(0.1)


@pytest.fixture
def rows(key):
    x = np.random.default_rng(0).normal(size=(10, 4))
    return Rows(jnp.asarray(x, jnp.float32), jnp.asarray(np.arange(10) % 3, jnp.int32))


@pytest.fixture
def state(key):
    return jax.jit(lambda key: make_state(MODEL, OPTIMIZER, key, 4))(key)


def test_a_step_minimises_loss_and_penalty_and_projects(state, rows):
    def objective(params):
        hidden = jnp.tanh(rows.x @ params["0"]["kernel"] + params["0"]["bias"][None])
        logits = hidden @ params["1"]["kernel"] + params["1"]["bias"][None]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), rows.y[:, None], axis=1)
        return -chosen.mean() + 0.1 * jnp.sum(params["0"]["kernel"] ** 2) + 0.01 * jnp.sum(jnp.abs(hidden)) / 10

    @jax.jit
    def by_hand(state):
        loss, gradient = jax.value_and_grad(objective)(state.params)
        updates, opt_state = OPTIMIZER.update(gradient, state.opt_state, state.params)
        return loss, optax.apply_updates(state.params, updates), opt_state

    loss, params, opt_state = by_hand(state)
    kernel = np.asarray(params["1"]["kernel"])
    norms = np.linalg.norm(kernel, axis=0, keepdims=True)
    assert np.any(norms > 0.5)
    params["1"]["kernel"] = kernel * np.minimum(norms, 0.5) / norms

    after, value = jax.jit(make_step(MODEL, OPTIMIZER, CrossEntropy()))(state, rows)
    close = {"rtol": 1e-5, "atol": 1e-6}  # float32; adam divides by the root of the squared gradient
    chex.assert_trees_all_close(after.params, params, **close)
    chex.assert_trees_all_close((value, after.step), (loss, np.int32(1)), **close)
    chex.assert_trees_all_close(after.opt_state, opt_state, **close)


def test_regression_losses_and_metrics_are_scikit_learn_s(rows):
    x = np.asarray(rows.x)
    targets = x[:, :2] * np.float32([[1, 3]])
    outputs = jnp.asarray(targets + np.float32(0.3) * x[:, 2:])
    np.testing.assert_allclose(
        SquaredError()(outputs, targets), metrics.mean_squared_error(targets, outputs), rtol=1e-5
    )
    np.testing.assert_allclose(r2(outputs, targets), metrics.r2_score(targets, outputs), rtol=1e-5)


class TestDtypes:
    """Outputs of 4096 rows and three columns, and targets, beside NumPy's float64."""

    def pairs(self, dtype):
        rng = np.random.default_rng(0)
        outputs = (rng.normal(size=(4096, 3)) + 1).astype(dtype)
        classes, targets = rng.integers(3, size=4096), rng.normal(size=(4096, 3)).astype(np.float32)
        y = outputs.astype(np.float64)
        logs = y - np.log(np.exp(y).sum(axis=1, keepdims=True))

        @jax.jit
        def values(outputs):
            losses = CrossEntropy()(outputs, classes), SquaredError()(outputs, targets)
            return *losses, r2(outputs, targets.astype(dtype))

        expected = -logs[np.arange(4096), classes].mean(), ((y - targets) ** 2).mean()
        return zip(values(outputs), (*expected, self.r2(y, targets.astype(dtype))), strict=True)

    def r2(self, y, targets):
        targets = targets.astype(np.float64)
        total = ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
        return np.mean(1 - ((y - targets) ** 2).sum(axis=0) / total)

    def test_float64_stays_float64(self):
        with jax.enable_x64(True):
            for value, expected in self.pairs(jnp.float64):
                assert value.dtype == jnp.float64
                np.testing.assert_allclose(value, expected, rtol=1e-12)

    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
    def test_narrow_dtypes_are_summed_in_float32(self, dtype):
        for value, expected in self.pairs(dtype):
            assert value.dtype == jnp.float32
            np.testing.assert_allclose(value, expected, rtol=1e-5)  # 4096 terms, each rounded by 6e-8


class TestData:
    @pytest.mark.parametrize("name", sorted(data.BUNDLED))
    def test_every_source_loads_and_splits(self, name):
        dataset = data.load(Bundled(name, validation_fraction=0.25, seed=3))
        x, y = data.BUNDLED[name].load(return_X_y=True)
        assert len(dataset.train.y) + len(dataset.validation.y) == len(y)
        assert len(dataset.validation.y) == round(len(y) * 0.25)
        assert dataset.features == x.shape[1]
        assert dataset.train.x.dtype == jnp.float32
        if dataset.classes:
            assert dataset.outputs == len(set(y.tolist()))
            assert dataset.train.y.dtype == jnp.int32
        else:
            assert dataset.outputs == (y.shape[1] if y.ndim > 1 else 1)

    def test_the_scale_comes_from_the_training_rows_alone(self):
        dataset = data.load(Bundled("wine", validation_fraction=0.5, seed=0))
        # Float32 columns, standardised in float64.
        np.testing.assert_allclose(dataset.train.x.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(dataset.train.x.std(axis=0), 1, atol=1e-5)
        assert np.abs(dataset.validation.x.mean(axis=0)).max() > 0.01

    def test_constant_columns_become_zero_and_the_seed_decides_the_split(self):
        same, again, other = (data.load(Bundled("digits", validation_fraction=0.2, seed=seed)) for seed in (0, 0, 1))
        assert np.ptp(datasets.load_digits().data[:, 0]) == 0
        np.testing.assert_array_equal(same.train.x[:, 0], 0)
        np.testing.assert_array_equal(same.train.y, again.train.y)
        assert not np.array_equal(same.train.y, other.train.y)

    @pytest.mark.parametrize(("fraction", "held_out"), [(1e-9, 1), (1 - 1e-9, 149)])
    def test_no_part_is_empty(self, fraction, held_out):
        settings = Bundled("iris", validation_fraction=fraction, seed=0)
        assert [len(part) for part in dataset_module._split(settings.read(), settings)] == [150 - held_out, held_out]
