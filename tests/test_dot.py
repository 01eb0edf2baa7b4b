"""The narrow product against float64 NumPy of the same rounded operands, in every mode of differentiation."""

import re
from functools import partial

import chex
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from densefn import Dense
from densefn.dot import Axes, dot, einsum, product

NARROW = ["bfloat16", "float16"]

# Products of operands that are given exactly, summed in float32: half a unit in the last place for each of a few dozen
# terms of order one.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def drawn(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def rounded(x, dtype):
    """The values that an array has in a narrow dtype, in float64."""
    return np.asarray(jnp.asarray(x).astype(dtype), np.float64)


@pytest.mark.parametrize("dtype", NARROW)
def test_the_gradients_of_float32_operands_never_pass_through_the_narrow_dtype(dtype):
    rows = 4096
    x, w, g = drawn(rows, 64), drawn(64, 32, seed=1), drawn(rows, 32, seed=2)
    y, pull = jax.vjp(lambda x, w: dot(x, w, dtype), x, w)
    of_x, of_w = pull(g)
    assert {a.dtype for a in (y, of_x, of_w)} == {jnp.dtype("float32")}
    x64, w64, g64 = (rounded(a, dtype) for a in (x, w, g))
    for ours, theirs in ((y, x64 @ w64), (of_x, g64 @ w64.T), (of_w, x64.T @ g64)):
        # Against the greatest entry: entries near zero are differences of large terms.
        assert np.abs(ours - theirs).max() < 1e-6 * np.abs(theirs).max()
        assert np.abs(rounded(ours, dtype) - theirs).max() > 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize("dtype", NARROW)
def test_narrow_operands_have_narrow_gradients(dtype):
    x, w = drawn(5, 4).astype(dtype), drawn(4, 3)
    of_x, of_w = jax.grad(lambda x, w: jnp.sum(dot(x, w, dtype)), argnums=(0, 1))(x, w)
    assert (of_x.dtype, of_w.dtype) == (jnp.dtype(dtype), jnp.float32)


AXES = [
    (Axes((1,), (0,)), (5, 4), (4, 3), "ab,bc->ac"),
    (Axes((0,), (0,)), (4, 5), (4, 3), "ba,bc->ac"),
    (Axes((1,), (1,)), (5, 4), (3, 4), "ab,cb->ac"),
    (Axes((2, 0), (0, 2)), (2, 5, 4), (4, 3, 2), "dab,bcd->ac"),
    (Axes((2,), (1,), (0,), (0,)), (2, 5, 4), (2, 4, 3), "eab,ebc->eac"),
    (Axes((0, 3), (2, 1), (2,), (3,)), (4, 5, 2, 6), (3, 6, 4, 2), "baed,cdbe->eac"),
    (Axes((0,), (0,)), (4,), (4,), "b,b->"),
    (Axes((), ()), (4,), (3,), "a,c->ac"),
]


@pytest.mark.parametrize(("axes", "x", "w", "equation"), AXES, ids=lambda it: it if isinstance(it, str) else "")
def test_value_and_both_gradients_are_numpy_s_over_any_axes(axes, x, w, equation):
    x, w = drawn(*x), drawn(*w, seed=1)
    y, pull = jax.vjp(partial(product, axes=axes, compute_dtype="bfloat16"), x, w)
    g = jnp.cos(y)
    x64, w64, g64 = (rounded(a, "bfloat16") for a in (x, w, g))
    np.testing.assert_allclose(y, np.einsum(equation, x64, w64), **CLOSE)
    np.testing.assert_allclose(einsum(equation, x, w, "bfloat16"), y, **CLOSE)
    (of_x, of_w), (letters, result) = pull(g), equation.split("->")
    x_letters, w_letters = letters.split(",")
    np.testing.assert_allclose(of_x, np.einsum(f"{result},{w_letters}->{x_letters}", g64, w64), **CLOSE)
    np.testing.assert_allclose(of_w, np.einsum(f"{result},{x_letters}->{w_letters}", g64, x64), **CLOSE)


