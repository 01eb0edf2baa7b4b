"""Dense against NumPy in float64, and its error messages."""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from densefn import L1, L2, Dense, Layer, LayerError, MaxNorm, NonNeg, Param, Policy, Sequential, summary
from densefn.initializers import Zeros
from densefn.layer import Output

REFERENCES = {
    None: lambda y: y,
    "linear": lambda y: y,
    "relu": lambda y: np.maximum(y, 0),
    "gelu": lambda y: y * stats.norm.cdf(y),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "softmax": lambda y: special.softmax(y, axis=-1),
}


@pytest.mark.parametrize("activation", REFERENCES)
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 3, 7), (2, 1, 3, 7)])
def test_is_activation_of_product_plus_bias(activation, use_bias, shape, key):
    layer = Dense(4, activation, use_bias=use_bias, bias_initializer="ones")
    params = layer.init(key, shape)
    x = jax.random.normal(key, shape)
    kernel = np.asarray(params["kernel"], np.float64)
    expected = REFERENCES[activation](np.asarray(x, np.float64) @ kernel + (1 if use_bias else 0))
    # Seven products in float32, a unit in the last place (6e-8) each, and a smooth function of the sum.
    np.testing.assert_allclose(layer.apply(params, x), expected, rtol=1e-6, atol=1e-6)


def test_100_inputs_and_25_600_units_make_2_560_000_parameters(key):
    layer = Dense(10 * 10 * 256, use_bias=False)
    params = layer.init(key, (100,))
    assert jax.tree.map(jnp.shape, params) == {"kernel": (100, 25600)}
    assert params["kernel"].size == summary(layer, (None, 100)).count == 2_560_000
    assert layer.output_shape((None, 100)) == (None, 25600)


def test_penalties_are_those_of_the_stored_parameters_and_of_the_output_over_the_batch(key):
    layer = Dense(
        3,
        "tanh",
        bias_initializer="ones",
        kernel_regularizer=L2(0.1),
        bias_regularizer=L1(0.2),
        activity_regularizer="l1",
    )
    params = layer.init(key, (None, 5))
    x = jax.random.normal(key, (4, 6, 5))
    y, penalty = layer.forward(params, x)
    kernel, activity = (np.asarray(a, np.float64) for a in (params["kernel"], y))
    expected = 0.1 * np.sum(kernel**2) + 0.2 * 3 + 0.01 * np.sum(np.abs(activity)) / 4
    np.testing.assert_allclose(penalty, expected, rtol=1e-6)  # a float32 sum of 72 terms


def test_a_single_example_s_activity_is_not_divided_by_its_units(key):
    layer = Dense(3, activity_regularizer=L2(1.0))
    params = layer.init(key, (5,))
    y, penalty = layer.forward(params, jnp.ones(5))
    np.testing.assert_allclose(penalty, np.sum(np.square(y)), rtol=1e-6)


def test_a_donated_penalty_of_nothing_leaves_that_of_other_calls(key):
    layer = Dense(3)
    params = layer.init(key, (5,))
    first, second = (layer.forward(params, jnp.ones(5)).penalty for _ in range(2))
    jax.jit(lambda penalty: penalty + 1, donate_argnums=0)(first)
    assert first.is_deleted()
    assert (second, layer.forward(params, jnp.ones(5)).penalty) == (0, 0)


def test_the_penalty_of_an_empty_batch_is_that_of_the_parameters(key):
    layer = Dense(3, kernel_regularizer="l2", activity_regularizer="l2")
    params = layer.init(key, (5,))
    expected = 0.01 * np.sum(np.square(params["kernel"]))
    np.testing.assert_allclose(layer.forward(params, jnp.ones((0, 5))).penalty, expected, rtol=1e-6)


def test_penalties_of_narrow_parameters_are_summed_in_float32():
    layer = Dense(100, use_bias=False, kernel_initializer="ones", kernel_regularizer=L2(1.0), dtype="bfloat16")
    params = layer.init(jax.random.key(0), (101,))
    # A bfloat16 has 8 bits: it cannot hold 10,100.
    assert layer.forward(params, jnp.ones(101)).penalty == 10_100


