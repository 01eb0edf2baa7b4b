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

from densefn import Dense, _processor
from densefn._axes import Axes
from densefn._dot import dot, einsum, product

NARROW = ["bfloat16", "float16"]

# Products of operands that are given exactly, summed in float32: half a unit in the last place for each of a few dozen
# terms of order one.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def drawn(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def rounded(x, dtype):
    """The values that an array has in a narrow dtype, in float64."""
    return np.asarray(x).astype(jnp.dtype(dtype)).astype(np.float64)


@pytest.mark.parametrize("dtype", NARROW)
def test_the_gradients_of_float32_operands_never_pass_through_the_narrow_dtype(dtype):
    rows = 4096
    x, w, g = drawn(rows, 64), drawn(64, 32, seed=1), drawn(rows, 32, seed=2)
    y, pull = jax.vjp(lambda x, w: dot(x, w, dtype), x, w)
    ours = (y, *pull(g))
    assert {y.dtype for y in ours} == {jnp.dtype("float32")}
    by_hand = jax.jit(lambda x, w, g: (x @ w, g @ w.T, x.T @ g))
    wide = by_hand(*(jnp.asarray(rounded(a, dtype), jnp.float32) for a in (x, w, g)))
    x64, w64, g64 = (rounded(a, dtype) for a in (x, w, g))
    for y, same, exact in zip(ours, wide, (x64 @ w64, g64 @ w64.T, x64.T @ g64), strict=True):
        error = lambda y, exact=exact: np.abs(y - exact).max() / np.abs(exact).max()
        # Kernels for narrow operands add one product after the other, XLA's for float32 add blocks: on 4096 rows their
        # errors were measured to be in a ratio of up to 5.
        assert error(y) <= (8 if _processor.multiplies(dtype) else 1.1) * error(same)
        assert error(rounded(y, dtype)) > 1e-4


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

    @jax.jit
    def computed(x, w):
        y, pull = jax.vjp(partial(product, axes=axes, compute_dtype="bfloat16"), x, w)
        g = jnp.cos(y)
        return y, g, pull(g), einsum(equation, x, w, "bfloat16")

    y, g, (of_x, of_w), same = computed(x, w)
    x64, w64, g64 = (rounded(a, "bfloat16") for a in (x, w, g))
    np.testing.assert_allclose(y, np.einsum(equation, x64, w64), **CLOSE)
    np.testing.assert_allclose(same, y, **CLOSE)
    letters, result = equation.split("->")
    x_letters, w_letters = letters.split(",")
    np.testing.assert_allclose(of_x, np.einsum(f"{result},{w_letters}->{x_letters}", g64, w64), **CLOSE)
    np.testing.assert_allclose(of_w, np.einsum(f"{result},{x_letters}->{w_letters}", g64, x64), **CLOSE)


def test_an_axis_of_x_alone_is_summed_before_it_is_rounded():
    # In bfloat16 each term is 1 and their sum 250; in float32 it is 250.95, which is 251 in bfloat16.
    x = jnp.full((2, 1, 250), 1.0038)
    expected = rounded(np.asarray(x, np.float64).sum(axis=2), "bfloat16")
    np.testing.assert_array_equal(einsum("abk,bc->ac", x, jnp.ones((1, 1)), "bfloat16"), expected)


def test_an_axis_of_x_alone_is_summed_in_float64_where_products_are():
    with jax.enable_x64(True):
        x = jnp.array([[1e8, 1.0, -1e8]], "float32")
        np.testing.assert_array_equal(einsum("bi,o->bo", x, jnp.ones(2, "float32"), "float64"), [[1.0, 1.0]])


def value_and_gradients(x, w):
    y, pull = jax.vjp(lambda x, w: dot(x, w, "bfloat16"), x, w)
    return y, pull(jnp.sin(y))


ONE = jax.jit(value_and_gradients)


@pytest.mark.parametrize("x_axis", [None, 0, 1, 2, -1])
@pytest.mark.parametrize("w_axis", [None, 0, 1, 2])
def test_vmap_over_any_axis_of_either_operand_is_a_loop(x_axis, w_axis):
    if x_axis is w_axis is None:
        return
    x, w = np.asarray(drawn(6, 5, 4)), np.asarray(drawn(6, 4, 3, seed=1))
    x, w = (a[0] if axis is None else np.moveaxis(a, 0, axis) for a, axis in ((x, x_axis), (w, w_axis)))
    one = lambda i: [a if axis is None else np.take(a, i, axis) for a, axis in ((x, x_axis), (w, w_axis))]
    mapped = jax.jit(jax.vmap(value_and_gradients, in_axes=(x_axis, w_axis)))(x, w)
    looped = jax.tree.map(lambda *leaves: np.stack(leaves), *(ONE(*one(i)) for i in range(6)))
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
        ours, theirs = jax.jit(lambda w: [outer(inner(f))(w) for f in (self.of_w, self.by_hand)])(self.w)
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


def operands_of_products(hlo):
    """The dtypes of the operands of every product in a compiled program."""
    blocks = [block for block in hlo.split("\n\n") if re.search(r"= f32\S+ dot\(", block)]
    return [tuple(re.findall(r"= (\w+)\[\S+ parameter\(", block)) for block in blocks]


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
def test_on_a_cpu_that_multiplies_them_all_three_products_have_narrow_operands(f, x, w, monkeypatch):
    """XLA has kernels for them only if each operand's axes lie in memory as they want them, and widens them if not."""
    monkeypatch.setattr(_processor, "multiplies", lambda _: True)
    hlo = gradients(lambda x, w: f(jnp.sin(x), w, "bfloat16"), drawn(*x), drawn(*w, seed=1))
    assert operands_of_products(hlo) == [("bf16", "bf16")] * 3


