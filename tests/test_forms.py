"""Forms of a kernel: the product of each is that of its materialized kernel, in float64."""

import functools
from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import densefn
from densefn import (
    L2,
    Dense,
    Einsum,
    Frozen,
    Repeat,
    Residual,
    Sequential,
    combine,
    convert,
    forms,
    from_dict,
    param,
    partition,
    summary,
    to_dict,
)
from densefn.data import Rows
from densefn.forms import Form, KernelAxes, LowRank, Ntk, Plain, form, register
from densefn.training.losses import SquaredError
from densefn.training.step import make_state, make_step

FORMS = [Plain(), LowRank(2), LowRank(3, alpha=7.0), Ntk(), LowRank(1, base=Ntk())]
LAYERS = {
    "dense": (Dense(4), (5, 3)),
    "experts": (Einsum("ebi,eio->ebo", 4), (2, 5, 3)),
    "several inputs": (Einsum("bxy,yzx->bz", 4), (5, 3, 2)),
    "several units": (Einsum("...i,oih->...ho", (3, 4)), (2, 5, 3)),
    "experts last": (Einsum("bxe,hxe->bhe", 3), (5, 3, 2)),
    "no inputs": (Einsum("be,eh->beh", 3), (5, 2)),
}


def drawn(layer, shape):
    """Parameters of which none is zero."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: layer.init(key, shape), jax.random.key(0))
    return jax.tree.map(lambda w: np.float32(rng.normal(size=w.shape)), shapes)


@pytest.mark.parametrize("name", LAYERS)
def test_the_output_is_that_of_the_materialized_kernel(name):
    plain, shape = LAYERS[name]
    layers = [replace(plain, kernel_form=kernel_form, use_bias=False) for kernel_form in FORMS]
    x = np.float32(np.random.default_rng(2).normal(size=shape))

    @jax.jit
    def computed(params, x):
        pairs = list(zip(layers, params, strict=True))
        kernels = [layer.kernel_form.materialize(own, layer.kernel_axes) for layer, own in pairs]
        return kernels, [layer.apply(own, x) for layer, own in pairs]

    equation = "...i,io->...o" if isinstance(plain, Dense) else plain.equation
    results = computed([drawn(layer, shape) for layer in layers], x)
    for kernel_form, kernel, output in zip(FORMS, *results, strict=True):
        # Sums of a few products of float32 numbers up to 10.
        expected = np.einsum(equation, np.float64(x), np.float64(kernel))
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5, err_msg=repr(kernel_form))


@functools.cache
def initial(name):
    """A layer's first parameters in plain form and in all forms."""
    plain, shape = LAYERS[name]
    layers = [plain, *(replace(plain, kernel_form=kernel_form) for kernel_form in FORMS)]
    first, *others = jax.jit(lambda key: [layer.init(key, shape) for layer in layers])(jax.random.key(0))
    return first, dict(zip(FORMS, others, strict=True))


@pytest.mark.parametrize("name", LAYERS)
def test_a_kernel_is_stored_and_materialized_again(name):
    plain, shape = LAYERS[name]
    kernel = drawn(plain, shape)["kernel"]
    for kernel_form, first in initial(name)[1].items():
        stored = {**first, **kernel_form.decompose(kernel, plain.kernel_axes)}
        again = kernel_form.materialize(stored, plain.kernel_axes)
        np.testing.assert_allclose(again, kernel, rtol=1e-6, err_msg=repr(kernel_form))
        assert {key: w.shape for key, w in stored.items()} == {key: w.shape for key, w in first.items()}


@pytest.mark.parametrize("name", LAYERS)
def test_at_first_the_layer_computes_what_it_does_in_plain_form(name):
    axes = LAYERS[name][0].kernel_axes
    plain, others = initial(name)
    for kernel_form, params in others.items():
        # XLA rounds a product and the sum it is part of once in one program, and twice in another.
        kernel = kernel_form.materialize(params, axes)
        np.testing.assert_allclose(kernel, plain["kernel"], rtol=1e-6, atol=1e-7, err_msg=repr(kernel_form))


def test_axes_are_named_and_leaves_stack_with_repeats():
    layer = Repeat(Einsum("ebi,eio->ebo", 4, kernel_form=LowRank(2)), times=3)
    declared = layer.declare((2, 5, 4))
    assert {key: p.full_axes for key, p in declared.items()} == {
        "kernel": ("repeat", "e", "i", "o"),
        "lora_kernel_a": ("repeat", "e", "i", "rank"),
        "lora_kernel_b": ("repeat", "e", "rank", "o"),
        "bias": ("repeat", "e", "o"),
    }
    params = layer.init(jax.random.key(0), (2, 5, 4))
    assert {key: w.shape for key, w in params.items()} == {key: p.full_shape for key, p in declared.items()}
    assert not np.array_equal(params["lora_kernel_a"][0], params["lora_kernel_a"][1])


