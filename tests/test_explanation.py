"""What `explain` says, against XLA's own analysis, NumPy, and the tables of names it has to know."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import densefn
from densefn import (
    Dense,
    Einsum,
    Policy,
    Repeat,
    Residual,
    Sequential,
    activations,
    explain,
    initializers,
)
from densefn.layer import Layer

MODEL = Sequential(
    Dense(6, "gelu"), Repeat(Residual(Dense(6, "tanh", dtype="mixed_bfloat16")), times=3), "softmax", Dense(2)
)


def two_percent(ours, theirs):
    assert abs(ours - theirs) <= 0.02 * theirs, (ours, theirs)


COSTS = [
    (Dense(25600, use_bias=False), (32, 100)),
    (Dense(512, use_bias=False), (64, 784)),
    (Dense(512), (64, 784)),
    (Dense(512, "relu"), (64, 784)),
    (Dense(512, "tanh"), (64, 784)),
    (Dense(300, "gelu"), (128, 1000)),
    (Dense(512, "relu", use_bias=False), (4, 16, 784)),
    (Dense(10), (1000, 784)),
    (Dense(512, "softmax", kernel_regularizer="l2", bias_regularizer="l1"), (64, 784)),
    (Dense(512, "relu", dtype="mixed_bfloat16"), (64, 784)),
    (Einsum("...i,ihd->...hd", (8, 64)), (128, 512)),
    (Einsum("ebi,eio->ebo", 256, "relu"), (4, 64, 256)),
    (Sequential(Dense(512, "relu"), Dense(512, "relu"), Dense(10)), (128, 784)),
    (Residual(Dense(512, "relu")), (128, 512)),
]


@pytest.mark.parametrize(("layer", "shape"), COSTS, ids=lambda it: repr(it) if isinstance(it, Layer) else str(it))
def test_operations_agree_with_xla_to_two_percent(layer, shape):
    found = explain(layer, shape)
    two_percent(found.cost.forward_flops, found.forward.flops)
    two_percent(found.cost.forward_flops + found.cost.backward_flops, found.training.flops)


# XLA adds passes where it converts dtypes, sums penalties, normalises or transposes.
MOVED = [(layer, shape) for layer, shape in COSTS if isinstance(layer, Dense) and layer.dtype == "float32"
         and layer.kernel_regularizer is None and len(shape) == 2 and layer.activation != "gelu"]  # fmt: skip


@pytest.mark.parametrize(("layer", "shape"), MOVED, ids=lambda it: repr(it) if isinstance(it, Layer) else str(it))
def test_bytes_agree_with_xla_to_two_percent(layer, shape):
    found = explain(layer, shape)
    two_percent(found.cost.forward_bytes, found.forward.bytes)
    two_percent(found.cost.forward_bytes + found.cost.backward_bytes, found.training.bytes)


@pytest.mark.parametrize(("layer", "shape"), COSTS[:6], ids=lambda it: repr(it) if isinstance(it, Layer) else str(it))
def test_memory_is_what_xla_is_given_and_returns(layer, shape, key):
    memory = explain(layer, shape).memory
    params = jax.eval_shape(lambda: layer.init(key, shape))
    x = jax.ShapeDtypeStruct(shape, np.float32)
    analysis = jax.jit(layer.apply).lower(params, x).compile().memory_analysis()
    outside = analysis.argument_size_in_bytes + analysis.output_size_in_bytes
    two_percent(memory.parameters + memory.activations, outside)
    assert memory.adam == 2 * memory.gradients == 2 * memory.parameters


@pytest.mark.parametrize("activation", [None, "relu", "softmax", "glu", "tanh"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_the_example_by_hand_is_right(activation, use_bias):
    layer = Dense(4, activation, use_bias=use_bias)
    example = explain(layer, (3, 5)).parts[0].example
    z = np.array(example.x) @ np.array(example.kernel) + (np.array(example.bias) if use_bias else 0)
    np.testing.assert_array_equal(example.z, z)  # small whole numbers: exact
    np.testing.assert_allclose(example.y, activations.get(activation)(z.astype(np.float32)), rtol=1e-6)
    steps = [line for line in str(explain(layer, (3, 5))).splitlines() if line.strip().startswith("z[")]
    assert len(steps) == 4
    for line in steps:
        written, result = line.partition("] = ")[2].rsplit(" = ", 1)
        assert eval(written) == float(result)


def test_the_answer_to_the_question_this_package_is_about():
    said = str(explain(Dense(10 * 10 * 256, use_bias=False), (32, 100)))
    for line in (
        "y[32, 25600] = x[32, 100] @ kernel[100, 25600]",
        "U(-0.01528, 0.01528)",
        "dL/dkernel[100, 25600] = x^T[100, 32] @ g[32, 25600]",
        "dL/dx[32, 100] = g[32, 25600] @ kernel^T[25600, 100]",
        "2,560,000",
        "163,840,000",
        "10,240,000",
    ):
        assert line in said


def test_a_model_has_a_part_for_each_layer_and_totals_of_all():
    found = explain(MODEL, (None, 4))
    assert [(part.path, part.times) for part in found.parts] == [("0", 1), ("1", 3), ("1", 3), ("2", 1), ("3", 1)]
    assert found.count == sum(p.count for part in found.parts for p in part.parameters) == 30 + 3 * 42 + 14
    assert found.cost.forward_flops == sum(part.cost.forward_flops for part in found.parts)
    assert found.parts[0].equation == "y[N, 6] = gelu(z), z[N, 6] = x[N, 4] @ kernel[4, 6] + bias[6]"
    assert any("bfloat16" in remark for remark in found.parts[1].remarks)
    assert found.output_shape == (None, 2)


def test_a_user_defined_layer_is_explained_by_its_parameters():
    class Scale(Layer):
        def declare(self, input_shape=None):
            return {"scale": densefn.param.Param((3,), "float32", initializers.Ones())}

        def forward(self, params, x):
            return densefn.Output(params["scale"][None, :] * x, jax.numpy.zeros(()))

        def output_shape(self, input_shape):
            return tuple(input_shape)

    (part,) = explain(Scale(), (None, 3)).parts
    assert part.equation == "y[N, 3] = Scale(x[N, 3])"
    assert (part.parameters[0].name, part.parameters[0].initial) == ("scale", "1")
    assert part.cost.forward_flops == 3


class TestParts:
    def test_a_function_is_a_layer_and_what_is_none_is_refused(self):
        assert explain(jnp.tanh, (2, 5)).parts[0].equation == "y[2, 5] = tanh(x[2, 5])"
        assert densefn.summary(jnp.tanh, (2, 5)).count == 0
        for wrong in (Dense, 3, None):
            with pytest.raises(TypeError, match="expected a layer, or a function of one array"):
                explain(wrong, (2, 5))
        with pytest.raises(ValueError, match="keeps the number of axes"):
            explain(Dense(3, jnp.ravel), (2, 5))

    def test_float64_accumulates_in_float64(self):
        with jax.enable_x64(True):
            assert any("sums in float64" in it for it in explain(Dense(3, dtype="float64"), (2, 5)).parts[0].remarks)

    def test_the_output_s_penalty_is_divided_by_the_first_axis(self):
        for shape, batch in (((2, 3, 5), "2"), ((5,), "1"), ((None, 5), "N")):
            part = explain(Dense(3, activity_regularizer="l2"), shape).parts[0]
            assert part.activity == f"(0.01 * sum(y^2)) / {batch}"

    def test_a_user_defined_axis_is_said_and_has_no_example(self):
        layer = Dense(4, activations.Activation("softmax", axis=1))
        part = explain(layer, (8, 5, 3)).parts[0]
        assert part.activation == "softmax(z) = exp(z) / (sum of exp(z) over axis 1)"
        assert part.example is None

    def test_a_function_that_only_fits_the_layer_is_counted_where_it_fits(self):
        found = explain(Dense(4, lambda z: z - z.mean(axis=1, keepdims=True)), (8, 3))
        # The product, the bias, and at least a sum and a difference for each of 8 * 4 outputs.
        assert found.cost.forward_flops >= 2 * 8 * 3 * 4 + 3 * 8 * 4

    def test_linear_costs_the_same_however_it_is_written(self):
        costs = {
            explain(Dense(4, linear), (8, 3)).cost for linear in (None, "linear", activations.Activation("linear"))
        }
        assert len(costs) == 1

    def test_the_penalty_of_the_output_is_counted(self):
        plain, penalized = (explain(Dense(4, activity_regularizer=it), (8, 3)) for it in (None, "l2"))
        assert penalized.cost.forward_flops - plain.cost.forward_flops >= 2 * 32 - 1

    def test_what_follows_a_narrow_layer_is_narrow(self):
        model = Sequential(Dense(4, dtype="bfloat16"), "relu", Residual(Dense(4, dtype="bfloat16")))
        found = explain(model, (8, 3))
        assert [part.output_bytes for part in found.parts] == [64, 64, 64, 64]

    def test_a_policy_that_only_stores_narrowly_is_said(self):
        remarks = explain(Dense(4, dtype=Policy("bfloat16", "float32", "float16")), (8, 3)).parts[0].remarks
        assert any("stored in bfloat16" in remark and "output is float16" in remark for remark in remarks)

    def test_an_einsum_has_n_where_the_shape_has_none(self):
        part = explain(Einsum("...i,ihd->...hd", (8, 64)), (None, 512)).parts[0]
        assert part.equation.startswith("y[N, 8, 64] = einsum(")
        assert part.gradients[0] == "g[N, 8, 64] = dL/dy"

    def test_the_gradients_of_an_einsum_are_those_of_jax(self, key):
        for equation, shape in (("bti,io->bo", (2, 3, 4)), ("ebi,eio->ebo", (2, 3, 4)), ("...i,oi->...o", (2, 3, 4))):
            layer = Einsum(equation, 5, use_bias=False)
            kernel, x = layer.init(key, shape)["kernel"], jax.random.normal(key, shape)
            y, pull = jax.vjp(lambda kernel, x, layer=layer: layer.apply({"kernel": kernel}, x), kernel, x)
            g = jnp.cos(y)
            said = [re.search(r"einsum\('(.*?)'", line)[1] for line in explain(layer, shape).parts[0].gradients[1:]]
            of_kernel, of_x = np.einsum(said[0], x, g), np.einsum(said[1], g, kernel)
            if equation == "bti,io->bo":
                of_x = np.broadcast_to(of_x[:, None], shape)
            for ours, theirs in zip((of_kernel, of_x), pull(g), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)  # float32, another order of sums

    def test_a_loop_s_body_is_said_to_be_counted_once(self):
        assert "XLA counts the body of a loop once." in str(explain(Repeat(Dense(4), times=3), (8, 4)))
        assert "the body of a loop" not in str(explain(Dense(4), (8, 4)))