def test_project_applies_each_constraint_to_its_parameter():
    layer = Dense(2, kernel_constraint=MaxNorm(1.0), bias_constraint=NonNeg())
    projected = layer.project({"kernel": jnp.array([[3.0, 0.3], [4.0, 0.4]]), "bias": jnp.array([-1.0, 2.0])})
    np.testing.assert_allclose(projected["kernel"], [[0.6, 0.3], [0.8, 0.4]], rtol=1e-6)  # epsilon is 1e-7
    np.testing.assert_array_equal(projected["bias"], [0.0, 2.0])


@pytest.mark.parametrize("x", [np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]], np.arange(6.0).reshape(2, 3), True])
def test_input_of_any_real_kind_is_cast_to_the_compute_dtype(x, key):
    layer = Dense(2, kernel_initializer="ones")
    x = np.ones((2, 3), bool) if x is True else x
    y = layer.apply(layer.init(key, (3,)), x)
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y[:, 0], np.sum(x, axis=1))


class TestPrecision:
    def test_output_and_parameters_have_the_policy_s_dtypes(self, key):
        layer = Dense(2, dtype=Policy("float32", "bfloat16", "float16"))
        params = layer.init(key, (3,))
        assert {w.dtype for w in params.values()} == {jnp.dtype("float32")}
        assert layer.apply(params, jnp.ones(3)).dtype == jnp.float16

    def test_products_accumulate_and_the_bias_is_added_in_float32(self):
        layer = Dense(1, kernel_initializer="ones", dtype="mixed_bfloat16")
        params = {"kernel": jnp.ones((512, 1)), "bias": jnp.array([-510.0])}
        # 512 - 510 = 2; accumulating 512 ones in bfloat16 stops at 256, and 512 + 1 is not a bfloat16.
        assert layer.apply(params, jnp.ones(512)) == 2.0
        assert layer.apply({**params, "bias": jnp.array([-511.0])}, jnp.ones(512)) == 1.0

    @pytest.mark.parametrize(
        ("policy", "units"), [("mixed_bfloat16", 2**-22), ("mixed_float16", 2**-22), ("bfloat16", 2**-8)]
    )
    def test_the_bias_s_gradient_is_summed_in_float32_and_rounded_to_the_bias_s_dtype(self, policy, units, key):
        layer = Dense(8, dtype=policy)
        params, x = layer.init(key, (4,)), jnp.ones((4096, 4))
        y, pull = jax.vjp(lambda params: layer.apply(params, x), params)
        g = jax.random.uniform(key, y.shape).astype(y.dtype)
        # A sum in a narrow dtype stops growing at 256 for bfloat16, 2048 for float16; these are near 2048.
        np.testing.assert_allclose(pull(g)[0]["bias"], np.asarray(g, np.float64).sum(axis=0), rtol=4 * units)

    def test_float64_is_an_error_unless_it_is_switched_on(self, key):
        layer = Dense(2, dtype="float64")
        with pytest.raises(ValueError, match="jax_enable_x64"):
            layer.init(key, (3,))
        with jax.enable_x64(True):
            assert layer.apply(layer.init(key, (3,)), jnp.ones(3)).dtype == jnp.float64


class TestCompiled:
    @staticmethod
    def operations(function, *args):
        text = jax.jit(function).lower(*args).compile().as_text()
        return Counter(re.findall(r"= \S+ ([\w-]+)\(", text))

    @pytest.mark.parametrize("shape", [(8, 16), (2, 8, 16)])
    def test_compiles_to_the_operations_of_the_formula(self, shape, key):
        layer = Dense(32, "relu", kernel_regularizer="l2")
        params = layer.init(key, shape)
        x = jnp.ones(shape)

        def by_hand(params, x):
            y = x @ params["kernel"]
            return jax.nn.relu(y + jnp.broadcast_to(params["bias"], y.shape))

        gradient = lambda f: jax.grad(lambda params, x: jnp.sum(jnp.sin(f(params, x))), argnums=(0, 1))
        for ours, theirs in ((layer.apply, by_hand), (gradient(layer.apply), gradient(by_hand))):
            counted = self.operations(ours, params, x)
            assert counted == self.operations(theirs, params, x)
            assert counted["dot"] + counted["custom-call"] + counted["fusion"] >= 1

    def test_a_model_compiles_to_the_operations_of_its_formula(self, key):
        model = Sequential(Dense(32, "relu"), Dense(10))
        params = model.init(key, (16,))

        def by_hand(params, x):
            x = jax.nn.relu(x @ params["0"]["kernel"] + params["0"]["bias"][None])
            return x @ params["1"]["kernel"] + params["1"]["bias"][None]

        x = jnp.ones((8, 16))
        assert self.operations(model.apply, params, x) == self.operations(by_hand, params, x)


