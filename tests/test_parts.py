"""Initializers, regularizers, constraints, precision and the summary, against NumPy and jax.nn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import densefn
from densefn import (
    L1,
    L2,
    Dense,
    MaxNorm,
    NonNeg,
    Repeat,
    Residual,
    Sequential,
    UnitNorm,
    constraints,
    initializers,
    regularizers,
    summary,
)

W = np.array([[3.0, 0.1, 0.0], [-4.0, -0.2, 0.0]], np.float32)


class TestInitializers:
    @pytest.mark.parametrize("name", ["HeNormal", "Identity"])
    def test_have_their_former_names_at_the_top_with_a_warning(self, name):
        with pytest.warns(DeprecationWarning, match=f"use densefn.initializers.{name}"):
            assert getattr(densefn, name) is getattr(initializers, name)
        assert name not in dir(densefn)
        assert not hasattr(densefn, "he_normal")

    @pytest.mark.parametrize(
        "name", ["glorot_uniform", "glorot_normal", "lecun_uniform", "lecun_normal", "he_uniform", "he_normal"]
    )
    def test_draws_what_jax_s_own_initializer_draws(self, name, key):
        ours = initializers.get(name)(key, (30, 50), jnp.float32)
        theirs = getattr(jax.nn.initializers, name)()(key, (30, 50), jnp.float32)
        # The same draws, scaled in another order: a unit in the last place of the limit, which is below 0.5.
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=3e-8)

    @pytest.mark.parametrize(
        ("name", "variance", "bound"),
        [
            ("glorot_uniform", 2 / 800, np.sqrt(6 / 800)),
            ("glorot_normal", 2 / 800, 2.2737 * np.sqrt(2 / 800)),
            ("lecun_uniform", 1 / 300, np.sqrt(3 / 300)),
            ("lecun_normal", 1 / 300, 2.2737 * np.sqrt(1 / 300)),
            ("he_uniform", 2 / 300, np.sqrt(6 / 300)),
            ("he_normal", 2 / 300, 2.2737 * np.sqrt(2 / 300)),
        ],
    )
    def test_has_the_moments_and_bounds_of_its_formula(self, name, variance, bound, key):
        kernel = np.asarray(initializers.get(name)(key, (300, 500), jnp.float32), np.float64)
        # 150,000 draws: the standard error of a variance is at most 0.4 % of it, of a mean 0.26 % of the deviation.
        np.testing.assert_allclose(kernel.var(), variance, rtol=0.01)
        assert abs(kernel.mean()) < 0.01 * np.sqrt(variance)
        assert 0.98 * bound < np.abs(kernel).max() <= bound

    def test_zeros_and_ones_and_narrow_dtypes(self, key):
        np.testing.assert_array_equal(initializers.get("zeros")(key, (3,)), np.zeros(3))
        np.testing.assert_array_equal(initializers.get("Ones")(key, (3,)), np.ones(3))
        wide = initializers.get("he_normal")(key, (30, 50), jnp.float32)
        narrow = initializers.get("he_normal")(key, (30, 50), jnp.bfloat16)
        np.testing.assert_array_equal(narrow, wide.astype(jnp.bfloat16))

    def test_a_bias_has_the_fans_of_a_vector(self, key):
        bias = Dense(20_000, bias_initializer="glorot_uniform").init(key, (1,))["bias"]
        np.testing.assert_allclose(np.abs(bias).max(), np.sqrt(6 / 40_000), rtol=0.01)

    def test_no_features_are_no_error(self, key):
        layer = Dense(3, bias_initializer="ones")
        np.testing.assert_array_equal(layer.apply(layer.init(key, (None, 0)), jnp.ones((2, 0))), np.ones((2, 3)))


class TestRegularizers:
    def test_are_their_formulas(self):
        np.testing.assert_allclose(L1(0.5)(jnp.array(W)), 0.5 * 7.3, rtol=1e-6)
        np.testing.assert_allclose(L2(0.5)(jnp.array(W)), 0.5 * 25.05, rtol=1e-6)
        assert regularizers.get("l1") == L1(0.01)
        assert regularizers.get("L2") == L2(0.01)
        assert regularizers.get(None) is None

    def test_narrow_arrays_are_summed_in_float32(self):
        total = L1(1.0)(jnp.ones(10_001, jnp.bfloat16))
        assert (total.dtype, float(total)) == (jnp.float32, 10_001.0)


class TestConstraints:
    def test_max_norm_scales_long_columns_and_keeps_short_and_zero_ones(self):
        expected = np.stack([W[:, 0] * 2 / 5, W[:, 1], W[:, 2]], axis=1)
        np.testing.assert_allclose(MaxNorm(2.0)(jnp.array(W)), expected, rtol=1e-6)  # epsilon: 1e-7 of a norm

    def test_unit_norm_scales_all_but_zero_columns(self):
        expected = np.stack([W[:, 0] / 5, W[:, 1] / np.sqrt(0.05), W[:, 2]], axis=1)
        np.testing.assert_allclose(UnitNorm()(jnp.array(W)), expected, rtol=1e-6)
        rows = UnitNorm(axis=-1)(jnp.array(W))
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 1], rtol=1e-6)

    def test_non_neg_is_zero_for_negative_zero_and_keeps_nan(self):
        projected = np.asarray(NonNeg()(jnp.array([-1.0, -0.0, 2.0, np.nan])))
        np.testing.assert_array_equal(projected, [0.0, 0.0, 2.0, np.nan])
        assert not np.signbit(projected[1])

    def test_a_vector_is_one_column_and_dtypes_are_kept(self):
        np.testing.assert_allclose(MaxNorm(1.0)(jnp.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-6)
        assert constraints.get("unit_norm")(jnp.ones((2, 2), jnp.bfloat16)).dtype == jnp.bfloat16


def test_the_summary_counts_what_init_makes(key):
    model = Sequential(Dense(5, "relu"), Repeat(Residual(Dense(5, dtype="bfloat16")), times=3), "softmax", Dense(2))
    table = summary(model, (None, 7))
    leaves = jax.tree.leaves(model.init(key, (None, 7)))
    assert table.count == sum(leaf.size for leaf in leaves) == 40 + 3 * 30 + 12
    assert table.size == sum(leaf.nbytes for leaf in leaves)
    assert [(row.depth, row.name, row.count) for row in table.rows] == [
        (0, "", 142), (1, "0", 40), (1, "1", 90), (2, "", 30), (3, "", 30), (1, "2", 0), (1, "3", 12),
    ]  # fmt: skip
    assert str(table).splitlines()[-1] == "total, 388 bytes" + str(table).splitlines()[-1][16:]
    assert str(table).endswith(" 142")


def test_the_summary_of_a_wrong_input_names_the_layer():
    with pytest.raises(ValueError, match=r"Dense\(units=5\) at '0': expected an input shape whose last entry"):
        summary(Sequential(Dense(5)), (7, None))
