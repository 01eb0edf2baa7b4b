"""A low-rank Dense beside Keras's own with LoRA."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers as kl

from densefn import Dense, Einsum, partition
from densefn.forms import LowRank, Ntk


@pytest.mark.parametrize("alpha", [None, 5])
def test_values_penalties_gradients_and_configs_are_keras_s(alpha):
    theirs = kl.Dense(3, "tanh", kernel_regularizer="l2", bias_regularizer="l1")
    theirs.build((None, 4))
    theirs.enable_lora(2, lora_alpha=alpha)
    ours = Dense.from_keras_config(theirs.get_config())
    assert ours.kernel_form == LowRank(2, alpha)
    assert {key: ours.to_keras_config()[key] for key in ("lora_rank", "lora_alpha")} == {
        key: theirs.get_config()[key] for key in ("lora_rank", "lora_alpha")
    }
    rng = np.random.default_rng(0)
    declared = ours.declare((None, 4))
    params = {name: jnp.asarray(rng.normal(size=p.shape), jnp.float32) for name, p in declared.items()}
    weights = {"kernel": theirs._kernel, "bias": theirs.bias}
    weights |= {name: getattr(theirs, name) for name in ("lora_kernel_a", "lora_kernel_b")}
    assert {name for name, weight in weights.items() if weight.trainable} == {
        name for name, p in declared.items() if p.trainable
    }
    x = jnp.asarray(rng.normal(size=(5, 4)), jnp.float32)

    def keras_s(params):
        mapping = [(weight, params[name]) for name, weight in weights.items()]
        with keras.StatelessScope(mapping, collect_losses=True):
            return jnp.sum(theirs(x) ** 2), sum(theirs.losses)

    def own(params):
        value, penalty = ours.forward(params, x)
        return jnp.sum(value**2), penalty

    @jax.jit
    def both(params):
        summed = lambda params, f: (sum(parts := f(params)), parts)
        return [jax.grad(summed, has_aux=True)(params, f) for f in (own, keras_s)]

    (our_gradients, our_parts), (gradients, parts) = both(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), our_parts, parts)
    trained = [partition(ours, tree)[0] for tree in (our_gradients, gradients)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *trained)


def test_an_adapter_starts_as_keras_s_does():
    declared = Dense(3, kernel_form=LowRank(2)).declare((None, 4))
    theirs = kl.Dense(3)
    theirs.build((None, 4))
    theirs.enable_lora(2)
    for name in ("lora_kernel_a", "lora_kernel_b"):
        assert declared[name].shape == getattr(theirs, name).shape
    drawn = declared["lora_kernel_a"].initializer.draw(
        jax.random.key(0), (400, 500), jnp.float32, declared["lora_kernel_a"].fans
    )
    theirs = keras.initializers.get("he_uniform")((4, 2))
    assert float(jnp.abs(drawn).max()) == pytest.approx(np.sqrt(6 / 4), rel=1e-3)
    assert float(np.abs(theirs).max()) <= np.sqrt(6 / 4)


@pytest.mark.parametrize(
    "layer",
    [
        Dense(3, kernel_form=Ntk()),
        Dense(3, kernel_form=LowRank(2, base=Ntk())),
        Einsum("abi,io->abo", 3, kernel_form=LowRank(2)),
    ],
    ids=repr,
)
def test_a_form_that_keras_lacks_is_refused(layer):
    with pytest.raises(ValueError, match="kernel_form: Keras has no"):
        layer.to_keras_config()
