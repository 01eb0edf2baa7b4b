"""The section [optimizer] of a config, which names functions of optax.

    [optimizer]
    name = "adamw"
    weight_decay = 1e-4
    learning_rate = { name = "cosine_decay_schedule", init_value = 1e-3, decay_steps = 1000 }
    clip_norm = 1.0

Names and arguments are optax's own, and are checked against the signature of the function. The keys of `Optimizer` are
allowed besides. A schedule counts updates, of which there are fewer than batches if gradients are accumulated.

The mask of weight decay, optax's `mask` or `weight_decay_mask`, is "kernels" or "all". The default is "kernels", unlike
optax's: weight decay keeps a function smooth, and a bias only shifts it. Novograd has no mask.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from types import ModuleType
from typing import Annotated, Any, get_type_hints

import jax
import jax.numpy as jnp
import optax
from jax import Array

from densefn import _checks
from densefn._values import Mistakes, Problem, TableError, Value, build, fields, find
from densefn.param import name_of
from densefn.training.argument_ranges import NUMBERS

_LEFT_OUT = {"optimistic_adam": "is deprecated; use optimistic_adam_v2"}
# The arguments of optax's schedules that are not numbers: a dict of steps and scales; a list of schedules, and the
# steps at which the next one begins; a list of dicts of arguments, one for each cycle.
_PAIRS, _JOINED, _STEPS, _CYCLES = "boundaries_and_scales", "schedules", "boundaries", "cosine_kwargs"
_DECAY_MASKS = ("mask", "weight_decay_mask")
# Our defaults where they differ from optax's; `key` is the seed of the noise of noisy_sgd.
_DEFAULTS = {**dict.fromkeys(_DECAY_MASKS, "kernels"), "key": 0}


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
      arguments: pairs of name and value. A value may be a `Call`, a tuple of `Call`s, or pairs where optax takes a
        dict.
    """

    name: Annotated[str, _checks.text]
    arguments: Annotated[tuple[tuple[str, Any], ...], tuple]

    def make(self, **numbers: Array) -> Any:
        """Calls the function, which returns an optimizer or a schedule; `numbers` replace its arguments."""
        arguments = {name: _made(name, value) for name, value in self.arguments}
        return (OPTIMIZERS | SCHEDULES)[self.name](**arguments | numbers)

    def to_table(self) -> dict[str, Any]:
        return {"name": self.name, **{name: _written(name, value) for name, value in self.arguments}}


def _made(name: str, value: Any) -> Any:
    """An argument as optax takes it."""
    if name in _DECAY_MASKS:
        return MASKS[value]
    if name == _PAIRS:
        return dict(value)
    if name == _CYCLES:
        return [dict(cycle.arguments) for cycle in value]
    if name == _JOINED:
        return [schedule.make() for schedule in value]
    return value.make() if isinstance(value, Call) else value


def _written(name: str, value: Any) -> Any:
    """An argument as a config writes it."""
    if name == _PAIRS:
        return {str(step): scale for step, scale in value}
    if name == _CYCLES:
        return [{key: item for key, item in cycle.to_table().items() if key != "name"} for cycle in value]
    if isinstance(value, tuple):
        return [_written("", part) for part in value]
    return value.to_table() if isinstance(value, Call) else value


def _optimizer_call(given: Any) -> Call:
    return _call("optimizer", OPTIMIZERS, given)


class Optimizer(Value):
    """An optimizer of optax, with clipping and accumulation of the gradient before it.

    Args:
      call: the call of the optimizer.
      clip_norm: the largest norm of the gradient of all parameters together; a longer one is scaled down to it.
      clip_value: each entry of the gradient is clipped to this magnitude; not together with `clip_norm`.
      accumulate: the number of batches whose gradients are averaged, with equal weights, for one update. The average is
        clipped. Batches that remain at the end of an epoch count for the next one.
    """

    call: Annotated[Call, _optimizer_call]
    clip_norm: Annotated[float | None, _checks.optional(_checks.in_float32(_checks.number(above=0)))] = None
    clip_value: Annotated[float | None, _checks.optional(_checks.in_float32(_checks.number(above=0)))] = None
    accumulate: Annotated[int, _checks.whole(minimum=1)] = 1

    def check_together(self) -> None:
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError("expected clip_norm or clip_value, got both")

    def make(self, **numbers: Array) -> optax.GradientTransformation:
        """Makes the optimizer: optax's own, with clipping and accumulation around it if they are asked for.

        Args:
          **numbers: replace arguments of the call; they may be traced.
        """
        links = [self.call.make(**numbers)]
        if self.clip_norm is not None:
            links.insert(0, optax.clip_by_global_norm(self.clip_norm))
        if self.clip_value is not None:
            links.insert(0, optax.clip(self.clip_value))
        optimizer = optax.chain(*links) if links[1:] else links[0]
        if self.accumulate == 1:
            return optimizer
        widest = jax.dtypes.canonicalize_dtype(jnp.float64)  # float32 unless JAX has float64 switched on
        steps: Any = optax.MultiSteps(optimizer, self.accumulate, accumulator_dtype=widest)
        # `MultiSteps.gradient_transformation` would not pass on the loss, which optimizers such as lbfgs need.
        return optax.GradientTransformationExtraArgs(steps.init, steps.update)

    def to_table(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _OWN}
        return self.call.to_table() | {name: stored for name, stored in own.items() if stored is not None}


