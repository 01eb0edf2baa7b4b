"""Calls of optax's optimizers and schedules by name, checked against the signature of the function that is named."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from types import ModuleType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import jax
import optax
from jax import Array

from densefn import _checks
from densefn._values import Mistakes, Problem, TableError, Value, find
from densefn.param import name_of
from densefn.training.argument_ranges import NUMBERS

_LEFT_OUT = {"optimistic_adam": "is deprecated; use optimistic_adam_v2"}
_DECAY_MASKS = ("mask", "weight_decay_mask")


def kernels(params: Any) -> Any:
    """A mask of the parameters: true for kernels, and for the arrays that a form such as `LowRank` stores for one.

    >>> kernels({"kernel": 1.0, "bias": 0.0})
    {'bias': False, 'kernel': True}
    """
    return jax.tree_util.tree_map_with_path(lambda path, _: "kernel" in name_of(path).split("/")[-1], params)


MASKS: dict[str, Callable[[Any], Any] | None] = {"kernels": kernels, "all": None}


def _public(module: ModuleType) -> dict[str, Callable[..., Any]]:
    return {name: item for name, item in inspect.getmembers(module, inspect.isfunction) if not name.startswith("_")}


def _optimizers() -> dict[str, Callable[..., optax.GradientTransformation]]:
    # optax has no list of its optimizers. They are the functions whose first argument is a learning rate.
    return {
        name: function
        for name, function in _public(optax).items()
        if next(iter(inspect.signature(function).parameters), "") in ("learning_rate", "max_learning_rate")
        and not name.startswith("scale_by_")
        and name not in _LEFT_OUT
    }


def _schedules() -> dict[str, Callable[..., optax.Schedule]]:
    functions = _public(optax.schedules)
    return {name: item for name, item in functions.items() if get_type_hints(item)["return"] == optax.Schedule}


OPTIMIZERS = _optimizers()
SCHEDULES = _schedules()


class Call(Value):
    """A call of one of optax's functions by name.

    Args:
      name: the name of the function.
      arguments: pairs of name and value: a number, a text, a `Call`, `Mask`, `Scales` or `Cycles`, or a tuple of these.
    """

    name: Annotated[str, _checks.text]
    arguments: Annotated[tuple[tuple[str, Any], ...], tuple]

    def make(self, **numbers: Array) -> Any:
        """Calls the function, which returns an optimizer or a schedule; `numbers` replace its arguments."""
        arguments = {name: _made(value) for name, value in self.arguments}
        return (OPTIMIZERS | SCHEDULES)[self.name](**arguments | numbers)

    def to_table(self) -> dict[str, Any]:
        return {"name": self.name, **{name: _written(value) for name, value in self.arguments}}


class Mask(Value):
    """The parameters that decay, by a name in `MASKS`."""

    name: Annotated[str, _checks.choice(*MASKS)]

    def make(self) -> Callable[[Any], Any] | None:
        return MASKS[self.name]

    def to_table(self) -> Any:
        return self.name


class Scales(Value):
    """What a schedule is multiplied by, from each of some steps on: a dict of optax, as pairs."""

    pairs: Annotated[tuple[tuple[int, float], ...], tuple]

    def make(self) -> dict[int, float]:
        return dict(self.pairs)

    def to_table(self) -> dict[str, Any]:
        return {str(step): scale for step, scale in self.pairs}


class Cycles(Value):
    """The arguments of `warmup_cosine_decay_schedule` for each cycle of a schedule."""

    calls: Annotated[tuple[Call, ...], tuple]

    def make(self) -> list[dict[str, Any]]:
        return [dict(call.arguments) for call in self.calls]

    def to_table(self) -> Any:
        return [{key: item for key, item in call.to_table().items() if key != "name"} for call in self.calls]


# Our defaults where they differ from optax's; `key` is the seed of the noise of noisy_sgd.
_DEFAULTS = {**dict.fromkeys(_DECAY_MASKS, Mask("kernels")), "key": 0}


def _made(value: Any) -> Any:
    """An argument as optax takes it."""
    if isinstance(value, tuple):
        return [_made(part) for part in value]
    return value.make() if isinstance(value, Call | Mask | Scales | Cycles) else value


def _written(value: Any) -> Any:
    """An argument as a config writes it."""
    if isinstance(value, tuple):
        return [_written(part) for part in value]
    return value.to_table() if isinstance(value, Value) else value


def as_call(kind: str, functions: Mapping[str, Callable[..., Any]], given: Any, beside: Sequence[str] = ()) -> Call:
    """Checks a table that names one of optax's functions and its arguments.

    Args:
      kind: of function, for messages.
      functions: by name.
      given: the table, or a `Call`.
      beside: keys that may stand beside the arguments, for a message about a key that is unknown.

    Raises:
      ValueError, TypeError: if the name or an argument is unknown or wrong, or if optax refuses the arguments.
    """
    if isinstance(given, Call):
        return given
    if not isinstance(given, Mapping) or "name" not in given:
        raise TypeError(f"expected a table with the name of an optax {kind} and its arguments, got {given!r}")
    if reason := _LEFT_OUT.get(str(given["name"])):
        raise TableError([Problem(("name",), f"{given['name']} {reason}")])
    try:
        function = find(functions, given["name"], kind)
    except ValueError as error:
        raise TableError([Problem(("name",), str(error))]) from None
    call = Call(given["name"], _arguments(function, {key: given[key] for key in given if key != "name"}, beside))
    try:
        call.make()
    except (TypeError, ValueError, ArithmeticError) as error:
        raise TableError([Problem((), f"optax.{call.name} refuses these arguments: {error}")]) from None
    return call


def _arguments(
    function: Callable[..., Any], given: Mapping[str, Any], beside: Sequence[str] = ()
) -> tuple[tuple[str, Any], ...]:
    """Checks arguments, and adds the defaults of the others: a later optax may have other defaults.

    They have the order of the signature, so calls with the same arguments are equal.
    """
    signature = inspect.signature(function).parameters
    # Parameters whose default is a transformation, such as lbfgs's line search, cannot be written in a config. A
    # transformation is a named tuple.
    parameters = {name: parameter for name, parameter in signature.items() if not isinstance(parameter.default, tuple)}
    known = {**parameters, **dict.fromkeys(beside)}
    # The annotations of optimizers cannot all be resolved, nor do they say more than the defaults.
    annotations = get_type_hints(function) if function in SCHEDULES.values() else {}
    mistakes, arguments = Mistakes(), {}
    for name, value in given.items():
        with mistakes.at(name):
            arguments[name] = _argument(find(known, name, "argument"), annotations.get(name), value)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            mistakes.add(f"missing key {name!r}, an argument of optax.{function.__name__}")
        elif name in _DEFAULTS:
            arguments.setdefault(name, _DEFAULTS[name])
        elif isinstance(parameter.default, bool | int | float | str):
            arguments.setdefault(name, parameter.default)
    mistakes.raise_any()
    if function is optax.join_schedules and len(arguments["boundaries"]) != len(arguments["schedules"]) - 1:
        expected = f"expected a step for each schedule but the first, {len(arguments['schedules']) - 1}"
        raise TableError([Problem(("boundaries",), f"{expected}, got {len(arguments['boundaries'])}")])
    return tuple((name, arguments[name]) for name in parameters if name in arguments)


def _argument(parameter: inspect.Parameter, annotation: Any, given: Any) -> Any:
    """Checks an argument: of a schedule by its annotation, and all others by their default."""
    if parameter.name in _DECAY_MASKS:
        return Mask(_checks.choice(*MASKS)(given))
    if check := _check_of(annotation):
        return check(given)
    if isinstance(given, Mapping):
        return _schedule(given)
    if "dtype" in parameter.name or isinstance(parameter.default, str):
        return _checks.text(given)
    if isinstance(parameter.default, bool):
        return _checks.flag(given)
    NUMBERS.get(parameter.name, _checks.in_float32(_checks.number()))(given)
    return given


def _check_of(annotation: Any) -> Callable[[Any], Any] | None:
    """The check of an argument that is neither a number nor one schedule."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if dict[int, float] in (annotation, *inside):
        return _scales
    if origin is Sequence:
        return _steps if inside == (int,) else partial(_each, _schedule)
    if origin is Iterable:
        return _cycles
    return _checks.text if annotation is str else None


