"""Dense beside Keras's own, on cases in which any two arguments meet, and its configs in and out."""

import functools
import json

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import constraints as kc
from keras import initializers as ki
from keras import layers as kl
from keras import regularizers as kr

from densefn import (
    L1,
    L1L2,
    L2,
    Activation,
    Dense,
    MaxNorm,
    MinMaxNorm,
    OrthogonalRegularizer,
    UnitNorm,
    activations,
)
from densefn.initializers import (
    Constant,
    HeNormal,
    Identity,
    Orthogonal,
    RandomNormal,
    VarianceScaling,
)
from tests.peers.cover import cover, pairs, possible_pairs

# Left out: what needs arguments or an even width, and what is a departure (tests/test_departures.py).
ACTIVATIONS = [None, *(name for name in activations.NAMES if name not in {"glu", "sparsemax", "threshold"})]

# What is written here, and what is written there for the same.
REGULARIZERS = [
    *((None, None), ("l1", "l1"), ("L2", "L2"), (L1(0.2), kr.L1(0.2)), (L2(0.1), kr.L2(0.1))),
    (L1L2(0.1, 0.2), kr.L1L2(0.1, 0.2)),
]
KERNEL_REGULARIZERS = [*REGULARIZERS, (OrthogonalRegularizer(0.3, "columns"), kr.OrthogonalRegularizer(0.3, "columns"))]
CONSTRAINTS = [
    *((None, None), ("max_norm", "max_norm"), ("NonNeg", "NonNeg"), (UnitNorm(), kc.UnitNorm())),
    *((MaxNorm(0.7), kc.MaxNorm(0.7)), (MinMaxNorm(0.5, 0.9, 0.4), kc.MinMaxNorm(0.5, 0.9, 0.4))),
]
INITIALIZERS = [
    *(("ones", "ones"), (Constant(0.3), ki.Constant(0.3)), (RandomNormal(seed=1), ki.RandomNormal(seed=1))),
    (VarianceScaling(2.0, "fan_avg", "uniform", 7), ki.VarianceScaling(2.0, "fan_avg", "uniform", 7)),
]
KERNEL_INITIALIZERS = [
    *(*INITIALIZERS, (Orthogonal(0.5, 3), ki.Orthogonal(0.5, 3)), (HeNormal(5), ki.HeNormal(5))),
    ("identity", "identity"),
]

# Few, so that most operations are compiled once for all of them.
UNITS = [1, 3, 4]
SHAPES = [(4, 5), (1, 5), (2, 3, 5), (3, 2, 1, 2)]


CHOICES = {
    "activation": ACTIVATIONS,
    "kernel_initializer": KERNEL_INITIALIZERS,
    "kernel_regularizer": KERNEL_REGULARIZERS,
    "kernel_constraint": CONSTRAINTS,
    "activity_regularizer": REGULARIZERS,
    "use_bias": [True, False],
    "bias_initializer": INITIALIZERS,
    "bias_regularizer": REGULARIZERS,
    "bias_constraint": CONSTRAINTS,
    "shape": SHAPES,
    "units": UNITS,
}
COUNTS = {name: len(choices) for name, choices in CHOICES.items()}


def possible(case):
    """Keras's projection of one row on itself is NaN: one column has no pairs there. Without a bias it has no terms."""
    one = case.get("units") == UNITS.index(1)
    orthogonal = case.get("kernel_regularizer") == len(KERNEL_REGULARIZERS) - 1
    biased = case.get("use_bias", 0) == 0
    return not (one and orthogonal) and (biased or not case.keys() & {"bias_regularizer", "bias_constraint"})


CASES = cover(COUNTS, possible)
TOGETHER = 6  # cases in a program


def test_all_pairs_of_choices_are_in_a_case():
    assert isinstance(KERNEL_REGULARIZERS[-1][0], OrthogonalRegularizer)
    assert possible_pairs(COUNTS, possible) == set().union(*map(pairs, CASES))
    assert len(CASES) < 240


def pair(case):
    """A layer here and one there with the same arguments, and the shape of their input."""
    chosen = {name: CHOICES[name][index] for name, index in case.items()}
    shape = chosen.pop("shape")
    ours, theirs = (
        {name: value[side] if isinstance(value, tuple) else value for name, value in chosen.items()} for side in (0, 1)
    )
    return Dense(**ours), kl.Dense(**theirs), shape


def equal(ours, theirs):
    """Both are float32, and differ by the order of a sum or two of a few dozen terms."""
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * max(1, np.abs(theirs).max(initial=0)))


