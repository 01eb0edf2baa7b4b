"""Combinators against the same thing by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import P

from densefn import L2, Dense, Function, MaxNorm, Output, Policy, Repeat, Residual, Sequential, from_dict, to_dict

# Float32 sums of eight products in another order.
CLOSE = {"rtol": 2e-6, "atol": 2e-6}
X = jnp.linspace(-1, 1, 24).reshape(3, 8)


class TestSequential:
    def test_is_its_layers_one_after_the_other(self, key):
        first, last = Dense(5, "relu", kernel_regularizer=L2(0.1)), Dense(2, activity_regularizer="l1")
        model = Sequential(first, jnp.tanh, last)
        params = model.init(key, (None, 8))
        assert list(params) == ["0", "2"]
        hidden, first_penalty = first.forward(params["0"], X)
        value, last_penalty = last.forward(params["2"], jnp.tanh(hidden))
        chex.assert_trees_all_equal(model.forward(params, X), Output(value, first_penalty + last_penalty))

    def test_only_the_first_layer_is_told_its_input(self, key):
        model = Sequential(Dense(5), Sequential(Dense(4), lambda x: x.reshape(*x.shape[:-1], 2, 2)), Dense(3))
        shapes = jax.tree.map(jnp.shape, model.init(key, (None, 8)))
        assert shapes["0"]["kernel"] == (8, 5)
        assert shapes["1"]["0"]["kernel"] == (5, 4)
        assert shapes["2"]["kernel"] == (2, 3)
        assert model.output_shape((None, 8)) == (None, 2, 3)

    def test_a_function_s_shape_is_worked_out_where_sizes_are_unknown(self):
        flat = Function(lambda x: x.reshape(x.shape[0], -1))
        assert flat.output_shape((None, 4, 5)) == (None, 20)
        assert flat.output_shape((7, 4, 5)) == (7, 20)
        assert Function(lambda x: x.sum(axis=-2)).output_shape((None, None, 5)) == (None, 5)

    def test_takes_a_list_as_keras_does_and_may_be_empty(self, key):
        assert Sequential([Dense(2), "relu"]) == Sequential(Dense(2), "relu")
        assert Sequential().init(key, (3,)) == {}
        np.testing.assert_array_equal(Sequential().apply({}, X), X)

    @pytest.mark.parametrize("wrong", [3, None, Dense])
    def test_refuses_what_is_no_layer(self, wrong):
        with pytest.raises((TypeError, ValueError), match=r"layers: \[1\]: expected a layer, or a function"):
            Sequential(Dense(2), wrong)

    def test_an_error_tells_the_whole_path(self, key):
        model = Sequential(Dense(8), Sequential("relu", Residual(Dense(8))))
        params = model.init(key, (8,))
        broken = {**params, "1": {"1": Dense(8).init(key, (5,))}}
        with pytest.raises(ValueError, match=r"^Dense\(units=8\) at '1/1': expected x\[\.\.\., 5\]"):
            model.apply(broken, X)
        with pytest.raises(ValueError, match=r"Sequential.* expected params with the keys \['0', '1'\], got \['0'\]"):
            model.apply({"0": params["0"]}, X)

    def test_a_function_that_returns_no_array_is_named(self, key):
        with pytest.raises(
            TypeError, match=r"Function\(function=pair\) at '1': expected the function to return one array"
        ):
            Sequential(Dense(2), pair).init(key, (3,))

    def test_a_function_of_the_user_s_cannot_go_to_a_dict(self):
        with pytest.raises(TypeError, match="got the function pair"):
            to_dict(Sequential(Dense(2), pair))


def pair(x):
    return x, x


class TestInitialValues:
    """A value depends on the key and the path only."""

    def test_removing_a_bias_leaves_all_others(self, key):
        with_bias = Sequential(Dense(5), Dense(4)).init(key, (8,))
        without = Sequential(Dense(5, use_bias=False), Dense(4)).init(key, (8,))
        del with_bias["0"]["bias"]
        chex.assert_trees_all_equal(with_bias, without)

    def test_adding_a_layer_leaves_all_others(self, key):
        params = Sequential(Dense(5), Dense(4)).init(key, (8,))
        more = Sequential(Dense(5), Dense(4), Dense(3)).init(key, (8,))
        del more["2"]
        chex.assert_trees_all_equal(params, more)

    def test_repeating_more_often_leaves_the_first(self, key):
        three, five = (Repeat(Dense(8), times).init(key, (8,)) for times in (3, 5))
        chex.assert_trees_all_equal(three, jax.tree.map(lambda w: w[:3], five))

    def test_residual_leaves_all(self, key):
        chex.assert_trees_all_equal(Residual(Dense(8)).init(key, (8,)), Dense(8).init(key, (8,)))

    def test_layers_and_repetitions_differ(self, key):
        params = Sequential(Dense(8), Dense(8), Repeat(Dense(8), 2)).init(key, (8,))
        kernels = [params["0"]["kernel"], params["1"]["kernel"], *params["2"]["kernel"]]
        assert len({np.asarray(kernel).tobytes() for kernel in kernels}) == 4

    def test_a_sharded_init_equals_an_unsharded_one(self, key):
        model = Sequential(Dense(8), Repeat(Dense(8), 2))
        mesh = jax.make_mesh((2,), ("units",), axis_types=(jax.sharding.AxisType.Auto,))
        sharded = jax.jit(lambda key: model.init(key, (None, 8)), out_shardings=jax.NamedSharding(mesh, P("units")))(
            key
        )
        chex.assert_trees_all_equal(sharded, model.init(key, (None, 8)))


class TestResidual:
    def test_adds_the_input(self, key):
        params = Residual(Dense(8, "tanh")).init(key, (8,))
        expected = X + Dense(8, "tanh").apply(params, X)
        chex.assert_trees_all_close(Residual(Dense(8, "tanh")).apply(params, X), expected, **CLOSE)

    def test_sums_of_different_dtypes_are_wide(self, key):
        layer = Residual(Dense(8, dtype="mixed_bfloat16"))
        assert layer.apply(layer.init(key, (8,)), X).dtype == jnp.float32

    def test_refuses_a_layer_that_changes_the_shape(self, key):
        with pytest.raises(ValueError, match=r"keeps the shape of its input \(None, 8\), got output \(None, 3\)"):
            Residual(Dense(3)).output_shape((None, 8))
        with pytest.raises(ValueError, match="keeps the shape of its input"):
            Residual(Dense(3)).apply(Dense(3).init(key, (8,)), X)


class TestRepeat:
    BODY = Residual(
        Dense(8, "tanh", kernel_regularizer="l2", activity_regularizer="l1", kernel_constraint=MaxNorm(0.5))
    )

    def test_is_the_unrolled_loop(self, key):
        layer = Repeat(self.BODY, times=4)
        params = layer.init(key, (None, 8))
        assert params["kernel"].shape == (4, 8, 8)
        value, penalty = X, 0.0
        for index in range(4):
            one = jax.tree.map(lambda w, index=index: w[index], params)
            value, added = self.BODY.forward(one, value)
            penalty += added
        chex.assert_trees_all_close(layer.forward(params, X), Output(value, penalty), **CLOSE)

    def test_projects_each_repetition(self, key):
        layer = Repeat(self.BODY, times=4)
        params = layer.init(key, (None, 8))
        norms = np.linalg.norm(layer.project(params)["kernel"], axis=1)
        assert norms.shape == (4, 8)
        assert np.all(norms <= 0.5)
        assert np.all(np.linalg.norm(params["kernel"], axis=1) > 0.5)

    def test_each_repetition_has_the_fans_of_one_kernel(self, key):
        kernel = Repeat(Dense(8, kernel_initializer="he_uniform"), 500).init(key, (8,))["kernel"]
        # 32,000 draws of U(-limit, limit): their variance is limit^2 / 3 to 1 %, five times its standard error.
        np.testing.assert_allclose(np.var(kernel), 2 / 8, rtol=0.03)
        assert np.abs(kernel).max() <= np.sqrt(6 / 8)

    @pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "bfloat16"])
    @pytest.mark.parametrize("given", [jnp.int32, jnp.bfloat16, jnp.float32])
    @pytest.mark.parametrize("wrap", [lambda layer: layer, Residual])
    def test_takes_inputs_of_any_dtype(self, dtype, given, wrap, key):
        layer = Repeat(wrap(Dense(8, dtype=dtype)), 2)
        value = layer.apply(layer.init(key, (8,)), X.astype(given))
        assert value.shape == X.shape

    def test_what_is_compiled_does_not_grow_with_the_repetitions(self, key):
        def size(times):
            layer = Repeat(self.BODY, times)
            params = jax.eval_shape(lambda key: layer.init(key, (None, 8)), key)
            gradient = jax.grad(lambda params, x: jnp.sum(layer.apply(params, x)))
            return sum(
                len(jax.jit(function).lower(params, X).as_text().splitlines()) for function in (layer.apply, gradient)
            )

        assert size(4) == size(256)

    def test_refuses_what_cannot_be_repeated(self, key):
        with pytest.raises(ValueError, match="times: expected a whole number of at least 1, got 0"):
            Repeat(Dense(8), 0)
        with pytest.raises(ValueError, match="keeps the shape of its input"):
            Repeat(Dense(3), 2).init(key, (8,))
        with pytest.raises(ValueError, match=r"expected params stacked \[3, ...\], got bias of shape \[2, 8\]"):
            Repeat(Dense(8), 3).apply(Repeat(Dense(8), 2).init(key, (8,)), X)


class TestDicts:
    def test_a_table_means_dense_unless_it_names_another_class(self):
        layer = from_dict({"layer": "Repeat", "times": 2, "body": {"units": 8, "activation": "tanh"}})
        assert layer == Repeat(Dense(8, "tanh"), 2)

    def test_all_mistakes_are_told_with_their_paths(self):
        with pytest.raises(ValueError) as error:
            from_dict(
                {
                    "layer": "Sequential",
                    "layers": [{"unit": 3}, {"units": 0, "activation": "rel"}, {"layer": "Dens"}, 3],
                }
            )
        message = str(error.value)
        assert "layers[0].unit: unknown key 'unit'" in message
        assert "layers[0]: missing key 'units'" in message
        assert "layers[1].units: expected a whole number of at least 1, got 0" in message
        assert "layers[1].activation: unknown activation 'rel'" in message
        assert "layers[2].layer: unknown layer 'Dens'" in message
        assert "layers[3]: expected a layer" in message

    def test_policies_and_constraints_go_to_a_dict_and_back(self):
        layer = Dense(3, kernel_constraint=MaxNorm(1.0, axis=(0, 1)), dtype=Policy("float32", "bfloat16", "float32"))
        assert from_dict(to_dict(layer)) == layer

    def test_what_is_no_dict_is_refused(self):
        with pytest.raises(TypeError, match="expected a dict that describes a layer"):
            from_dict("Dense")