def _schedule(given: Any) -> Call:
    return as_call("schedule", SCHEDULES, given)


def _cycle(given: Any) -> Call:
    name = "warmup_cosine_decay_schedule"
    if not isinstance(given, Mapping):
        raise TypeError(f"expected a table of the arguments of optax.{name}, got {given!r}")
    return Call(name, _arguments(SCHEDULES[name], given))


def _cycles(given: Any) -> Cycles:
    return Cycles(_each(_cycle, given))


def _each(check: Callable[[Any], Any], given: Any) -> tuple[Any, ...]:
    if not isinstance(given, list | tuple) or not given:
        raise TypeError(f"expected a list, got {given!r}")
    return _checks.several(check)(given)


def _steps(given: Any) -> tuple[int, ...]:
    steps = _each(_checks.whole(minimum=0), given)
    if any(after <= before for before, after in pairwise(steps)):
        raise ValueError(f"expected steps that increase, got {given!r}")
    return steps


_SCALE = _checks.in_float32(_checks.number(minimum=0))


def _scales(given: Any) -> Scales:
    if not isinstance(given, Mapping) or not all(str(step).isdigit() for step in given):
        raise TypeError(f"expected a table from steps to scales, such as {{ 500 = 0.1 }}, got {given!r}")
    return Scales(tuple((_checks.whole(minimum=0)(int(step)), _SCALE(scale)) for step, scale in given.items()))
