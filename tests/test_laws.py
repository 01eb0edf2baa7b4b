"""The laws that every layer and combinator obeys."""

import pickle
from functools import cache, partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import P

import densefn
from densefn import (
    L1,
    L2,
    Dense,
    Einsum,
    Frozen,
    Function,
    MaxNorm,
    NonNeg,
    Repeat,
    Residual,
    Sequential,
    UnitNorm,
    from_dict,
    to_dict,
)
from densefn.forms import LowRank, Ntk
from densefn.precision import add

WIDTH = 6
SHAPE = (None, WIDTH)

# A float32 sum of WIDTH products in another order differs by a few units in the last place (6e-8 each).
CLOSE = {"rtol": 2e-6, "atol": 2e-6}


def dense(dtype):
    return Dense(4, dtype=dtype)


def no_bias(dtype):
    return Dense(5, "gelu", use_bias=False, kernel_initializer="he_normal", dtype=dtype)


def everything(dtype):
    return Dense(
        WIDTH,
        "tanh",
        kernel_initializer="lecun_uniform",
        bias_initializer="ones",
        kernel_regularizer=L2(0.1),
        bias_regularizer=L1(0.2),
        activity_regularizer="l2",
        kernel_constraint=MaxNorm(0.5),
        bias_constraint="non_neg",
        dtype=dtype,
    )


def function(dtype):
    return Function("sigmoid")


def einsum(dtype):
    return Einsum(
        "...i,oi->...o",
        5,
        "tanh",
        kernel_regularizer=L2(0.1),
        activity_regularizer="l1l2",
        kernel_constraint=MaxNorm(0.5, axis=-1),
        bias_initializer="torch_default",
        dtype=dtype,
    )


def sequential(dtype):
    return Sequential(Dense(3, "tanh", kernel_constraint=UnitNorm(), dtype=dtype), "softmax", Dense(2, dtype=dtype))


def residual(dtype):
    return Residual(everything(dtype))


def repeat(dtype):
    return Repeat(everything(dtype), times=3)


def nested(dtype):
    inner = Sequential(Dense(3, "gelu", dtype=dtype), Dense(WIDTH, kernel_constraint=NonNeg(), dtype=dtype))
    return Sequential(Repeat(Residual(inner), times=2), Repeat(Repeat(everything(dtype), times=2), times=2), "tanh")


def low_rank(dtype):
    return Dense(5, "tanh", kernel_form=LowRank(2, alpha=4), kernel_regularizer=L2(0.1), dtype=dtype)


def low_rank_experts(dtype):
    return Einsum("...i,oi->...o", 5, kernel_form=LowRank(1, base=Ntk()), dtype=dtype)


def frozen(dtype):
    return Frozen(Dense(WIDTH, kernel_form=Ntk(), activity_regularizer="l2", kernel_regularizer="l1", dtype=dtype))


FORMS = [low_rank, low_rank_experts, frozen]
MAKERS = [dense, no_bias, everything, einsum, function, sequential, residual, repeat, *FORMS, nested]


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def make(request):
    return request.param


@cache
def forward(layer):
    """Compiled once for all laws that ask for it."""
    return jax.jit(layer.forward)


@cache
def initialized(layer):
    return layer.init(jax.random.key(0), SHAPE)


def stacked(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


@pytest.fixture
def layer(make):
    return make("float32")


@pytest.fixture
def params(layer):
    return initialized(layer)


@pytest.fixture
def x():
    return jnp.asarray(np.random.default_rng(1).normal(size=(4, WIDTH)), jnp.float32)


def objective(layer, params, x):
    value, penalty = layer.forward(params, x)
    return add(jnp.sum(jnp.square(value)), penalty)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "mixed_bfloat16", "float16", "mixed_float16"])
def test_init_and_forward_have_the_shapes_that_are_told_in_advance(make, dtype, key, x):
    layer = make(dtype)
    params = initialized(layer)
    value, penalty = forward(layer)(params, x)
    chex.assert_trees_all_equal_shapes_and_dtypes(params, jax.eval_shape(lambda key: layer.init(key, SHAPE), key))
    assert value.shape == (4, *layer.output_shape(SHAPE)[1:])
    assert layer.output_shape(SHAPE) == (None, value.shape[-1])
    assert (penalty.shape, penalty.dtype) == ((), jnp.float32)
    assert np.all(np.isfinite(np.asarray(value, np.float32)))