@pytest.mark.parametrize("dtype", NARROW)
def test_on_a_cpu_that_does_not_multiply_them_the_products_are_float32_s_of_rounded_operands(dtype, monkeypatch):
    monkeypatch.setattr(_processor, "multiplies", lambda _: False)
    x, w, g = drawn(64, 32), drawn(32, 16, seed=1), drawn(64, 16, seed=2)
    x = x.at[0, 0].set(1e-7).at[0, 1].set(1 + 2**-12)  # in float16 a subnormal number, and one that is rounded to 1
    both = jax.jit(lambda x, w, g: (dot(x, w, dtype), *jax.vjp(partial(dot, compute_dtype=dtype), x, w)[1](g)))
    x64, w64, g64 = (rounded(a, dtype) for a in (x, w, g))
    for ours, theirs in zip(both(x, w, g), (x64 @ w64, g64 @ w64.T, x64.T @ g64), strict=True):
        np.testing.assert_allclose(ours, theirs, **CLOSE)
    products = operands_of_products(both.lower(x, w, g).compile().as_text())
    assert len(products) == 3
    assert {dtype for product in products for dtype in product} == {"f32"}


def test_an_exported_program_keeps_the_form_for_every_platform(monkeypatch):
    for multiplies in (True, False):
        monkeypatch.setattr(_processor, "multiplies", lambda _, multiplies=multiplies: multiplies)
        step = jax.jit(jax.grad(lambda w, x: jnp.sum(jnp.sin(dot(x, w, "bfloat16")))))
        program = jax.export.export(step, platforms=("cpu", "tpu"))(drawn(4, 2), drawn(3, 4)).mlir_module()
        products = re.findall(r"stablehlo.dot_general.*", program)
        assert products
        assert all("bf16" in product for product in products)


@pytest.mark.parametrize("operand", [0, 1])
def test_the_product_itself_can_be_transposed(operand):
    operands = [drawn(3, 4), drawn(4, 2, seed=1)]
    one = lambda a: dot(*operands[:operand], a, *operands[operand + 1 :], "bfloat16")
    g = drawn(3, 2, seed=2)
    expected = jax.vjp(one, operands[operand])[1](g)
    chex.assert_trees_all_equal(jax.linear_transpose(one, operands[operand])(g), expected)


def test_a_product_in_a_branch_is_mapped_beside_one_that_is_not():
    """What leaves the branches of a cond is mapped if it is in either."""
    x, w, rows = drawn(3, 4), drawn(4, 2, seed=1), drawn(5, 3, 4, seed=2)
    policy = jax.checkpoint_policies.dots_saveable
    one = jax.checkpoint(lambda x, w: jnp.sin(dot(x, w, "bfloat16")), policy=policy)
    f = lambda yes, row, w: jnp.sum(jax.lax.cond(yes, lambda: one(row, w), lambda: one(x, w)))
    gradient = jax.jit(jax.grad(f, argnums=2))
    yes = np.array([True, False, True, False, True])
    looped = [gradient(y, row, w) for y, row in zip(yes, np.asarray(rows), strict=True)]
    np.testing.assert_allclose(jax.jit(jax.vmap(gradient, (0, 0, None)))(yes, rows, w), looped, **CLOSE)


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("way", ["eager", "jit", "vmap", "heads"])
def test_a_sum_over_an_explicitly_sharded_axis_is_on_every_device(dtype, way):
    mesh = jax.make_mesh((2,), ("mesh",), axis_types=(jax.sharding.AxisType.Explicit,))
    x, w, equation = (drawn(3, 8, 4), drawn(4, 6, seed=1), "bsi,io->bso")
    if way == "heads":  # the second of two contracted axes is sharded, and neither is the last
        x, w, equation = (drawn(3, 4, 8), drawn(5, 4, 3, seed=1), "bhs,ohb->so")
    spec = [P(*("mesh" if axis == equation[{"heads": 1}.get(way, 2)] else None for axis in axes))
            for axes in equation.split("->")[0].split(",")]  # fmt: skip
    of = partial(einsum, equation, compute_dtype=dtype)
    if way == "vmap":
        of = jax.vmap(partial(einsum, "si,io->so", compute_dtype=dtype), (0, None))
    of = of if way == "eager" else jax.jit(of)
    rounded = [np.asarray(a.astype(dtype), np.float64) for a in (x, w)]
    with jax.set_mesh(mesh):
        placed = [jax.device_put(a, jax.NamedSharding(mesh, s)) for a, s in zip((x, w), spec, strict=True)]
        y, dx_dw = of(*placed), jax.grad(lambda x, w: jnp.sum(of(x, w)), (0, 1))(*placed)
    assert y.sharding.is_fully_replicated
    assert [a.sharding.spec for a in dx_dw] == spec
    np.testing.assert_allclose(y, np.einsum(equation, *rounded), **CLOSE)
    ones = np.ones(y.shape)
    (of_x, of_w), of_y = equation.split("->")[0].split(","), equation.split("->")[1]
    np.testing.assert_allclose(dx_dw[0], np.einsum(f"{of_y},{of_w}->{of_x}", ones, rounded[1]), **CLOSE)
    np.testing.assert_allclose(dx_dw[1], np.einsum(f"{of_x},{of_y}->{of_w}", rounded[0], ones), **CLOSE)


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