class TestConstruction:
    def test_stores_what_was_written(self):
        layer = Dense(3, "gelu", kernel_initializer="he_normal", kernel_regularizer={"name": "l2", "l2": 1})
        assert (layer.activation, layer.kernel_initializer) == ("gelu", "he_normal")
        assert layer.kernel_regularizer == L2(1.0)
        assert repr(layer) == (
            "Dense(units=3, activation='gelu', kernel_initializer='he_normal', kernel_regularizer=L2(l2=1.0))"
        )

    def test_takes_classes_callables_and_numpy_integers(self, key):
        layer = Dense(
            np.int64(3),
            jnp.sin,
            kernel_initializer=jax.nn.initializers.ones,
            kernel_regularizer=L2,
            kernel_constraint=abs,
        )
        assert (layer.units, type(layer.units), layer.kernel_regularizer) == (3, int, L2())
        params = layer.init(key, (2,))
        np.testing.assert_allclose(layer.apply(params, jnp.ones(2)), np.full(3, np.sin(2)), rtol=1e-6)
        np.testing.assert_array_equal(layer.project({**params, "kernel": -params["kernel"]})["kernel"], np.ones((2, 3)))

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"units": 0}, ValueError, "units: expected a whole number of at least 1, got 0"),
            ({"units": True}, TypeError, "units: expected a whole number of at least 1, got True"),
            ({"units": 2.0}, TypeError, "units: expected a whole number"),
            ({"units": None}, TypeError, "units: expected a whole number"),
            ({"activation": "rely"}, ValueError, "unknown activation 'rely'.*Did you mean 'relu'"),
            ({"activation": 3}, TypeError, "expected an activation"),
            ({"use_bias": 1}, TypeError, "use_bias: expected true or false, got 1"),
            ({"kernel_initializer": "glorot"}, ValueError, "Did you mean 'GlorotNormal' or 'GlorotUniform'"),
            ({"bias_initializer": None}, TypeError, 'write "zeros"'),
            ({"kernel_regularizer": "l3"}, ValueError, "unknown regularizer 'l3'"),
            ({"kernel_regularizer": 0.1}, TypeError, "expected regularizer: a name"),
            ({"kernel_regularizer": {"l2": 0.1}}, ValueError, "missing key 'name'"),
            ({"kernel_regularizer": {"name": "l2", "l1": 0.1}}, ValueError, "unknown key 'l1'"),
            ({"kernel_constraint": "maxnorm"}, ValueError, "Did you mean 'MaxNorm' or 'max_norm'"),
            ({"use_bias": False, "bias_regularizer": "l2"}, ValueError, "bias_regularizer has no effect"),
            ({"use_bias": False, "bias_constraint": "non_neg"}, ValueError, "bias_constraint has no effect"),
            ({"dtype": "float23"}, ValueError, "Did you mean 'float32'"),
            ({"dtype": jnp.float32}, TypeError, "expected a precision policy"),
        ],
    )
    def test_refuses_what_is_wrong_and_says_what_is_right(self, arguments, error, message):
        with pytest.raises(error, match=message):
            Dense(**{"units": 3, **arguments})


