"""The formulas of an explanation, computed as they are written, against the functions that they describe."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from densefn import (
    L1,
    L1L2,
    L2,
    Dense,
    MaxNorm,
    MinMaxNorm,
    NonNeg,
    UnitNorm,
    activations,
    constraints,
    explain,
    initializers,
    regularizers,
)
from densefn._fans import fans_of
from densefn.explanation import formulas
from densefn.initializers import Initializer
from densefn.regularizers import Regularizer

WITH_ARGUMENTS = [
    activations.Activation("leaky_relu", negative_slope=0.5),
    activations.Activation("elu", alpha=0.5),
    activations.Activation("celu", alpha=0.5),
    activations.Activation("threshold", threshold=1.0, default_value=-2.0),
    activations.Activation("relu", negative_slope=0.1, max_value=2.0, threshold=1.0),
    activations.Activation("relu", negative_slope=0.1),
    activations.Activation("relu", max_value=0.0),
    activations.Activation("gelu", approximate=True),
    activations.Activation("squareplus", b=1.0),
]
OVER_UNITS = {"glu", "softmax", "log_softmax", "sparsemax"}
ELEMENTWISE = sorted(set(activations.NAMES) - OVER_UNITS - {"threshold"})


class TestFormulas:
    def evaluated(self, formula, z, **functions):
        """Computes a formula in NumPy: "a where b, c elsewhere" picks, ^ is a power, |z| an absolute value."""
        names = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sqrt": np.sqrt, "sign": np.sign, "abs": np.abs,
                 "min": np.minimum, "max": np.maximum, "z": z,
                 "Phi": np.vectorize(lambda z: (1 + math.erf(z / math.sqrt(2))) / 2), **functions}  # fmt: skip
        formula = formula.split(", with")[0].replace("^", "**").replace("|z|", "abs(z)")
        *cases, last = re.split(r", (?![^(]*\))", formula)
        value = eval(last.removesuffix(" elsewhere"), names)
        for case in reversed(cases):
            then, condition = case.split(" where ")
            value = np.where(eval(condition, names), eval(then, names), value)
        return value

    @pytest.mark.parametrize("activation", [*ELEMENTWISE, *WITH_ARGUMENTS], ids=str)
    def test_an_activation_s_formula_gives_its_values(self, activation):
        z = np.linspace(-5, 5, 41)
        ours = activations.get(activation)(z.astype(np.float32))
        # The constants of selu and gelu are written with four or five digits, the others are exact to float32.
        np.testing.assert_allclose(self.evaluated(formulas.activation(activation), z), ours, rtol=1e-4, atol=1e-5)

    def test_every_name_has_a_formula_of_its_own(self):
        assert set(formulas.ACTIVATIONS) == set(activations.NAMES)
        for cls in initializers.NAMES.values():
            assert cls.formula is not Initializer.formula
        for cls in (*regularizers.NAMES.values(), *constraints.NAMES.values()):
            assert "formula" in vars(cls)
            assert "w" in cls().formula("w")

    @pytest.mark.parametrize(
        "value",
        [
            *(L1(0.3), L2(0.3), L1L2(0.2, 0.3)),
            *(
                MaxNorm(0.5),
                MaxNorm(0.7, axis=1),
                UnitNorm(),
                NonNeg(),
                MinMaxNorm(0.2, 0.9),
                MinMaxNorm(0.2, 0.9, 0.3),
            ),
        ],
        ids=str,
    )
    def test_penalties_and_projections_have_the_values_of_their_formulas(self, value, key):
        w = np.asarray(jax.random.normal(key, (4, 3)), np.float64)
        formula = value.formula("w")
        names = {"sqrt": np.sqrt, "abs": np.abs, "min": np.minimum, "max": np.maximum, "w": w,
                 "sum": lambda a, axis=None: np.sum(a, axis, keepdims=axis is not None)}  # fmt: skip
        formula, _, norm = formula.replace("^", "**").replace("|w|", "abs(w)").partition(", n = ")
        names |= {"n": eval(norm, names)} if norm else {}
        # Float32, and Keras's epsilon of 1e-7 in a norm.
        np.testing.assert_allclose(value(jnp.asarray(w, jnp.float32)), eval(formula, names), rtol=2e-6, atol=1e-6)

    @pytest.mark.parametrize("name", ["glorot_uniform", "he_normal", "random_normal", "truncated_normal", "uniform",
                                      "lecun_uniform", "torch_default", "haiku_default"])  # fmt: skip
    def test_the_deviation_that_is_said_is_that_of_the_draws(self, name, key):
        initializer = initializers.get(name)
        said = re.search(r"standard deviation ([\d.e-]+)", initializer.formula(fans_of((300, 500))))
        # The standard error of 150,000 draws is 0.2%, and the formula rounds to four digits.
        np.testing.assert_allclose(np.std(initializer(key, (300, 500))), float(said[1]), rtol=0.01)

    def test_a_function_is_named(self):
        def mine(w):
            return w.sum()

        def halved(w):
            return w / 2

        found = explain(
            Dense(2, kernel_regularizer=mine, kernel_constraint=halved, kernel_initializer=jax.nn.initializers.ones),
            (1, 2),
        )
        kernel = next(p for p in found.parts[0].parameters if p.name == "kernel")
        assert (kernel.penalty, kernel.constraint) == ("mine(kernel)", "halved(kernel)")
        assert "drawn by the function ones" in kernel.initial

    def test_a_user_s_own_kinds_are_written_as_they_print(self):
        class Mine(Regularizer):
            by: float = 0.5

            def __call__(self, w):
                return self.by * jnp.max(w)

        class Drawn(Initializer):
            def draw(self, key, shape, dtype, fans):
                return jnp.ones(shape, dtype)

        found = explain(Dense(2, kernel_regularizer=Mine(0.25), kernel_initializer=Drawn(), kernel_form="ntk"), (1, 4))
        kernel = next(p for p in found.parts[0].parameters if p.name == "kernel")
        assert (kernel.penalty, kernel.initial) == ("Mine(by=0.25)(kernel)", "drawn by Drawn(), times sqrt(4)")


@pytest.mark.parametrize("activation", sorted(formulas.DERIVATIVES))
def test_a_derivative_s_formula_is_that_of_jax(activation):
    z = np.linspace(-3, 3, 13) + 0.1  # 0 is left out, where a kink has no derivative
    names = {"sigmoid": lambda z: 1 / (1 + np.exp(-z))}
    ours = TestFormulas().evaluated(formulas.DERIVATIVES[activation], z, **names)
    theirs = jax.vmap(jax.grad(activations.get(activation)))(z.astype(np.float32))
    np.testing.assert_allclose(np.broadcast_to(ours, z.shape), theirs, rtol=1e-5, atol=1e-6)  # float32
    assert f"{activation}'(z) = {formulas.DERIVATIVES[activation]}" in [*formulas.through(activation, "2")]