def test_jit_gives_what_eager_gives(layer, params, x):
    chex.assert_trees_all_close(forward(layer)(params, x), layer.forward(params, x), **CLOSE)


def test_vmap_over_examples_gives_what_a_loop_gives(layer, params, x):
    apply = jax.jit(layer.apply)
    looped = np.stack([apply(params, row) for row in np.asarray(x)])
    chex.assert_trees_all_close(jax.jit(jax.vmap(layer.apply, in_axes=(None, 0)))(params, x), looped, **CLOSE)
    chex.assert_trees_all_close(forward(layer)(params, x).value, looped, **CLOSE)


def test_the_mean_penalty_of_examples_is_the_penalty_of_the_batch(layer, params, x):
    each = jax.jit(jax.vmap(layer.forward, in_axes=(None, 0)))(params, x)
    chex.assert_trees_all_close(np.mean(each.penalty), forward(layer)(params, x).penalty, **CLOSE)


def test_the_mean_penalty_of_shards_is_the_penalty_of_the_batch(layer, params, x):
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    mean = lambda params, x: jax.lax.pmean(layer.forward(params, x).penalty, "batch")
    mapped = jax.shard_map(mean, mesh=mesh, in_specs=(P(), P("batch")), out_specs=P())
    sharded = jax.device_put(x, jax.NamedSharding(mesh, P("batch")))
    for penalty in (jax.jit(mapped)(params, x), jax.jit(layer.forward)(params, sharded).penalty):
        chex.assert_trees_all_close(penalty, forward(layer)(params, x).penalty, **CLOSE)


def test_vmap_over_an_ensemble_gives_what_a_loop_gives(layer, x):
    keys = jax.random.split(jax.random.key(2), 3)
    init = jax.jit(layer.init, static_argnums=1)
    ensemble = jax.vmap(lambda key: init(key, SHAPE))(keys)
    members = [init(key, SHAPE) for key in keys]
    chex.assert_trees_all_equal(ensemble, stacked(members))

    @jax.jit
    def together(ensemble, x):
        return jax.vmap(layer.forward, in_axes=(0, None), axis_size=3)(ensemble, x), layer.project(ensemble)

    value, projected = together(ensemble, x)
    chex.assert_trees_all_close(value, stacked(forward(layer)(member, x) for member in members), **CLOSE)
    chex.assert_trees_all_close(projected, stacked(map(jax.jit(layer.project), members)), **CLOSE)


def moved(at, step, direction):
    return jax.tree.map(lambda a, d: a + step * d, at, direction)


def dot(a, b):
    return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, a, b)))