class TestErrors:
    @pytest.fixture
    def params(self, key):
        return Dense(6).init(key, (3,))

    def test_a_wrong_shape_names_layer_path_both_shapes_and_the_cause(self, params, key):
        model = Sequential(Dense(5), Dense(6))
        with pytest.raises(ValueError) as error:
            model.apply({"0": Dense(5).init(key, (2,)), "1": params}, jnp.ones((4, 2)))
        assert str(error.value) == (
            "Dense(units=6) at '1': expected x[..., 3] (kernel is [3, 6]), got x of shape (4, 5); "
            "the layer was initialised for 3 features"
        )

    @pytest.mark.parametrize(
        ("change", "x", "error", "message"),
        [
            ({}, jnp.ones(()), ValueError, r"got x of shape \(\)"),
            ({}, "text", TypeError, "expected an array of real numbers"),
            ({}, np.ones(3, complex), TypeError, "expected an array of real numbers"),
            ({}, [[1, 2], [3]], TypeError, "expected an array of numbers"),
            ({"kernel": jnp.ones((2, 3, 6))}, jnp.ones(3), ValueError, "for an ensemble use jax.vmap"),
            ({"kernel": jnp.ones((3, 5))}, jnp.ones(3), ValueError, r"expected a kernel \[in, 6\], got \[3, 5\]"),
            ({"bias": jnp.ones(5)}, jnp.ones(3), ValueError, r"expected a bias \[6\], got \[5\]"),
            ({"gain": jnp.ones(5)}, jnp.ones(3), ValueError, r"got \['bias', 'gain', 'kernel'\]"),
        ],
    )
    def test_wrong_params_and_inputs_are_named(self, params, change, x, error, message):
        with pytest.raises(error, match=message):
            Dense(6).apply({**params, **change}, x)

    def test_params_of_another_structure_are_named(self):
        with pytest.raises(ValueError, match="got list; make them by init"):
            Dense(6).apply([1, 2], jnp.ones(3))

    @pytest.mark.parametrize(
        ("shape", "error", "message"),
        [
            ((None, None), ValueError, "last entry is the number of features"),
            ((), ValueError, "last entry is the number of features"),
            ((3, -1), ValueError, "expected an input shape such as"),
            (7, TypeError, "expected an input shape such as"),
            ("ab", TypeError, "expected an input shape such as"),
            ((None, 2.5), TypeError, "expected an input shape such as"),
        ],
    )
    def test_wrong_input_shapes_are_named(self, shape, error, message, key):
        with pytest.raises(error, match=message):
            Dense(6).init(key, shape)
        with pytest.raises(error, match=message):
            Dense(6).output_shape(shape)

    def test_a_traced_input_shape_is_named(self, key):
        with pytest.raises(TypeError, match="static_argnums"):
            jax.jit(Dense(6).init)(key, (None, 3))

    @pytest.mark.parametrize(("wrong", "error"), [(0, TypeError), (jnp.ones(2), TypeError)])
    def test_a_wrong_key_is_named(self, wrong, error):
        with pytest.raises(error, match=re.escape("expected a random key such as jax.random.key(0)")):
            Dense(6).init(wrong, (3,))

    def test_many_keys_are_named_and_a_raw_key_is_taken(self, key):
        with pytest.raises(ValueError, match="use jax.vmap over the keys"):
            Dense(6).init(jax.random.split(key), (3,))
        raw = Dense(6).init(jax.random.PRNGKey(0), (3,))
        np.testing.assert_array_equal(raw["kernel"], Dense(6).init(jax.random.key(0), (3,))["kernel"])


@pytest.mark.parametrize(
    ("name", "given", "result"),
    [
        ("shape", (None, 3), (None, 3)),
        ("entries", [None], (None,)),
        ("array", 1.0, 1.0),
        ("keys", {"kernel": np.ones((3, 2))}, None),
    ],
)
def test_the_checks_that_were_methods_still_are_and_warn(name, given, result):
    layer = Dense(2, use_bias=False)
    with pytest.warns(DeprecationWarning, match=f"Layer.{name} is deprecated; use densefn._arguments"):
        check = getattr(layer, name)
    assert check(given) == result
    with pytest.raises(LayerError):
        check(3j)


def test_init_needs_the_sizes_of_all_parameters():
    class Open(Layer):
        def declare(self, input_shape=None):
            return {"inner": {"w": Param((None if input_shape is None else input_shape[-1], 2), "float32", Zeros())}}

        def forward(self, params, x):
            return Output(x, jnp.zeros(()))

        def output_shape(self, input_shape):
            return tuple(input_shape)

    with pytest.raises(ValueError, match=re.escape("tells all sizes of inner/w, [None, 2], got (3, None)")):
        Open().init(jax.random.key(0), (3, None))
    assert not hasattr(Open(), "anything")
