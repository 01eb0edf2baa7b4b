"""The sources of rows, one module each. All modules of this folder are imported, so a new one needs no line here."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