_OWN = tuple(field.name for field in fields(Optimizer) if field.name != "call")


def as_optimizer(given: Any) -> Optimizer:
    """Checks the section [optimizer].

    Raises:
      ValueError, TypeError: if it does not name an optimizer of optax, or the arguments do not fit.
    """
    if isinstance(given, Optimizer):
        return given
    if not isinstance(given, Mapping) or "name" not in given:
        return Optimizer(_optimizer_call(given))
    own = {name: given[name] for name in given if name in _OWN}
    call = {name: given[name] for name in given if name not in _OWN}
    try:
        return build(Optimizer, {"call": call, **own})
    except TableError as error:
        inside = [(path[1:] if path[:1] == ("call",) else path, message) for path, message in error.problems]
        raise TableError([Problem(path, message) for path, message in inside]) from None


def _call(kind: str, functions: Mapping[str, Callable[..., Any]], given: Any) -> Call:
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
    call = Call(given["name"], _arguments(function, {key: given[key] for key in given if key != "name"}))
    try:
        call.make()
    except (TypeError, ValueError, ArithmeticError) as error:
        raise TableError([Problem((), f"optax.{call.name} refuses these arguments: {error}")]) from None
    return call


def _arguments(function: Callable[..., Any], given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Checks arguments, and adds the defaults of the others: a later optax may have other defaults.

    They have the order of the signature, so calls with the same arguments are equal.
    """
    signature = inspect.signature(function).parameters
    # Parameters whose default is a transformation, such as lbfgs's line search, cannot be written in a config. A
    # transformation is a named tuple.
    parameters = {name: parameter for name, parameter in signature.items() if not isinstance(parameter.default, tuple)}
    known = parameters if function in SCHEDULES.values() else {**parameters, **dict.fromkeys(_OWN)}
    mistakes, arguments = Mistakes(), {}
    for name, value in given.items():
        with mistakes.at(name):
            arguments[name] = _argument(find(known, name, "argument"), value)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            mistakes.add(f"missing key {name!r}, an argument of optax.{function.__name__}")
        elif name in _DEFAULTS:
            arguments.setdefault(name, _DEFAULTS[name])
        elif isinstance(parameter.default, bool | int | float | str):
            arguments.setdefault(name, parameter.default)
    mistakes.raise_any()
    if _JOINED in arguments and len(arguments[_STEPS]) != len(arguments[_JOINED]) - 1:
        expected = f"expected a step for each schedule but the first, {len(arguments[_JOINED]) - 1}"
        raise TableError([Problem((_STEPS,), f"{expected}, got {len(arguments[_STEPS])}")])
    return tuple((name, arguments[name]) for name in parameters if name in arguments)


def _argument(parameter: inspect.Parameter, given: Any) -> Any:
    """Checks an argument by the type of its default; optax's annotations are too wide for that."""
    if parameter.name in _CHECKS:
        return _CHECKS[parameter.name](given)
    if isinstance(given, Mapping):
        return _schedule(given)
    if "dtype" in parameter.name or isinstance(parameter.default, str):
        return _checks.text(given)
    if isinstance(parameter.default, bool):
        return _checks.flag(given)
    NUMBERS.get(parameter.name, _checks.in_float32(_checks.number()))(given)
    return given


def _schedule(given: Any) -> Call:
    return _call("schedule", SCHEDULES, given)


def _cycle(given: Any) -> Call:
    name = "warmup_cosine_decay_schedule"
    if not isinstance(given, Mapping):
        raise TypeError(f"expected a table of the arguments of optax.{name}, got {given!r}")
    return Call(name, _arguments(SCHEDULES[name], given))


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


def _pairs(given: Any) -> tuple[tuple[int, float], ...]:
    if not isinstance(given, Mapping) or not all(str(step).isdigit() for step in given):
        raise TypeError(f"expected a table from steps to scales, such as {{ 500 = 0.1 }}, got {given!r}")
    return tuple((_checks.whole(minimum=0)(int(step)), _SCALE(scale)) for step, scale in given.items())


# The checks of arguments that are neither numbers nor schedules, by name.
_CHECKS: dict[str, Callable[[Any], Any]] = {
    _PAIRS: _pairs,
    _JOINED: partial(_each, _schedule),
    _STEPS: _steps,
    _CYCLES: partial(_each, _cycle),
    "interpolate_type": _checks.text,
    **dict.fromkeys(_DECAY_MASKS, _checks.choice(*MASKS)),
}
