"""Optax by name: the section [optimizer] of a config.

    [optimizer]
    name = "adamw"
    weight_decay = 1e-4
    learning_rate = { name = "cosine_decay_schedule", init_value = 1e-3, decay_steps = 1000 }

Names and arguments are optax's own, checked against the signature of the function that is named.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import optax

from densefn import checks
from densefn.values import Problem, TableError, Value, find

_LEFT_OUT = {
    "lbfgs": "needs the loss in its update, which a training step here does not pass on",
    "polyak_sgd": "needs the loss in its update, which a training step here does not pass on",
    "noisy_sgd": "needs a random key, which a config cannot hold",
    "optimistic_adam": "is deprecated; use optimistic_adam_v2",
}
_SCHEDULES = (
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "linear_onecycle_schedule",
    "linear_schedule",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
)
# The one argument of optax's schedules that is a dict.
_PAIRS = "boundaries_and_scales"


def _optimizers() -> dict[str, Callable[..., optax.GradientTransformation]]:
    public = {name: getattr(optax, name) for name in dir(optax) if not name.startswith("_")}
    functions = {name: item for name, item in public.items() if inspect.isfunction(item)}
    return {
        name: function
        for name, function in functions.items()
        if next(iter(inspect.signature(function).parameters), "") == "learning_rate"
        and not name.startswith("scale_by_")
        and name not in _LEFT_OUT
    }


OPTIMIZERS = _optimizers()
SCHEDULES: dict[str, Callable[..., optax.Schedule]] = {name: getattr(optax, name) for name in _SCHEDULES}


class Call(Value):
    """A call of one of optax's functions by name.

    Args:
      name: of the function.
      arguments: pairs of name and value. A value may be a `Call`, or pairs again where optax takes a dict.
    """

    name: Annotated[str, checks.text]
    arguments: Annotated[tuple[tuple[str, Any], ...], tuple]

    def make(self) -> Any:
        """What the call returns: a `GradientTransformation`, or a schedule."""
        arguments = {name: value.make() if isinstance(value, Call) else value for name, value in self.arguments}
        if _PAIRS in arguments:
            arguments[_PAIRS] = dict(arguments[_PAIRS])
        return (OPTIMIZERS | SCHEDULES)[self.name](**arguments)

    def to_table(self) -> dict[str, Any]:
        table = {name: value.to_table() if isinstance(value, Call) else value for name, value in self.arguments}
        if _PAIRS in table:
            table[_PAIRS] = {str(step): scale for step, scale in table[_PAIRS]}
        return {"name": self.name, **table}


def as_optimizer(given: Any) -> Call:
    """The check of the section [optimizer].

    Raises:
      ValueError, TypeError: unless it names an optimizer of optax and gives it arguments that it takes.
    """
    return _call("optimizer", OPTIMIZERS, given)


def _call(kind: str, functions: Mapping[str, Callable[..., Any]], given: Any) -> Call:
    if isinstance(given, Call):
        return given
    if not isinstance(given, Mapping) or "name" not in given:
        raise TypeError(f"expected a table with the name of an optax {kind} and its arguments, got {given!r}")
    if given["name"] in _LEFT_OUT:
        raise TableError([Problem(("name",), f"{given['name']} {_LEFT_OUT[given['name']]}")])
    try:
        function = find(functions, given["name"], kind)
    except ValueError as error:
        raise TableError([Problem(("name",), str(error))]) from None
    call = Call(given["name"], _arguments(function, {key: given[key] for key in given if key != "name"}))
    try:
        call.make()
    except (TypeError, ValueError) as error:
        raise TableError([Problem((), f"optax.{call.name} refuses these arguments: {error}")]) from None
    return call


def _arguments(function: Callable[..., Any], given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Checks arguments, and adds the defaults of the others, so that a run's config does not depend on optax's.

    Their order is that of the signature: calls with the same arguments are equal.
    """
    parameters = inspect.signature(function).parameters
    problems, arguments = [], {}
    for name, value in given.items():
        try:
            arguments[name] = _argument(find(parameters, name, "argument"), value)
        except TableError as error:
            problems += [Problem((name, *path), message) for path, message in error.problems]
        except (TypeError, ValueError) as error:
            problems.append(Problem((name,), str(error)))
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            problems.append(Problem((), f"missing key {name!r}, an argument of optax.{function.__name__}"))
        elif isinstance(parameter.default, bool | int | float | str):
            arguments.setdefault(name, parameter.default)
    if problems:
        raise TableError(problems)
    return tuple((name, arguments[name]) for name in parameters if name in arguments)


def _argument(parameter: inspect.Parameter, given: Any) -> Any:
    """Checks an argument by the kind of its default; optax's annotations are too wide to tell."""
    if parameter.name == _PAIRS:
        return _pairs(given)
    if isinstance(given, Mapping):
        return _call("schedule", SCHEDULES, given)
    if parameter.name == "interpolate_type" or isinstance(parameter.default, str):
        return checks.text(given)
    if isinstance(parameter.default, bool):
        return checks.flag(given)
    if parameter.default is not None:
        checks.number()(given)
    return given


def _pairs(given: Any) -> tuple[tuple[int, float], ...]:
    if not isinstance(given, Mapping) or not all(str(step).isdigit() for step in given):
        raise TypeError(f"expected a table from steps to scales, such as {{ 500 = 0.1 }}, got {given!r}")
    return tuple((int(step), checks.number()(scale)) for step, scale in given.items())
