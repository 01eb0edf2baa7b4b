"""The protocol of a form, and the plain one: the kernel is stored as it is.

A form declares the arrays that are stored for a kernel, which are its leaves. From them it computes the product with
an input, and the kernel itself. A form of your own is a subclass of `Form` in one file. `register` gives it a name in
configs and saved models::

    from densefn.forms import Form, product, register

    @register
    class Halved(Form):
        def declare(self, kernel, axes):
            return {"kernel": kernel}

        def contract(self, params, x, axes, compute_dtype):
            return 2 * product(x, params["kernel"], axes, compute_dtype)

        def materialize(self, params, axes):
            return 2 * params["kernel"]

        def decompose(self, kernel, axes):
            return {"kernel": kernel / 2}
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

from jax import Array
from jax.typing import DTypeLike

from densefn import _checks
from densefn._axes import Axes
from densefn._dot import product
from densefn._values import Value
from densefn.param import Param


class KernelAxes(NamedTuple):
    """The kinds of a kernel's axes: inputs, experts, and all others, which are units.

    Attributes:
      inputs: the axes that are summed over.
      experts: the axes along which each entry is a separate kernel: the batch axes of the product.
    """

    inputs: tuple[int, ...]
    experts: tuple[int, ...] = ()

    def units(self, rank: int) -> tuple[int, ...]:
        """The remaining axes of a kernel of this rank."""
        return tuple(axis for axis in range(rank) if axis not in self.inputs + self.experts)


class Form(Value):
    """How a kernel is stored, and how it is contracted with an input."""

    tag: ClassVar[str | None] = "name"
    kind: ClassVar[str | None] = "kernel form"

    takes_constraints: ClassVar[bool] = True
    """Whether the kernel's constraint may be applied to each leaf by itself."""

    @property
    def formula(self) -> str:
        """The kernel as a formula of the leaves, for explanations."""
        return "kernel"

    @abstractmethod
    def declare(self, kernel: Param, axes: KernelAxes) -> dict[str, Param]:
        """The leaves that are stored for a kernel, by their names in the layer's parameters.

        Args:
          kernel: the declaration of the kernel in plain form.
          axes: which axes of the kernel are inputs and which are experts.

        Raises:
          ValueError: if this form cannot store such a kernel.
        """

    @abstractmethod
    def contract(self, params: Mapping[str, Array], x: Array, axes: Axes, compute_dtype: DTypeLike) -> Array:
        """The product of an input and the kernel.

        Args:
          params: the layer's parameters, including the declared leaves.
          x: the input.
          axes: the axes of input and kernel that are summed over, and the batch axes.
          compute_dtype: the dtype to which the operands are rounded.

        Returns:
          The product in float32 at least, with the axes of `densefn.forms.product`.
        """

    @abstractmethod
    def materialize(self, params: Mapping[str, Array], axes: KernelAxes) -> Array:
        """Computes the kernel in plain form from the leaves."""

    @abstractmethod
    def decompose(self, kernel: Array, axes: KernelAxes) -> dict[str, Array]:
        """Computes the leaves that a kernel in plain form determines. `convert` draws the others."""


class Plain(Form):
    """The kernel as it is, under `"kernel"`."""

    def declare(self, kernel: Param, axes: KernelAxes) -> dict[str, Param]:
        return {"kernel": kernel}

    def contract(self, params: Mapping[str, Array], x: Array, axes: Axes, compute_dtype: DTypeLike) -> Array:
        return product(x, params["kernel"], axes, compute_dtype)

    def materialize(self, params: Mapping[str, Array], axes: KernelAxes) -> Array:
        return params["kernel"]

    def decompose(self, kernel: Array, axes: KernelAxes) -> dict[str, Array]:
        return {"kernel": kernel}


PLAIN = Plain()
NAMES: dict[str, type[Form]] = _checks.both_cases(Plain)

F = TypeVar("F", bound=type[Form])


def register(form: F) -> F:
    """Makes a form known by name, such as `LowRank` or `low_rank`, in fields, configs and saved models.

    Raises:
      ValueError: if another form has the name.

    >>> @register
    ... class Same(Plain):
    ...     pass
    >>> from densefn import Dense, from_dict, to_dict
    >>> from_dict(to_dict(Dense(3, kernel_form=Same())))
    Dense(units=3, kernel_form=Same())
    """
    for name in _checks.both_cases(form):
        known = NAMES.get(name, form)
        # Classes are compared by name and not by identity, because notebooks load a module again.
        if (known.__module__, known.__qualname__) != (form.__module__, form.__qualname__):
            raise ValueError(f"expected a name that no other kernel form has, got {name!r}, which is {known!r}")
    NAMES.update(_checks.both_cases(form))
    return form


def _check(given: Any) -> Any:
    if not isinstance(given, str | Mapping | Form | type):
        raise TypeError(f"expected kernel form: a name ({', '.join(NAMES)}) or a value; got {given!r}")
    return _checks.named("kernel form", NAMES, Form)(given)


AnyForm = Annotated[str | Form | None, _checks.optional(_check)]


def get(form: AnyForm) -> Form:
    """The form that a field stands for; None is the plain one.

    >>> get(None)
    Plain()
    """
    return PLAIN if form is None else _checks.resolve("kernel form", NAMES, form)