def test_an_axis_of_x_alone_is_summed_before_it_is_rounded():
    # In bfloat16 each term is 1 and their sum 250; in float32 it is 250.95, which is 251 in bfloat16.
    x = jnp.full((2, 1, 250), 1.0038)
    expected = rounded(np.asarray(x, np.float64).sum(axis=2), "bfloat16")
    np.testing.assert_array_equal(einsum("abk,bc->ac", x, jnp.ones((1, 1)), "bfloat16"), expected)


@pytest.mark.parametrize("x_axis", [None, 0, 1, 2, -1])
@pytest.mark.parametrize("w_axis", [None, 0, 1, 2])
def test_vmap_over_any_axis_of_either_operand_is_a_loop(x_axis, w_axis):
    if x_axis is w_axis is None:
        return
    x = drawn(5, 4) if x_axis is None else jnp.moveaxis(drawn(6, 5, 4), 0, x_axis)
    w = drawn(4, 3, seed=1) if w_axis is None else jnp.moveaxis(drawn(6, 4, 3, seed=1), 0, w_axis)
    one = lambda i: (x if x_axis is None else jnp.take(x, i, x_axis), w if w_axis is None else jnp.take(w, i, w_axis))

    def both(x, w):
        y, pull = jax.vjp(lambda x, w: dot(x, w, "bfloat16"), x, w)
        return y, pull(jnp.sin(y))

    mapped = jax.vmap(both, in_axes=(x_axis, w_axis))(x, w)
    looped = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(both(*one(i)) for i in range(6)))
    chex.assert_trees_all_close(mapped, looped, **CLOSE)


@pytest.mark.parametrize("x_axis", [0, 1])
@pytest.mark.parametrize("w_axis", [0, 1, 2])
def test_kernels_share_vectors_that_are_columns(x_axis, w_axis):
    """XLA refuses such products on a CPU if it makes them sum over columns, by taking transposes away."""
    x, w = jnp.moveaxis(drawn(7, 4), 0, x_axis), jnp.moveaxis(drawn(6, 4, 3, seed=1), 0, w_axis)
    apply = jax.vmap(jax.vmap(lambda x, w: dot(x, w, "bfloat16"), (None, w_axis)), (x_axis, None))
    of_x, of_w = jax.jit(jax.grad(lambda x, w: jnp.sum(apply(x, w)), (0, 1)))(x, w)
    x64, w64 = np.moveaxis(rounded(x, "bfloat16"), x_axis, 0), np.moveaxis(rounded(w, "bfloat16"), w_axis, 0)
    np.testing.assert_allclose(jax.jit(apply)(x, w), np.einsum("bi,eio->beo", x64, w64), **CLOSE)
    np.testing.assert_allclose(of_x, np.moveaxis(np.tile(w64.sum(axis=(0, 2)), (7, 1)), 0, x_axis), **CLOSE)
    np.testing.assert_allclose(of_w, np.moveaxis(np.tile(x64.sum(axis=0)[:, None], (6, 1, 3)), 0, w_axis), **CLOSE)


