"""Forms of a kernel: how it is stored, and how it is contracted with an input. Each form has a file.

All modules of this folder are imported, so a new file's form is registered without a line here.
"""

from importlib import import_module as _import_module
from pkgutil import iter_modules as _iter_modules

from densefn._axes import Axes as Axes
from densefn._dot import product as product
from densefn.forms.form import NAMES as NAMES
from densefn.forms.form import PLAIN as PLAIN
from densefn.forms.form import AnyForm as AnyForm
from densefn.forms.form import Form as Form
from densefn.forms.form import KernelAxes as KernelAxes
from densefn.forms.form import Plain as Plain
from densefn.forms.form import get as get
from densefn.forms.form import register as register
from densefn.forms.low_rank import LowRank as LowRank
from densefn.forms.ntk import Ntk as Ntk

for _module in _iter_modules(__path__):
    _import_module(f"{__name__}.{_module.name}")