def test_an_adapter_s_product_is_never_computed():
    layer = Dense(64, kernel_form=LowRank(2))
    params = layer.init(jax.random.key(0), (None, 32))
    program = jax.make_jaxpr(jax.grad(lambda params, x: jnp.sum(layer.apply(params, x))))(params, jnp.ones((8, 32)))
    made = [v.aval.shape for equation in program.eqns for v in equation.outvars]
    assert made.count((32, 64)) + made.count((64, 32)) <= 3  # of the gradient of the kernel alone


def test_a_low_rank_kernel_accepts_no_constraint_and_no_other_adapter():
    for layer in (Dense, lambda units, **rest: Einsum("bi,io->bo", units, **rest)):
        with pytest.raises(ValueError, match=r"kernel_constraint: LowRank\(rank=2\) accepts none"):
            layer(3, kernel_form=LowRank(2), kernel_constraint="non_neg")
    with pytest.raises(TypeError, match="expected a form other than LowRank"):
        LowRank(2, base=LowRank(1))


@pytest.mark.parametrize("given", [3, L2(), jnp.sin, "low_rnk", LowRank])
def test_what_is_no_form_is_refused(given):
    with pytest.raises((TypeError, ValueError), match="kernel.form"):
        Dense(3, kernel_form=given)


def test_leaves_of_another_shape_are_refused():
    layer = Dense(3, kernel_form=LowRank(2))
    params = layer.init(jax.random.key(0), (None, 4))
    with pytest.raises(ValueError, match=r"expected lora_kernel_b \[2, 3\] for x of shape \(1, 4\), got \[1, 3\]"):
        layer.apply({**params, "lora_kernel_b": jnp.ones((1, 3))}, jnp.ones((1, 4)))
    with pytest.raises(ValueError, match=r"expected kernel \[5, 3\] for x of shape \(1, 5\), got \[4, 3\]"):
        layer.apply(params, jnp.ones((1, 5)))


class TestRegister:
    @pytest.fixture(autouse=True)
    def names(self, monkeypatch):
        monkeypatch.setattr(form, "NAMES", forms.NAMES)
        for name in ("Halved", "halved"):
            monkeypatch.setitem(forms.NAMES, name, Plain)
            monkeypatch.delitem(forms.NAMES, name)

    def test_a_user_defined_form_is_named_saved_and_loaded(self, tmp_path):
        @register
        class Halved(Form):
            """Stores half of the kernel."""

            def declare(self, kernel, axes):
                return {"half": kernel}

            def contract(self, params, x, axes, compute_dtype):
                return 2 * forms.product(x, params["half"], axes, compute_dtype)

            def materialize(self, params, axes):
                return 2 * params["half"]

            def decompose(self, kernel, axes):
                return {"half": kernel / 2}

        layer = Dense(3, kernel_form="halved", kernel_initializer="ones")
        assert from_dict(to_dict(layer)) == layer
        params = layer.init(jax.random.key(0), (None, 2))
        densefn.save(tmp_path / "model", layer, params, (None, 2))
        loaded, same = densefn.load(tmp_path / "model")
        assert loaded == layer
        chex.assert_trees_all_equal(same, params)
        np.testing.assert_array_equal(layer.apply(params, jnp.ones((1, 2))), [[4.0, 4.0, 4.0]])
        with pytest.raises(ValueError, match="expected a name that no other kernel form has, got 'halved'"):
            register(type("Halved", (Plain,), {}))


