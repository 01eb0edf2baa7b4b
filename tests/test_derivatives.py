"""Derivatives of higher order in the narrow policies: of every layer, through all control flow, beside float32's."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import P, lax
from jax.experimental.jet import jet

from densefn import Dense, Repeat, Sequential
from tests.test_laws import MAKERS, SHAPE, WIDTH, objective

SECOND = {
    f"{outer} over {inner}": lambda f, outer=outer, inner=inner: MODES[outer](MODES[inner](f))
    for outer in ("forward", "reverse")
    for inner in ("forward", "reverse")
}
MODES = {"forward": lambda f: lambda t: jax.jvp(f, (t,), (jnp.ones_like(t),))[1], "reverse": jax.grad}
THIRD = {"third": lambda f: MODES["forward"](jax.grad(jax.grad(f)))}


def derivatives(f, kinds):
    """The derivatives at one point, from one program."""
    return jax.jit(lambda t: {name: of(f)(t) for name, of in kinds.items()})(0.1)


def along_a_line(make, dtype, through=lambda f: f):
    """The objective of a layer as a function of one number, by which parameters and input move along a line."""
    reference = make("float32").init(jax.random.key(0), SHAPE)
    layer = make(dtype)
    x, dx = jax.random.normal(jax.random.key(1), (2, 4, WIDTH))

    def f(t):
        moved = jax.tree.map(lambda p, w: (w + t * jnp.cos(7 * w)).astype(p.dtype), layer.declare(SHAPE), reference)
        return through(partial(objective, layer))(moved, x + t * dx)

    return f


def twice(dtype):
    return Repeat(Repeat(dense(dtype), times=2), times=2)


def dense(dtype):
    return Dense(WIDTH, "tanh", dtype=dtype)


# `nested` is made of the others, and takes as long as all of them to compile.
@pytest.mark.parametrize("make", [*MAKERS[:-1], twice], ids=lambda make: make.__name__)
def test_every_layer_has_the_derivatives_of_float32(make):
    kinds = SECOND | THIRD
    ours, theirs = (derivatives(along_a_line(make, dtype), kinds) for dtype in ("mixed_float16", "float32"))
    for name, value in theirs.items():
        # A derivative sums some hundred products of factors that are rounded by 2^-12 of them at most.
        np.testing.assert_allclose(ours[name], value, rtol=0.02, atol=0.02, err_msg=name)


def descent(f, params, x):
    """The objective after two steps of gradient descent, as in meta-learning."""
    step = lambda w, _: (jax.tree.map(lambda w, g: w - 0.1 * g, w, jax.grad(f)(w, x)), None)
    return f(lax.scan(step, params, None, length=2)[0], x)


def gradient_penalty(f, params, x):
    return jnp.sum(jax.grad(f, 1)(params, x) ** 2)


def slope(f, params, x):
    return jax.jvp(partial(f, params), (x,), (jnp.cos(x),))[1]


def plain(f, params, x):
    return f(params, x)


def scan(f, params, x):
    return lax.scan(lambda total, row: (total + f(params, row), None), 0.0, x)[0]


def shards(f, params, x):
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    part = lambda params, x: lax.psum(f(params, x), "rows")
    return jax.shard_map(part, mesh=mesh, in_specs=(P(), P("rows")), out_specs=P())(params, x)


SAVE = jax.checkpoint_policies.dots_saveable

# The objective of a layer without penalties is a sum over rows, so most of these compute the same.
THROUGH = {
    "scan": (scan, plain),
    "fori_loop": (lambda f, params, x: lax.fori_loop(0, 4, lambda i, total: total + f(params, x[i]), 0.0), plain),
    "map": (lambda f, params, x: jnp.sum(lax.map(partial(f, params), x)), plain),
    "cond": (lambda f, params, x: lax.cond(x[0, 0] < 10, f, lambda *_: 0.0, params, x), plain),
    "remat": (lambda f, params, x: jax.checkpoint(f)(params, x), plain),
    "remat that saves products": (lambda f, params, x: jax.checkpoint(f, policy=SAVE)(params, x), plain),
    "jit": (lambda f, params, x: jax.jit(f)(params, x), plain),
    "vmap": (lambda f, params, x: jnp.sum(jax.vmap(f, (None, 0))(params, x)), plain),
    "shard_map": (shards, plain),
    "descent": (descent, descent),
    "gradient penalty": (gradient_penalty, gradient_penalty),
    "gradient penalty of a scan": (lambda f, *args: gradient_penalty(partial(scan, f), *args), gradient_penalty),
    "jvp": (slope, slope),
    "linearize": (lambda f, params, x: jax.linearize(partial(f, params), x)[1](jnp.cos(x)), slope),
}


@functools.cache
def reference(through):
    return derivatives(along_a_line(dense, "float32", partial(partial, through)), SECOND)


@pytest.mark.parametrize("through", THROUGH)
def test_derivatives_are_right_through_all_control_flow(through):
    through, same = THROUGH[through]
    ours = derivatives(along_a_line(dense, "mixed_float16", partial(partial, through)), SECOND)
    for name, value in reference(same).items():
        np.testing.assert_allclose(ours[name], value, rtol=0.02, atol=0.02, err_msg=name)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16", "float16"])
def test_derivatives_are_right_in_every_narrow_policy(dtype):
    ours = derivatives(along_a_line(dense, dtype, partial(partial, scan)), SECOND)
    for name, value in reference(plain).items():
        # bfloat16 rounds by 2^-9.
        np.testing.assert_allclose(ours[name], value, rtol=0.1, atol=0.1, err_msg=name)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_the_taylor_series_of_jet_are_those_of_float32(dtype):
    net = lambda dtype: Sequential(Dense(4, "tanh", dtype=dtype), Dense(3, dtype=dtype))
    params = net("float32").init(jax.random.key(0), SHAPE)
    x, *series = jax.random.normal(jax.random.key(1), (4, 2, WIDTH))
    series_of = lambda dtype: jet(lambda x: net(dtype).apply(params, x).astype("float32"), (x,), (series,))
    for ours, theirs in zip(*map(jax.tree.leaves, map(series_of, (dtype, "float32"))), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0.05, atol=0.05 * np.abs(theirs).max())
