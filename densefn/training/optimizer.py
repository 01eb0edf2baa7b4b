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

from collections.abc import Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from densefn import _checks
from densefn._values import Problem, TableError, Value, build, fields
from densefn.training.optax_calls import OPTIMIZERS, Call, as_call


def _optimizer_call(given: Any) -> Call:
    return as_call("optimizer", OPTIMIZERS, given, _BESIDE)


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
        own = {name: getattr(self, name) for name in _BESIDE}
        return self.call.to_table() | {name: stored for name, stored in own.items() if stored is not None}


_BESIDE = tuple(field.name for field in fields(Optimizer) if field.name != "call")


def as_optimizer(given: Any) -> Optimizer:
    """Checks the section [optimizer].

    Raises:
      ValueError, TypeError: if it does not name an optimizer of optax, or the arguments do not fit.
    """
    if isinstance(given, Optimizer):
        return given
    if not isinstance(given, Mapping) or "name" not in given:
        return Optimizer(_optimizer_call(given))
    own = {name: given[name] for name in given if name in _BESIDE}
    call = {name: given[name] for name in given if name not in _BESIDE}
    try:
        return build(Optimizer, {"call": call, **own})
    except TableError as error:
        inside = [(path[1:] if path[:1] == ("call",) else path, message) for path, message in error.problems]
        raise TableError([Problem(path, message) for path, message in inside]) from None
