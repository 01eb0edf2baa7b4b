"""User-defined layers: groups and registered classes. `Sequential` as a sequence with names."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import densefn
from densefn import (
    L2,
    Dense,
    Frozen,
    Function,
    Group,
    Layer,
    MaxNorm,
    Remat,
    Repeat,
    Residual,
    Sequential,
    _registry,
    checkpoint,
    from_dict,
    register,
    summary,
    to_dict,
    walk,
)

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture(autouse=True)
def names(monkeypatch):
    monkeypatch.setattr(_registry, "NAMES", dict(_registry.NAMES))


class ActorCritic(Group):
    torso: Layer
    actor: Layer
    critic: Layer

    def run(self, parts, x):
        hidden = parts.torso(x)
        return {"logits": parts.actor(hidden), "value": parts.critic(hidden)[..., 0]}


MODEL = ActorCritic(
    Sequential(Dense(6, "tanh", kernel_regularizer=L2(0.1), activity_regularizer="l2"), Repeat(Residual(Dense(6)), 2)),
    Dense(4, kernel_constraint=MaxNorm(0.3)),
    Frozen(Dense(1, kernel_regularizer="l2")),
)


class TestGroup:
    @pytest.fixture
    def params(self, key):
        return MODEL.init(key, (None, 3))

    @pytest.fixture
    def x(self):
        return jax.random.normal(jax.random.key(1), (5, 3))

    def test_outputs_and_penalty_are_those_of_the_parts(self, params, x):
        hidden, penalty = MODEL.torso.forward(params["torso"], x)
        value, total = MODEL.forward(params, x)
        np.testing.assert_allclose(value["logits"], MODEL.actor.apply(params["actor"], hidden), **CLOSE)
        np.testing.assert_allclose(value["value"], MODEL.critic.apply(params["critic"], hidden)[:, 0], **CLOSE)
        np.testing.assert_allclose(total, penalty, rtol=1e-6)
        chex.assert_trees_all_close(MODEL.apply(params, x), value, **CLOSE)
        chex.assert_trees_all_close(tuple(jax.jit(MODEL.forward)(params, x)), (value, total), **CLOSE)

    def test_parameters_are_drawn_projected_and_counted_as_one(self, params, key):
        assert set(params) == {"torso", "actor", "critic"}
        actor = Sequential({"actor": MODEL.actor}).init(key, (None, 6))
        chex.assert_trees_all_equal(params["actor"], actor["actor"])
        projected = MODEL.project(params)
        chex.assert_trees_all_equal(projected["actor"], MODEL.actor.project(params["actor"]))
        chex.assert_trees_all_equal(projected["torso"], params["torso"])
        table = summary(MODEL, (None, 3))
        assert table.count == sum(w.size for w in jax.tree.leaves(params))
        assert [row.name for row in table.rows if row.depth == 1] == ["torso", "actor", "critic"]
        assert MODEL.output_shape((None, 3)) == {"logits": (None, 4), "value": (None,)}

    def test_is_saved_loaded_and_explained(self, params, tmp_path):
        register(ActorCritic)
        assert from_dict(to_dict(MODEL)) == MODEL
        densefn.save(tmp_path / "model", MODEL, params, (None, 3))
        loaded, same = densefn.load(tmp_path / "model")
        assert loaded == MODEL
        chex.assert_trees_all_equal(same, params)
        told = densefn.explain(Sequential(Dense(3), MODEL), (None, 3))
        assert [part.path for part in told.parts[-2:]] == ["1/actor", "1/critic"]
        assert told.parts[-1].input_shape == (None, 6)
        assert "kernel [6, 4]" in str(told)

    def test_a_part_that_is_repeated_too_often_is_refused_before_it_is_made(self):
        huge = ActorCritic(MODEL.torso, Repeat(Dense(6), 10**9), MODEL.critic)
        with pytest.raises(ValueError, match="expected a layer to be repeated at most 1,000,000 times"):
            checkpoint.check(huge, (None, 3))

    def test_a_part_that_is_called_twice_shares_its_parameters_and_is_penalized_once(self, key):
        class Twice(Group):
            cell: Layer

            def run(self, parts, x):
                return parts.cell(parts.cell(x))

        part = Dense(3, "tanh", kernel_regularizer=L2(0.1))
        model = Twice(part)
        params, x = model.init(key, (None, 3)), jnp.ones((2, 3))
        inner = params["cell"]
        np.testing.assert_allclose(model.apply(params, x), part.apply(inner, part.apply(inner, x)), **CLOSE)
        np.testing.assert_allclose(model.forward(params, x).penalty, part.forward(inner, x).penalty, **CLOSE)

    def test_a_part_may_be_called_inside_of_a_scan(self, key):
        class Scanned(Group):
            cell: Layer

            def run(self, parts, x):
                return lax.scan(lambda h, _: (parts.cell(h), None), x, None, length=3)[0]

        part = Dense(3, "tanh", kernel_regularizer="l2")
        model = Scanned(part)
        params, x = model.init(key, (None, 3)), jnp.ones((2, 3))
        expected = x
        for _ in range(3):
            expected = part.apply(params["cell"], expected)
        np.testing.assert_allclose(model.forward(params, x).value, expected, **CLOSE)

    def test_a_part_that_is_left_out_is_an_error(self, key):
        class Half(ActorCritic):
            def run(self, parts, x):
                return parts.actor(x)

        with pytest.raises(ValueError, match="expected run to call every part, and it does not call 'torso'"):
            Half(Dense(3), Dense(3), Dense(3)).init(key, (None, 3))

    def test_a_field_that_hides_a_method_is_an_error(self):
        with pytest.raises(TypeError, match="expected another name for 'inner', which every layer has already"):

            class Hidden(Group):
                inner: Layer

    def test_errors_name_the_part(self, params):
        with pytest.raises(ValueError, match="at 'torso/0': expected x"):
            MODEL.apply(params, jnp.ones((2, 4)))
        with pytest.raises(ValueError, match="expected params with the keys"):
            MODEL.apply({"torso": params["torso"]}, jnp.ones((2, 3)))

    def test_transforms_apply(self, params, x):
        def loss(params, x):
            value, penalty = MODEL.forward(params, x)
            return jnp.sum(value["logits"] ** 2) + jnp.sum(value["value"]) + penalty

        each = jax.vmap(jax.grad(loss), in_axes=(None, 0))(params, x)
        chex.assert_trees_all_close(
            jax.tree.map(lambda g: jnp.mean(g, 0), each)["critic"],
            jax.tree.map(lambda g: g / 5, jax.grad(loss)(params, x)["critic"]),
            rtol=1e-5,
            atol=1e-6,
        )


class TestRegister:
    def test_a_user_defined_layer_is_loaded_again_and_summarized(self, tmp_path, key):
        @register
        class Scaled(Layer):
            by: float = 2.0

            def declare(self, input_shape=None):
                return {}

            def forward(self, params, x):
                return densefn.Output(self.by * x, jnp.zeros(()))

            def output_shape(self, input_shape):
                return tuple(input_shape)

        model = Sequential(Dense(3), Scaled(0.5))
        params = model.init(key, (None, 2))
        densefn.save(tmp_path / "model", model, params, (None, 2))
        assert densefn.load(tmp_path / "model")[0] == model
        assert "Scaled(by=0.5)" in str(summary(model, (None, 2)))
        assert "Scaled" in str(densefn.explain(model, (None, 2)))

    def test_a_class_that_load_would_not_find_is_not_saved(self, tmp_path, key):
        params = MODEL.init(key, (None, 3))
        with pytest.raises(TypeError, match="ActorCritic: expected a class that load finds by its name"):
            densefn.save(tmp_path / "model", Frozen(MODEL), params, (None, 3))
        assert not (tmp_path / "model").exists()

    def test_forward_without_a_penalty_is_an_error_of_the_layer(self):
        class Bare(Function):
            def forward(self, params, x):
                return x

        bare, x = Bare("tanh"), np.ones((2, 3), np.float32)  # two rows: they would unpack as value and penalty
        message = r"Bare.*expected forward to return Output\(value, penalty\), got"
        for call in (
            partial(Layer.apply, bare),
            Sequential(bare).forward,
            Residual(bare).forward,
            Repeat(bare, 2).forward,
            Remat(bare).forward,
        ):
            with pytest.raises(TypeError, match=message):
                call({}, x)

    def test_a_name_that_is_taken_is_refused(self):
        with pytest.raises(ValueError, match="expected a name that no other layer has, got 'Dense'"):
            register(type("Dense", (Function,), {}))


class TestSequential:
    MODEL = Sequential({"encoder": Dense(4, "relu"), "act": "tanh", "head": Dense(2)})

    def test_layers_have_the_names_that_are_given(self, key):
        params = self.MODEL.init(key, (None, 3))
        assert set(params) == {"encoder", "head"}
        plain = Sequential(*self.MODEL)
        renamed = {"0": params["encoder"], "2": params["head"]}
        x = jnp.ones((2, 3))
        np.testing.assert_array_equal(self.MODEL.apply(params, x), plain.apply(renamed, x))
        assert [place.name for place in walk(self.MODEL)] == ["", "encoder", "act", "head"]
        with pytest.raises(ValueError, match="at 'head'"):
            self.MODEL.apply({**params, "head": params["encoder"]}, x)

    def test_goes_to_a_dict_and_back(self):
        assert from_dict(to_dict(self.MODEL)) == self.MODEL == eval(repr(self.MODEL), vars(densefn))
        assert Sequential(*self.MODEL) != self.MODEL

    def test_is_a_sequence(self):
        assert len(self.MODEL) == 3
        assert list(self.MODEL) == [self.MODEL[0], self.MODEL["act"], self.MODEL[-1]]
        assert self.MODEL[:2] == Sequential({"encoder": Dense(4, "relu"), "act": "tanh"})
        model = Sequential(Dense(4), Dense(3), Dense(2))
        assert model[:2] == Sequential(Dense(4), Dense(3))
        assert [name for name, _ in model[1:].named()] == ["1", "2"]
        with pytest.raises(ValueError, match="unknown layer 'heads'.*Did you mean 'head'"):
            self.MODEL["heads"]
        with pytest.raises(IndexError):
            self.MODEL[3]

    def test_a_slice_takes_its_part_of_the_parameters(self, key):
        model = Sequential(Dense(4, "relu"), Dense(3), Dense(2))
        params, x = model.init(key, (None, 5)), jnp.ones((2, 5))
        first, rest = model[:1], model[1:]
        hidden = first.apply({"0": params["0"]}, x)
        np.testing.assert_array_equal(rest.apply({name: params[name] for name in "12"}, hidden), model.apply(params, x))

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (("a",), "one unique name for each of 2 layers"),
            (("a", "a"), "one unique name"),
            (("a/b", "c"), "without '/'"),
            (("", "b"), "''"),
        ],
    )
    def test_names_that_do_not_fit_are_refused(self, names, message):
        with pytest.raises(ValueError, match=message):
            Sequential(Dense(2), Dense(1), names=names)

    def test_programs_name_the_layers(self, key):
        params = self.MODEL.init(key, (None, 3))
        text = jax.jit(self.MODEL.apply).lower(params, jnp.ones((2, 3))).as_text(debug_info=True)
        assert "encoder/" in text
        assert "head/" in text


@pytest.mark.parametrize("policy", [None, "dots_saveable"])
def test_remat_computes_the_same_and_saves_less(policy, key):
    body = Sequential(Dense(8, "tanh"), Dense(8, "tanh"), Dense(8, "tanh"))
    layer = Remat(body, policy)
    params, x = layer.init(key, (None, 8)), jnp.ones((2, 8))
    chex.assert_trees_all_equal(params, body.init(key, (None, 8)))
    loss = lambda layer: lambda params: jnp.sum(layer.forward(params, x).value ** 2)
    chex.assert_trees_all_close(jax.grad(loss(layer))(params), jax.grad(loss(body))(params), **CLOSE)
    assert "remat" in str(jax.make_jaxpr(layer.apply)(params, x))
    with pytest.raises(ValueError, match="policy: expected one of"):
        Remat(body, "all")
