"""Initializers by name: Keras's names, and the default initializers of other libraries."""

from collections.abc import Callable
from typing import Annotated, Any

from densefn import _checks
from densefn.initializers.distributions import (
    Constant,
    Identity,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    Zeros,
)
from densefn.initializers.initializer import FromFunction, Initializer
from densefn.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    TruncatedFanIn,
    UniformFanIn,
    VarianceScaling,
)

NAMES: dict[str, type[Initializer]] = {
    **_checks.both_cases(
        Zeros, Ones, Constant, Identity, RandomNormal, TruncatedNormal, RandomUniform, VarianceScaling
    ),
    **_checks.both_cases(GlorotUniform, GlorotNormal, LecunUniform, LecunNormal, HeUniform, HeNormal, Orthogonal),
    # Keras's further names of the same classes.
    "zero": Zeros,
    "one": Ones,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    **_checks.both_cases(UniformFanIn, TruncatedFanIn),
    "torch_default": UniformFanIn,
    "equinox_default": UniformFanIn,
    "flax_default": LecunNormal,
    "haiku_default": TruncatedFanIn,
}

_named = _checks.named("initializer", NAMES, Initializer)


def check(given: Any) -> Any:
    """The check of an initializer field."""
    if given is None:
        raise TypeError('expected an initializer, got None; write "zeros" for zeros (Keras draws random values here)')
    # A name stands for its class with the defaults. The default of Keras's Constant is 0, which "constant" does not
    # suggest.
    if isinstance(given, str) and given in ("constant", "Constant"):
        raise ValueError(
            f"the initializer {given!r} has no value; write initializers.Constant(0.5), or a table with name and value"
        )
    return _named(given)


AnyInitializer = Annotated[str | Initializer | Callable[..., Any], check]


def get(initializer: AnyInitializer) -> Initializer:
    """The initializer that a field stands for.

    Args:
      initializer: a name, an initializer, or a function of key, shape and dtype.

    Raises:
      ValueError: for an unknown name. The message lists similar names.

    >>> import jax
    >>> get("glorot_uniform")
    GlorotUniform()
    >>> get("zeros")(jax.random.key(0), (2,))
    Array([0., 0.], dtype=float32)
    """
    found = _checks.resolve("initializer", NAMES, initializer)
    return found if isinstance(found, Initializer) else FromFunction(found)
