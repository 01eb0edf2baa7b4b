"""Einsum beside Keras's EinsumDense: the same equation, the same values, penalties and gradients."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers as kl

from densefn import Einsum

# Equation, new axes here, Keras's output shape without the batch, axes of the bias, shape of x.
CASES = [
    ("ab,bc->ac", 5, 5, "c", (4, 3)),
    ("abc,cd->abd", 5, (None, 5), "d", (2, 4, 3)),
    ("...x,xy->...y", 5, 5, "y", (2, 4, 3)),
    ("btd,dhk->bthk", (2, 5), (None, 2, 5), "hk", (2, 4, 3)),
    ("bthk,hkd->btd", 5, (None, 5), "d", (2, 4, 2, 3)),
    ("bei,eio->beo", 5, (2, 5), "eo", (4, 2, 3)),
    ("bei,eio->beo", 5, (2, 5), "o", (4, 2, 3)),
    ("abc,cd->adb", 5, (5, 4), "d", (2, 4, 3)),
    ("abc,cd->abd", 5, (None, 5), None, (2, 4, 3)),
]


def drawn(layer, shape):
    """An input and parameters for it, all of a normal distribution."""
    rng = np.random.default_rng(0)
    normal = lambda like: rng.normal(size=like.shape).astype(np.float32)
    made = jax.eval_shape(lambda key: layer.init(key, shape), jax.random.key(0))
    return rng.normal(size=shape).astype(np.float32), jax.tree.map(normal, made)


@pytest.mark.parametrize(("equation", "units", "output", "bias", "shape"), CASES, ids=str)
def test_values_penalties_and_gradients_are_keras_s(equation, units, output, bias, shape):
    options = {"kernel_regularizer": "l2", "activity_regularizer": "L1"}
    theirs = kl.EinsumDense(equation, output, "tanh", bias_axes=bias, **options)
    theirs.build(shape)
    ours = Einsum(equation, units, "tanh", use_bias=bias is not None, bias_axes=bias, **options)
    x, params = drawn(ours, shape)
    weights = dict(zip(("kernel", "bias"), theirs.trainable_variables, strict=False))
    assert params.keys() == weights.keys()

    def keras_s(params, x):
        mapping = [(weight, params[name].reshape(weight.shape)) for name, weight in weights.items()]
        with keras.StatelessScope(mapping, collect_losses=True):
            return theirs(x), sum(theirs.losses)

    @jax.jit
    def both(params, x):
        def objective(params, x, forward):
            y, penalty = forward(params, x)
            return jnp.sum(jnp.square(y)) + penalty, (y, penalty)

        return [jax.grad(objective, argnums=(0, 1), has_aux=True)(params, x, f) for f in (ours.forward, keras_s)]

    # Sums of a few dozen products in float32, in another order.
    equal = lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)
    jax.tree.map(equal, *both(params, x))


@pytest.mark.parametrize(("equation", "units", "output", "bias", "shape"), CASES, ids=str)
def test_a_config_makes_the_layer_here_and_there(equation, units, output, bias, shape):
    options = {"kernel_regularizer": "l2", "kernel_constraint": "max_norm"}
    theirs = kl.EinsumDense(equation, output, "tanh", bias_axes=bias, **options)
    theirs.build(shape)
    ours = Einsum.from_keras_config(kl.serialize(theirs))
    assert ours.units == units
    x, params = drawn(ours, shape)
    layers = [theirs]
    if equation == "bei,eio->beo":
        with pytest.raises(ValueError, match="Keras needs the size of axis 'e'"):
            ours.to_keras_config()
    else:
        layers.append(kl.EinsumDense.from_config(ours.to_keras_config()))
        layers[1].build(shape)
        assert Einsum.from_keras_config(layers[1].get_config()) == ours

    @jax.jit
    def outputs(params, x):
        order = [params[name] for name in ("kernel", "bias") if name in params]
        reshaped = [[a.reshape(w.shape) for a, w in zip(order, layer.weights, strict=True)] for layer in layers]
        theirs = [layer.stateless_call(weights, [], x)[0] for layer, weights in zip(layers, reshaped, strict=True)]
        return ours.apply(params, x), theirs

    value, others = outputs(params, x)
    for other in others:
        np.testing.assert_allclose(value, other, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Einsum("bi,io->ob", 3), "output begins with the input's first axis"),
        (Einsum("a...i,io->a...o", 3), "ellipsis at either end"),
        (Einsum("...ti,io->...to", 3, bias_axes=""), "no bias without axes"),
        (Einsum("...ti,io->...to", 3, bias_axes="t"), "size of axis 't'"),
    ],
    ids=str,
)
def test_what_einsum_dense_does_not_express_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        layer.to_keras_config()


@pytest.mark.parametrize(
    ("output", "message"), [((None, None), "a size for each new axis 'd'"), (5, "an entry for each of the axes 'bd'")]
)
def test_an_output_shape_that_keras_cannot_build_is_refused(output, message):
    with pytest.raises(ValueError, match=message):
        Einsum.from_keras_config({"equation": "abc,cd->abd", "output_shape": output})