class TestPartition:
    MODEL = Sequential(
        Frozen(
            Sequential(Dense(4, kernel_regularizer=L2(0.1), activity_regularizer="l1"), Repeat(Residual(Dense(4)), 2))
        ),
        Dense(3, kernel_form=LowRank(2), kernel_regularizer=L2(0.5)),
    )

    def test_adapters_and_layers_that_are_not_frozen_are_trainable(self):
        params = self.MODEL.init(jax.random.key(0), (None, 5))
        trainable, frozen = partition(self.MODEL, params)
        names = [
            {param.name_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)}
            for tree in (trainable, frozen)
        ]
        assert names[0] == {"1/bias", "1/lora_kernel_a", "1/lora_kernel_b"}
        assert names[1] == {"0/0/bias", "0/0/kernel", "0/1/bias", "0/1/kernel", "1/kernel"}
        chex.assert_trees_all_equal(combine(trainable, frozen), params)

    def test_penalties_are_those_of_trainable_parameters_and_of_activities(self):
        params, x = drawn(self.MODEL, (None, 5)), np.ones((2, 5), np.float32)
        expected = np.mean(np.sum(0.01 * np.abs(x @ params["0"]["0"]["kernel"] + params["0"]["0"]["bias"]), 1))
        expected += 0.5 * sum(np.sum(params["1"][f"lora_kernel_{name}"] ** 2) for name in "ab")
        np.testing.assert_allclose(jax.jit(self.MODEL.forward)(params, x).penalty, expected, rtol=1e-6)

    def test_a_training_changes_what_is_trainable_and_keeps_state_for_it_alone(self):
        optimizer = optax.adamw(0.1, weight_decay=0.1)
        state = make_state(self.MODEL, optimizer, jax.random.key(0), 5, ema=0.9)
        after, _ = jax.jit(make_step(self.MODEL, optimizer, SquaredError()))(
            state, Rows(jnp.ones((6, 5)), jnp.ones((6, 3)))
        )
        changed = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), state.params, after.params)
        assert changed["1"] == {"bias": True, "kernel": False, "lora_kernel_a": True, "lora_kernel_b": True}
        assert not any(jax.tree.leaves(changed["0"]))
        trainable, _ = partition(self.MODEL, state.params)
        of_adam = jax.tree.leaves(state.opt_state)
        assert sum(leaf.size for leaf in of_adam if leaf.ndim) == 2 * sum(w.size for w in jax.tree.leaves(trainable))

    def test_the_summary_counts_what_is_frozen(self):
        assert "of which frozen" in str(summary(self.MODEL, (None, 5)))
        assert summary(self.MODEL, (None, 5)).frozen == 24 + 40 + 12
        assert "frozen" not in str(summary(Dense(3), (None, 5)))

    def test_frozen_constraints_are_not_applied(self):
        layer = Frozen(Dense(2, kernel_constraint="non_neg"))
        params = {"kernel": -jnp.ones((2, 2)), "bias": jnp.ones(2)}
        chex.assert_trees_all_equal(layer.project(params), params)


@functools.cache
def in_form(kernel_form):
    """A model, and its functions compiled."""
    dense = Dense(4, "tanh", kernel_form=kernel_form)
    model = Sequential(
        dense, "relu", Repeat(Residual(dense), times=3), Einsum("bi,ihd->bhd", (2, 3), kernel_form=kernel_form)
    )
    return model, jax.jit(model.apply), jax.jit(lambda key: model.init(key, (None, 5)))


class TestConvert:
    def model(self, kernel_form):
        return in_form(kernel_form)[0]

    @pytest.mark.parametrize("old", FORMS, ids=repr)
    @pytest.mark.parametrize("new", FORMS, ids=repr)
    def test_the_model_computes_the_same_in_every_form(self, old, new):
        (before, apply_before, _), (after, apply_after, init_after) = in_form(old), in_form(new)
        params, x = drawn(before, (None, 5)), np.float32(np.random.default_rng(3).normal(size=(2, 5)))
        converted = convert(params, before, after, key=jax.random.key(4))
        made = init_after(jax.random.key(4))
        chex.assert_trees_all_equal_shapes_and_dtypes(converted, made)
        if old != new and isinstance(new, LowRank):
            # XLA rounds a product and the sum it is part of once in one program, and twice in another.
            adapter, drawn_adapter = (params["2"]["lora_kernel_a"] for params in (converted, made))
            np.testing.assert_allclose(adapter, drawn_adapter, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(apply_after(converted, x), apply_before(params, x), rtol=1e-4, atol=1e-5)

    def test_an_adapter_without_a_key_is_refused(self):
        before, after = self.model(None), self.model(LowRank(2))
        with pytest.raises(ValueError, match="at '0': expected a key from which to draw lora_kernel_a, lora_kernel_b"):
            convert(before.init(jax.random.key(0), (None, 5)), before, after)

    @pytest.mark.parametrize("other", [Dense(4), Sequential(Dense(5)), Sequential(Dense(4, "relu"))], ids=repr)
    def test_another_model_is_refused(self, other):
        layer = Sequential(Dense(4))
        with pytest.raises(ValueError, match="expected"):
            convert(layer.init(jax.random.key(0), (None, 5)), layer, other)

    def test_freezing_keeps_the_parameters(self):
        layer = Sequential(Dense(4), Dense(2))
        params = layer.init(jax.random.key(0), (None, 5))
        frozen = Sequential(Frozen(Dense(4)), Dense(2))
        chex.assert_trees_all_equal(convert(params, layer, frozen), params)


def test_the_units_of_a_kernel_are_its_other_axes():
    assert KernelAxes((0, 2), (1,)).units(5) == (3, 4)
