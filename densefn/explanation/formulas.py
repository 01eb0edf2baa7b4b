"""The formulas of activations. Initializers, regularizers and constraints state their own."""

import inspect
from collections.abc import Iterator
from typing import Any

from densefn import activations
from densefn._values import shown
from densefn.activations import Activation, AnyActivation
from densefn.constraints import Constraint
from densefn.regularizers import Regularizer

ACTIVATIONS = {
    "celu": "z where z > 0, {alpha:g} * (exp(z / {alpha:g}) - 1) elsewhere",
    "elu": "z where z > 0, {alpha:g} * (exp(z) - 1) elsewhere",
    "exponential": "exp(z)",
    "gelu": "z * Phi(z), with the standard normal distribution function Phi",
    "glu": "a * sigmoid(b), where a and b are the halves of z along {over}",
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
DERIVATIVES = {
    "exponential": "exp(z)",
    "leaky_relu": "1 where z >= 0, 0.2 elsewhere",
    "relu": "1 where z > 0, 0 elsewhere",
    "sigmoid": "sigmoid(z) * (1 - sigmoid(z))",
    "silu": "sigmoid(z) * (1 + z * (1 - sigmoid(z)))",
    "softplus": "sigmoid(z)",
    "softsign": "1 / (1 + |z|)^2",
    "tanh": "1 - tanh(z)^2",
}
"""The derivatives of activations with their default arguments."""
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


def name_of(given: AnyActivation | None) -> str:
    """The name of an activation, or of a function."""
    return activations.name_of(given) or shown(given)


def defined(given: AnyActivation | None) -> str | None:
    """The definition of an activation; None for the identity, and for functions without a formula.

    >>> defined("relu")
    'relu(z) = max(z, 0)'
    """
    name, formula = name_of(given), activation(given)
    return None if name == "linear" or formula == f"{name}(z)" else f"{name}(z) = {formula}"


def is_elementwise(name: str) -> bool:
    """Whether each entry of the output is known to depend on one entry of the input only."""
    return name in ACTIVATIONS and "{over}" not in ACTIVATIONS[name]


def through(given: AnyActivation | None, shape: str) -> Iterator[str]:
    """The formulas of `g = dL/dz`, an array of this shape, for `y = activation(z)`."""
    name = name_of(given)
    if name == "linear":
        yield f"g[{shape}] = dL/dy"
    elif not is_elementwise(name):
        yield f"g[{shape}] = dL/dz, which is dL/dy times the Jacobian of {name} at z"
    else:
        yield f"g[{shape}] = dL/dy[{shape}] * {name}'(z)"
        if name in DERIVATIVES and not (isinstance(given, Activation) and given.arguments):
            yield f"{name}'(z) = {DERIVATIVES[name]}"


def applied(function: Any, w: str) -> str:
    """The formula of a penalty on `w`, or of a projection of `w`; for a user's function, a call of it.

    >>> from densefn.constraints import NonNeg
    >>> applied(NonNeg(), "kernel"), applied(abs, "kernel")
    ('max(kernel, 0)', 'abs(kernel)')
    """
    return function.formula(w) if isinstance(function, Regularizer | Constraint) else f"{shown(function)}({w})"