def test_gradients_are_right_to_second_order_in_both_modes(make, key, x):
    rng = np.random.default_rng(3)
    with jax.enable_x64(True):
        layer = make("float64")
        params = jax.jit(layer.init, static_argnums=1)(key, SHAPE)
        # Away from zero, where the L1 penalty and the non-negative constraint have kinks.
        params = jax.tree.map(lambda w: np.asarray(w) + 0.1 * np.sign(w), params)
        at = (params, np.asarray(x, np.float64))
        u, v = (jax.tree.map(lambda w: rng.normal(size=w.shape), at) for _ in range(2))
        f = lambda at: objective(layer, *at)
        along = lambda f, u: lambda at: jax.jvp(f, (at,), (u,))[1]
        against = lambda f, u: lambda at: dot(jax.grad(f)(at), u)

        @jax.jit
        def derivatives(at):
            first = [mode(f, u) for mode in (along, against)]
            return f(at), [g(at) for g in first], [mode(g, v)(at) for g in first for mode in (along, against)]

        _, first, second = derivatives(at)
        step = 1e-5
        # Central differences in float64 are good to 1e-6, relative to values and derivatives of up to 100.
        differences = lambda part, u: (
            np.subtract(*(np.asarray(derivatives(moved(at, h, u))[part]) for h in (step, -step))) / (2 * step)
        )
        np.testing.assert_allclose(first, np.repeat(differences(0, u), 2), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(second, np.repeat(differences(1, v), 2), rtol=1e-5, atol=1e-5)


def test_one_trace_serves_every_equal_layer(layer, params, x):
    traces = []

    def run(layer, params, x):
        traces.append(layer)
        return layer.apply(params, x)

    for compiled in (jax.jit(run), jax.jit(run, static_argnums=0)):
        traces.clear()
        for same in (layer, pickle.loads(pickle.dumps(layer)), from_dict(to_dict(layer))):
            compiled(same, params, x)
        assert len(traces) == 1


def test_compares_hashes_prints_pickles_and_goes_to_a_dict_and_back(layer):
    for same in (
        pickle.loads(pickle.dumps(layer)),
        from_dict(to_dict(layer)),
        eval(repr(layer), {**vars(densefn.forms), **vars(densefn)}),
    ):
        assert same == layer
        assert hash(same) == hash(layer)
        assert repr(same) == repr(layer)
    assert layer != Sequential(layer)


def test_remat_changes_no_gradient(layer, params, x):
    plain = jax.jit(jax.grad(partial(objective, layer), argnums=(0, 1)))(params, x)
    remat = jax.jit(jax.grad(jax.checkpoint(partial(objective, layer)), argnums=(0, 1)))(params, x)
    chex.assert_trees_all_close(remat, plain, **CLOSE)


def test_runs_inside_a_scan(layer, params, x):
    _, scanned = jax.lax.scan(lambda carry, row: (carry, layer.apply(params, row)), None, x)
    chex.assert_trees_all_close(scanned, forward(layer)(params, x).value, **CLOSE)


def test_pmap_over_two_devices_gives_the_same(layer, params, x):
    halves = x.reshape(2, 2, WIDTH)
    parts = jax.pmap(layer.apply, in_axes=(None, 0))(params, halves)
    chex.assert_trees_all_close(parts.reshape(4, -1), forward(layer)(params, x).value, **CLOSE)


def test_shard_map_and_sharded_jit_over_two_devices_give_the_same(layer, params, x):
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    mapped = jax.shard_map(layer.apply, mesh=mesh, in_specs=(P(), P("batch")), out_specs=P("batch"))
    expected = forward(layer)(params, x).value
    chex.assert_trees_all_close(jax.jit(mapped)(params, x), expected, **CLOSE)
    sharded = jax.device_put(x, jax.NamedSharding(mesh, P("batch")))
    value = jax.jit(layer.apply)(params, sharded)
    chex.assert_trees_all_close(value, expected, **CLOSE)
    assert value.sharding.is_equivalent_to(sharded.sharding, value.ndim)


def test_projection_keeps_shapes_and_projects_only_once(layer, params):
    project = jax.jit(layer.project)
    once = project(params)
    chex.assert_trees_all_equal_shapes_and_dtypes(once, params)
    chex.assert_trees_all_close(project(once), once, **CLOSE)


def test_any_leading_dimensions_are_kept(layer, params):
    inputs = [np.ones((*leading, WIDTH), np.float32) for leading in ((), (0,), (1,), (2, 0, 3), (2, 3, 2))]

    @partial(jax.grad, has_aux=True)
    def gradient(params, x):
        value, penalty = layer.forward(params, x)
        return jnp.sum(jnp.square(value)) + penalty, (value, penalty)

    results = jax.jit(lambda params, inputs: [gradient(params, x) for x in inputs])(params, inputs)
    for x, (of_params, (value, penalty)) in zip(inputs, results, strict=True):
        assert value.shape == (*x.shape[:-1], layer.output_shape(SHAPE)[-1]) == layer.output_shape(x.shape)
        assert np.isfinite(penalty)
        assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(of_params))


def test_runs_under_strict_promotion_of_dtypes(make, key, x):
    """JAX refuses a promotion when it traces: nothing has to be compiled."""
    with jax.numpy_dtype_promotion("strict"):
        for dtype in ("float32", "mixed_bfloat16"):
            layer = make(dtype)
            params = jax.eval_shape(lambda key, layer=layer: layer.init(key, SHAPE), key)
            jax.eval_shape(jax.grad(lambda p, layer=layer: layer.forward(p, x).penalty), params)
            jax.eval_shape(layer.project, params)