class TestModes:
    """The product is bilinear: its derivatives of all orders follow from products again."""

    x, w = drawn(3, 4), drawn(4, 2, seed=1)
    of_w = staticmethod(lambda w: jnp.sum(jnp.sin(dot(TestModes.x, w, "bfloat16"))))
    by_hand = staticmethod(lambda w: jnp.sum(jnp.sin(jnp.dot(TestModes.x, w))))

    def test_forward_and_reverse_agree(self):
        t = drawn(4, 2, seed=2)
        _, forward = jax.jvp(self.of_w, (self.w,), (t,))
        _, linear = jax.linearize(self.of_w, self.w)
        reverse = jnp.vdot(jax.grad(self.of_w)(self.w), t)
        # The operands of either are rounded at other places: 8 bits.
        for other in (linear(t), reverse):
            np.testing.assert_allclose(forward, other, rtol=2**-6, atol=2**-6)

    @pytest.mark.parametrize("outer", [jax.jacfwd, jax.jacrev])
    @pytest.mark.parametrize("inner", [jax.jacfwd, jax.jacrev])
    def test_second_derivatives_are_those_of_the_plain_product(self, outer, inner):
        ours, theirs = (outer(inner(f))(self.w) for f in (self.of_w, self.by_hand))
        np.testing.assert_allclose(ours, theirs, atol=0.1)  # three rounded factors of up to 3, 8 bits each

    @pytest.mark.parametrize(("policy", "products"), [("nothing_saveable", 7), ("dots_saveable", 5)])
    def test_the_policies_of_remat_save_products(self, policy, products):
        """Two forward and three backward, and the two forward ones again unless they were saved."""
        policy = getattr(jax.checkpoint_policies, policy)
        two = lambda w: jnp.sum(jnp.sin(dot(jnp.sin(dot(self.x, w, "bfloat16")), w.T, "bfloat16")))
        jaxpr = str(jax.make_jaxpr(jax.grad(jax.checkpoint(two, policy=policy)))(self.w))
        assert jaxpr.count("dot_general[") + jaxpr.count("narrow_product[") == products

    def test_remat_scan_and_export(self):
        plain = jax.grad(self.of_w)(self.w)
        np.testing.assert_array_equal(jax.grad(jax.checkpoint(self.of_w))(self.w), plain)
        scanned = jax.lax.scan(lambda carry, row: (carry, dot(row, self.w, "bfloat16")), None, self.x)[1]
        np.testing.assert_allclose(scanned, dot(self.x, self.w, "bfloat16"), **CLOSE)
        exported = jax.export.export(jax.jit(jax.grad(self.of_w)))(self.w)
        np.testing.assert_allclose(exported.call(self.w), plain, **CLOSE)


@pytest.mark.parametrize("dtype", NARROW)
def test_without_jit_the_same_is_computed(dtype):
    x, w = drawn(3, 4), drawn(4, 2, seed=1)
    both = jax.value_and_grad(lambda x, w: jnp.sum(jnp.sin(dot(x, w, dtype))), (0, 1))
    compiled = both(x, w)
    with jax.disable_jit():
        chex.assert_trees_all_close(both(x, w), compiled, **CLOSE)


def gradients(f, *args):
    """The compiled program of a value and its gradients in both arguments."""
    step = jax.jit(jax.value_and_grad(lambda *args: jnp.sum(jnp.sin(f(*args))), (0, 1)))
    return step.lower(*args).compile().as_text()


@pytest.mark.parametrize(
    ("f", "x", "w"),
    [
        (dot, (64, 32), (32, 16)),
        (dot, (4, 16, 32), (32, 16)),
        (lambda *args: einsum("bti,iho->btho", *args), (4, 16, 32), (32, 2, 8)),
        (lambda *args: einsum("bih,iho->bho", *args), (64, 32, 2), (32, 2, 8)),
        (lambda x, w, dtype: jax.vmap(partial(dot, compute_dtype=dtype), (None, 0))(x, w), (64, 32), (5, 32, 16)),
        (lambda x, w, dtype: jax.vmap(partial(dot, compute_dtype=dtype))(x, w), (5, 64, 32), (5, 32, 16)),
    ],
    ids=["matrix", "rank 3", "einsum", "experts", "ensemble", "ensemble of inputs"],
)
def test_on_a_cpu_all_three_products_have_narrow_operands(f, x, w):
    """XLA has kernels for them only if each operand's axes lie in memory as they want them, and widens them if not."""
    hlo = gradients(lambda x, w: f(jnp.sin(x), w, "bfloat16"), drawn(*x), drawn(*w, seed=1))
    computations = [block for block in hlo.split("\n\n") if re.search(r"= f32\S+ dot\(", block)]
    assert len(computations) == 3
    for computation in computations:
        assert len(re.findall(r"= bf16\S+ parameter\(", computation)) == 2, computation


