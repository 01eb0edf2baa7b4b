"""Trainings, from a config: in a folder, with `fit`.

load_config  reads a config from a TOML file
prepare      loads the data of a config, and checks that all goes together: a plan
fit          trains, and leaves the model, the metrics and more in a folder
open_run     opens such a folder, to predict and to evaluate
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from densefn.training.config import load as load_config
    from densefn.training.fitting import fit, prepare
    from densefn.training.trained import open_run


__all__ = ["fit", "load_config", "open_run", "prepare"]

_PLACES = {
    "fit": ("fitting", "fit"),
    "load_config": ("config", "load"),
    "open_run": ("trained", "open_run"),
    "prepare": ("fitting", "prepare"),
}


def __getattr__(name: str) -> Any:
    # Loaded by those who ask: a command that needs one module of these does not wait for all.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)
