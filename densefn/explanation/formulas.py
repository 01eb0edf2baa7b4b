"""The formulas of activations, initializers, regularizers and constraints, with the numbers filled in."""

import inspect
import math
from functools import singledispatch
from typing import Any

from densefn import activations, constraints, initializers, regularizers
from densefn._fans import Fans
from densefn._values import shown
from densefn.activations import Activation, AnyActivation
from densefn.einsum import Arranged
from densefn.initializers import TRUNCATED_STDDEV

ACTIVATIONS = {
    "celu": "z where z > 0, {alpha:g} * (exp(z / {alpha:g}) - 1) elsewhere",
    "elu": "z where z > 0, {alpha:g} * (exp(z) - 1) elsewhere",
    "exponential": "exp(z)",
    "gelu": "z * Phi(z), with the standard normal distribution's Phi",
    "glu": "a * sigmoid(b), where a and b are the halves of z along {over}: half as many outputs",
    "hard_shrink": "z where |z| > {threshold:g}, 0 elsewhere",
    "hard_sigmoid": "min(max(z / 6 + 1/2, 0), 1)",
    "hard_silu": "z * min(max(z / 6 + 1/2, 0), 1)",
    "hard_swish": "z * min(max(z / 6 + 1/2, 0), 1)",
    "hard_tanh": "min(max(z, -1), 1)",
    "leaky_relu": "z where z >= 0, {negative_slope:g} * z elsewhere",
    "linear": "z",
    "log_sigmoid": "-log(1 + exp(-z))",
    "log_softmax": "z - log(sum of exp(z) over {over})",
    "mish": "z * tanh(log(1 + exp(z)))",
    "relu": "max(z, 0)",
    "relu6": "min(max(z, 0), 6)",
    "selu": "1.0507 * z where z > 0, 1.7581 * (exp(z) - 1) elsewhere",
    "sigmoid": "1 / (1 + exp(-z))",
    "silu": "z / (1 + exp(-z))",
    "soft_shrink": "sign(z) * max(|z| - {threshold:g}, 0)",
    "softmax": "exp(z) / (sum of exp(z) over {over})",
    "softplus": "log(1 + exp(z))",
    "softsign": "z / (1 + |z|)",
    "sparse_plus": "0 where z <= -1, (z + 1)^2 / 4 where z < 1, z elsewhere",
    "sparse_sigmoid": "min(max((z + 1) / 2, 0), 1)",
    "sparsemax": "max(z - tau, 0), with the tau for which the sum over {over} is 1",
    "squareplus": "(z + sqrt(z^2 + {b:g})) / 2",
    "swish": "z / (1 + exp(-z))",
    "tanh": "tanh(z)",
    "tanh_shrink": "z - tanh(z)",
    "threshold": "z where z > {threshold:g}, {default_value:g} elsewhere",
}
_GENERAL_RELU = "{above} where z > {threshold:g}, {negative_slope:g} * (z - {threshold:g}) elsewhere"
_TANH_GELU = "z / 2 * (1 + tanh(0.79788 * (z + 0.044715 * z^3)))"


def activation(given: AnyActivation | None) -> str:
    """The formula of an activation of `z`.

    >>> activation("leaky_relu")
    'z where z >= 0, 0.2 * z elsewhere'
    """
    name = activations.name_of(given)
    if name is None:
        return f"{shown(given)}(z)"
    parameters = inspect.signature(activations.NAMES[name]).parameters.values()
    arguments: dict[str, Any] = {parameter.name: parameter.default for parameter in parameters}
    written = dict(given.arguments) if isinstance(given, Activation) else {}
    formula = ACTIVATIONS[name]
    if name == "relu" and (written.get("max_value") is not None or any(written.values())):
        formula = _GENERAL_RELU
        arguments["above"] = "z" if written.get("max_value") is None else f"min(z, {written['max_value']:g})"
    if name == "gelu" and written.get("approximate"):
        formula = _TANH_GELU
    axis = written.get("axis", -1)
    return formula.format(over="the units" if axis == -1 else f"axis {axis}", **arguments | written)