def test_rows_on_several_devices_stay_there():
    mesh = jax.make_mesh((2,), ("mesh",), axis_types=(jax.sharding.AxisType.Auto,))
    x = jax.device_put(drawn(64, 32), jax.NamedSharding(mesh, P("mesh")))
    w = jax.device_put(drawn(32, 16, seed=1), jax.NamedSharding(mesh, P()))
    hlo = gradients(partial(dot, compute_dtype="bfloat16"), x, w)
    assert "all-gather" not in hlo
    assert "all-reduce" in hlo


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("spec", [P("mesh"), P(None, "mesh")], ids=str)
def test_sharded_gives_the_same(kind, spec):
    mesh = jax.make_mesh((2,), ("mesh",), axis_types=(getattr(jax.sharding.AxisType, kind),))
    layer = Dense(6, "tanh", dtype="mixed_bfloat16")
    params, x = layer.init(jax.random.key(0), (4,)), drawn(8, 4)
    gradient = jax.grad(lambda params, x: jnp.sum(jnp.square(layer.apply(params, x).astype(jnp.float32))))
    expected = jax.jit(gradient)(params, x)
    with jax.set_mesh(mesh):
        if spec == P("mesh"):
            x = jax.device_put(x, jax.NamedSharding(mesh, spec))
        else:
            params = {**params, "kernel": jax.device_put(params["kernel"], jax.NamedSharding(mesh, spec))}
            params["bias"] = jax.device_put(params["bias"], jax.NamedSharding(mesh, P("mesh")))
        chex.assert_trees_all_close(jax.jit(gradient)(params, x), expected, **CLOSE)


@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0)], ids=str)
def test_gradients_of_an_ensemble_on_several_devices_stay_there(mapped):
    mesh = jax.make_mesh((2,), ("mesh",), axis_types=(jax.sharding.AxisType.Explicit,))
    of_w, of_x = mapped
    gradients = jax.grad(lambda w, x: jnp.sum(jnp.sin(dot(x, w, "bfloat16"))), (0, 1))
    ensemble = jax.jit(jax.vmap(gradients, mapped))
    w = drawn(4, 3) if of_w is None else drawn(6, 4, 3)
    x = drawn(8, 4, seed=1) if of_x is None else drawn(6, 8, 4, seed=1)
    expected = ensemble(w, x)
    with jax.set_mesh(mesh):
        place = lambda a, axis: a if axis is None else jax.device_put(a, jax.NamedSharding(mesh, P("mesh")))
        placed = place(w, of_w), place(x, of_x)
        ours = ensemble(*placed)
        assert [a.sharding.spec for a in ours] == [P("mesh", None, None)] * 2
        assert "all-gather" not in ensemble.lower(*placed).compile().as_text()
    chex.assert_trees_all_close(ours, expected, **CLOSE)


def test_pmap_is_the_loop():
    w, x = drawn(4, 3), drawn(2, 8, 4, seed=1)
    gradient = jax.grad(lambda w, x: jnp.sum(jnp.sin(dot(x, w, "bfloat16"))))
    np.testing.assert_allclose(jax.pmap(gradient, in_axes=(None, 0))(w, x), [gradient(w, rows) for rows in x], **CLOSE)


def test_under_shard_map_the_gradient_of_shared_parameters_is_summed():
    mesh = jax.make_mesh((2,), ("mesh",), axis_types=(jax.sharding.AxisType.Auto,))
    w, x = drawn(4, 3), drawn(8, 4, seed=1)
    loss = lambda w, x: jax.lax.psum(jnp.sum(jnp.sin(dot(x, w, "bfloat16"))), "mesh")
    mapped = jax.shard_map(jax.grad(loss), mesh=mesh, in_specs=(P(), P("mesh")), out_specs=P())
    expected = jax.grad(lambda w: jnp.sum(jnp.sin(dot(x, w, "bfloat16"))))(w)
    np.testing.assert_allclose(jax.jit(mapped)(w, x), expected, **CLOSE)
