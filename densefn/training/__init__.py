"""Trains models from configs: `fit` writes the folder of a run, `make_train` makes a pure function.

    load_config  reads a config from a TOML file
    prepare      loads the data of a config, checks that its parts fit together, and returns a plan
    fit          trains, and writes the model, the metrics and more into a folder
    open_run     opens such a folder, to predict and to evaluate
    make_train   turns a plan into a pure function, for `jax.jit` and `jax.vmap`

Each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from densefn.training.config import load as load_config
    from densefn.training.fitting import fit, prepare
    from densefn.training.pure import make_train
    from densefn.training.trained import open_run

__all__ = ["fit", "load_config", "make_train", "open_run", "prepare"]

_PLACES = {
    "fit": ("fitting", "fit"),
    "load_config": ("config", "load"),
    "make_train": ("pure", "make_train"),
    "open_run": ("trained", "open_run"),
    "prepare": ("fitting", "prepare"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