def prepared(number):
    """A case's layers, arguments of both, and what both compute: values, penalties, gradients and projections."""
    ours, theirs, shape = pair(CASES[number])
    theirs.build(shape)
    weights = dict(zip(("kernel", "bias"), theirs.trainable_variables, strict=False))
    rng = np.random.default_rng(number)
    params = {name: rng.normal(size=weight.shape).astype(np.float32) for name, weight in weights.items()}
    x = rng.normal(size=shape).astype(np.float32)
    scale = rng.normal(size=ours.output_shape(shape)).astype(np.float32)

    def keras_s(params, x):
        mapping = [(weight, params[name]) for name, weight in weights.items()]
        with keras.StatelessScope(mapping, collect_losses=True):
            return theirs(x), sum(theirs.losses)

    def computed(forward):
        def objective(params, x):
            y, penalty = forward(params, x)
            return jnp.vdot(scale, y) + penalty, (y, penalty)

        return jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)

    def projected(params):
        return {name: w.constraint(params[name]) if w.constraint else params[name] for name, w in weights.items()}

    def both(params, x):
        here, there = computed(ours.forward)(params, x), computed(keras_s)(params, x)
        return (here, ours.project(params)), (there, projected(params))

    return (ours, theirs, weights, shape), (params, x), both


@functools.cache
def computed_together(batch):
    """Layers, and what they compute, of some cases: one program for all takes less time than one for each."""
    made = [prepared(number) for number in range(batch, min(batch + TOGETHER, len(CASES)))]
    program = jax.jit(lambda given: [both(*arguments) for (_, _, both), arguments in zip(made, given, strict=True)])
    return [layers for layers, _, _ in made], program([arguments for _, arguments, _ in made])


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1 of a tensor")  # of one unit
@pytest.mark.parametrize("number", range(len(CASES)))
def test_values_shapes_penalties_gradients_and_projections_are_keras_s(number, key):
    layers, results = computed_together(number - number % TOGETHER)
    ours, theirs, weights, shape = layers[number % TOGETHER]
    params = ours.init(key, shape)
    assert params.keys() == weights.keys()
    for name, weight in weights.items():  # ones, constants, or drawn from the same seed
        np.testing.assert_array_equal(params[name], weight.value)
    assert theirs.count_params() == sum(w.size for w in params.values())
    assert theirs.compute_output_shape((None, *shape[1:])) == ours.output_shape((None, *shape[1:]))
    jax.tree.map(equal, *results[number % TOGETHER])


@pytest.mark.parametrize("number", range(0, len(CASES), 4))
def test_a_layer_s_config_makes_it_here_and_there(number):
    ours, theirs, _ = pair(CASES[number])
    config = json.loads(json.dumps(theirs.get_config()))
    read = Dense.from_keras_config(config)
    back = kl.Dense.from_config(json.loads(json.dumps(read.to_keras_config())))
    assert Dense.from_keras_config(back.get_config()) == read
    config.pop("name")
    again = back.get_config()
    again.pop("name")
    assert again == config
    for key in (jax.random.key(0), jax.random.key(1)):
        made, meant = read.init(key, (None, 3)), ours.init(key, (None, 3))
        jax.tree.map(np.testing.assert_array_equal, made, meant)


@pytest.mark.parametrize(
    ("activation", "layer"),
    [
        (Activation("leaky_relu", negative_slope=0.3), kl.LeakyReLU()),
        (Activation("relu", negative_slope=0.1, max_value=6.0, threshold=0.5), kl.ReLU(6.0, 0.1, 0.5)),
        (Activation("elu", alpha=0.5), kl.ELU(0.5)),
        (Activation("softmax", axis=-1), kl.Softmax()),
        ("gelu", kl.Activation("gelu")),
    ],
    ids=str,
)
def test_a_layer_as_activation_is_an_activation_with_arguments(activation, layer):
    theirs = kl.Dense(3, layer, kernel_initializer=ki.RandomNormal(stddev=1.0, seed=2))
    ours = Dense.from_keras_config(theirs.get_config())
    assert ours.activation == activation
    back = kl.Dense.from_config(ours.to_keras_config())
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
    params = ours.init(jax.random.key(0), x.shape)
    for other in (theirs, back):
        equal(ours.apply(params, x), other(x))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "mixed_bfloat16", "mixed_float16", "float32"])
def test_a_policy_is_the_policy_of_that_name(dtype, key):
    theirs = kl.Dense(3, "tanh", dtype=dtype)
    ours = Dense.from_keras_config(theirs.get_config())
    assert ours.dtype == dtype
    assert kl.Dense.from_config(ours.to_keras_config()).dtype_policy.name == dtype
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
    params = ours.init(key, x.shape)
    theirs.build(x.shape)
    assert [params["kernel"].dtype, params["bias"].dtype] == [w.value.dtype for w in theirs.variables]
    theirs.set_weights([params["kernel"], params["bias"]])
    y = theirs(x)
    value = ours.apply(params, x)
    assert value.dtype == y.dtype
    # Theirs rounds the product, the sum with the bias and the value; ours rounds the value alone.
    eps = float(jnp.finfo(y.dtype).eps)
    np.testing.assert_allclose(np.float64(value), np.float64(y), atol=3 * eps)


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (kl.Dense(3, trainable=False), "trainable: expected True, got False"),
        (kl.Dense(3, lora_rank=2, kernel_constraint="non_neg"), "kernel_constraint: LowRank.* accepts none"),
        (kl.Dense(3, kl.PReLU()), "activation: expected a name or a config of one of"),
        (kl.Dense(3, kernel_initializer=ki.HeNormal(keras.random.SeedGenerator(3))), "kernel_initializer"),
        (kl.Dense(3, kernel_initializer=ki.VarianceScaling(input_axes=(0,), output_axes=(1,))), "kernel_initializer"),
    ],
    ids=str,
)
def test_what_a_layer_here_does_not_express_is_refused(theirs, message):
    with pytest.raises(ValueError, match=message):
        Dense.from_keras_config(theirs.get_config())