@singledispatch
def initial(initializer: Any, fans: Fans) -> str:
    """The distribution that a parameter's first value is drawn from."""
    raise TypeError(f"expected an initializer, got {initializer!r}")


@initial.register
def _(initializer: initializers.Zeros, fans: Fans) -> str:
    return "0"


@initial.register
def _(initializer: initializers.Ones, fans: Fans) -> str:
    return "1"


@initial.register
def _(initializer: initializers.Constant, fans: Fans) -> str:
    return f"{initializer.value:g}"


@initial.register
def _(initializer: initializers.Identity, fans: Fans) -> str:
    return f"{initializer.gain:g} on the diagonal, 0 elsewhere"


@initial.register
def _(initializer: initializers.Orthogonal, fans: Fans) -> str:
    return f"{initializer.gain:g} times a random matrix with orthonormal columns, or rows where it has fewer of them"


@initial.register
def _(initializer: initializers.RandomUniform, fans: Fans) -> str:
    low, high = initializer.minval, initializer.maxval
    return f"U({low:.4g}, {high:.4g}): standard deviation {(high - low) / math.sqrt(12):.4g}"


@initial.register
def _(initializer: initializers.RandomNormal, fans: Fans) -> str:
    return f"N({initializer.mean:g}, s^2): standard deviation s = {initializer.stddev:.4g}"


@initial.register
def _(initializer: initializers.TruncatedNormal, fans: Fans) -> str:
    bound, kept = 2 * initializer.stddev, TRUNCATED_STDDEV * initializer.stddev
    return f"normal around {initializer.mean:g}, cut off {bound:.4g} from it: standard deviation {kept:.4g}"


@initial.register
def _(initializer: initializers.ByFans, fans: Fans) -> str:
    return f"{initial(initializer.law(fans), fans)} (fan_in {fans.inputs:,}, fan_out {fans.fan_out:,})"


@initial.register
def _(initializer: initializers.FromFunction, fans: Fans) -> str:
    return f"drawn by the function {shown(initializer.function)}"


@initial.register
def _(initializer: Arranged, fans: Fans) -> str:
    return initial(initializer.initializer, fans)


@singledispatch
def penalty(regularizer: Any, w: str) -> str:
    """The penalty of an array called `w`; that of a function by its name."""
    return f"{shown(regularizer)}({w})"


@penalty.register
def _(regularizer: regularizers.L1, w: str) -> str:
    return f"{regularizer.l1:g} * sum(|{w}|)"


@penalty.register
def _(regularizer: regularizers.L2, w: str) -> str:
    return f"{regularizer.l2:g} * sum({w}^2)"


@penalty.register
def _(regularizer: regularizers.L1L2, w: str) -> str:
    return f"{regularizer.l1:g} * sum(|{w}|) + {regularizer.l2:g} * sum({w}^2)"


@penalty.register
def _(regularizer: regularizers.OrthogonalRegularizer, w: str) -> str:
    return f"{regularizer.factor:g} * mean |cos| of the angles between the {regularizer.mode} of {w}"


@singledispatch
def projected(constraint: Any, w: str) -> str:
    """What a constraint makes of an array called `w`; that of a function by its name."""
    return f"{shown(constraint)}({w})"


@projected.register
def _(constraint: constraints.MaxNorm, w: str) -> str:
    return f"{w} * min(n, {constraint.max_value:g}) / n, n = {_norm(w, constraint.axis)}"


@projected.register
def _(constraint: constraints.MinMaxNorm, w: str) -> str:
    low, high, rate = constraint.min_value, constraint.max_value, constraint.rate
    clipped = f"min(max(n, {low:g}), {high:g})"
    target = clipped if rate == 1 else f"({rate:g} * {clipped} + {1 - rate:g} * n)"
    return f"{w} * {target} / n, n = {_norm(w, constraint.axis)}"


@projected.register
def _(constraint: constraints.NonNeg, w: str) -> str:
    return f"max({w}, 0)"


@projected.register
def _(constraint: constraints.UnitNorm, w: str) -> str:
    return f"{w} / n, n = {_norm(w, constraint.axis)}"


def _norm(w: str, axis: int | tuple[int, ...]) -> str:
    return f"sqrt(sum({w}^2, axis={axis}))"