@pytest.mark.parametrize(
    ("ours", "message"),
    [
        (Dense(3, jnp.sin), "Dense: activation: expected a name or an Activation"),
        (Dense(3, Activation("squareplus", b=1.0)), "Dense: activation: Keras has no form"),
        (Dense(3, kernel_regularizer=jnp.sum), "Dense: kernel_regularizer: expected a name or a value"),
        (Dense(3, kernel_initializer="torch_default"), "Keras has no UniformFanIn"),
    ],
    ids=str,
)
def test_what_keras_does_not_express_is_refused(ours, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ours.to_keras_config()


def test_all_mistakes_of_a_config_are_reported_at_once():
    config = {
        "units": -3,
        "trainable": False,
        "activation": {"class_name": "PReLU", "config": {}},
        "bias_initializer": None,
        "dtype": {"class_name": "DTypePolicy", "config": None},
        "kernel_initializer": "foo",
    }
    with pytest.raises(ValueError) as caught:
        Dense.from_keras_config(config)
    for key in config:
        assert f"{key}: " in str(caught.value)


@pytest.mark.parametrize("activation", [{"class_name": "Activation", "config": {}}, {"class_name": "ReLU"}, {}])
def test_a_broken_activation_is_refused(activation):
    with pytest.raises(ValueError, match="activation: expected a name or a config of one of"):
        Dense.from_keras_config({"units": 3, "activation": activation})


def test_a_constant_of_zero_is_read_and_written():
    layer = Dense(3, bias_initializer=Constant(0.0))
    assert Dense.from_keras_config(layer.to_keras_config()) == layer
    assert Dense.from_keras_config(kl.Dense(3, bias_initializer=ki.Constant()).get_config()) == layer


def test_a_number_that_keras_holds_in_float32_is_the_one_that_was_written():
    written = kl.Dense(3, kernel_regularizer=kr.L1(0.2), bias_regularizer="l1", activity_regularizer=kr.L1L2(0.1, 0.3))
    layer = Dense(3, kernel_regularizer=L1(0.2), bias_regularizer="l1", activity_regularizer=L1L2(0.1, 0.3))
    assert Dense.from_keras_config(written.get_config()) == layer


def test_a_gain_that_keras_loses_is_written():
    config = Dense(3, kernel_initializer=Identity(2.0)).to_keras_config()
    np.testing.assert_array_equal(kl.Dense.from_config(config).kernel_initializer((2, 2)), 2 * np.eye(2))


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_an_activation_with_arguments_has_its_layer_s_precision(dtype):
    layer = Dense(3, Activation("leaky_relu", negative_slope=0.1), dtype=dtype)
    back = kl.Dense.from_config(layer.to_keras_config())
    assert back.activation.dtype_policy.name == dtype
    assert Dense.from_keras_config(back.get_config()) == layer


def test_an_activation_of_another_precision_is_refused():
    config = kl.Dense(3, kl.LeakyReLU(dtype="float32"), dtype="mixed_bfloat16").get_config()
    with pytest.raises(ValueError, match="layer's dtype 'mixed_bfloat16', got one with 'float32'"):
        Dense.from_keras_config(config)


def test_a_serialized_layer_and_shared_objects_are_read():
    theirs = kl.Dense(3, kernel_regularizer=kr.L2(0.5))
    theirs.build((None, 2))
    config = kl.serialize(theirs)
    config["config"]["kernel_regularizer"]["shared_object_id"] = 7
    config["shared_object_id"] = 8
    assert Dense.from_keras_config(config) == Dense(3, kernel_regularizer=L2(0.5))
    with pytest.raises(ValueError, match="expected the config of Keras's Dense, got that of 'ReLU'"):
        Dense.from_keras_config(kl.serialize(kl.ReLU()))


@pytest.mark.parametrize("origin", [{"module": None, "registered_name": "my>L2"}, {"module": "mine"}])
def test_a_user_s_class_with_the_name_of_keras_s_is_refused(origin):
    config = kl.Dense(3, kernel_regularizer="l2").get_config()
    config["kernel_regularizer"] |= origin
    with pytest.raises(ValueError, match=r"kernel_regularizer: .*expected a class of Keras's own, got (my>|mine\.)L2"):
        Dense.from_keras_config(config)


def test_quantization_is_one_complaint():
    config = kl.Dense(3, dtype="int8_from_float32").get_config()
    config["quantization_config"] = {"module": "keras.quantizers", "class_name": "Int8QuantizationConfig", "config": {}}
    with pytest.raises(ValueError) as caught:
        Dense.from_keras_config(config)
    assert str(caught.value).count("expected") == 1
    assert "expected a policy without quantization" in str(caught.value)
