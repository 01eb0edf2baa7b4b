"""Equations of a product: the axes of an input, a kernel and an output, a letter each."""

import re
import string
from typing import NamedTuple

ELLIPSIS = "..."


class Equation(NamedTuple):
    """The axes of the input, the kernel and the output; an ellipsis stands for any further ones."""

    x: str
    kernel: str
    y: str

    def __str__(self) -> str:
        return f"{self.x},{self.kernel}->{self.y}"

    @property
    def contracted(self) -> str:
        """The kernel's axes that are summed over: its inputs."""
        return "".join(axis for axis in self.kernel if axis not in self.y)

    @property
    def new(self) -> str:
        """The output's axes that the input lacks, in the output's order: the units."""
        return "".join(axis for axis in self.y if axis in self.kernel and axis not in self.x)

    @property
    def experts(self) -> str:
        """The kernel's axes that input and output have as well: each entry has a kernel of its own."""
        return "".join(axis for axis in self.kernel if axis in self.x and axis in self.y)

    def expanded(self, rank: int) -> "Equation":
        """The equation for an input of this rank, with letters in the place of the ellipsis."""
        free = [letter for letter in string.ascii_letters if letter not in str(self)]
        letters = "".join(free[: rank - len(self.x.replace(ELLIPSIS, ""))])
        return Equation(self.x.replace(ELLIPSIS, letters), self.kernel, self.y.replace(ELLIPSIS, letters))


def parse(equation: str) -> Equation:
    """Takes an equation apart.

    Raises:
      ValueError: unless it has the form `x,kernel->y`, and every axis of the kernel and of the output has a meaning.

    >>> parse("...i,io->...o").contracted
    'i'
    """
    axes = r"((?:[a-zA-Z]|\.{3})*)"
    match = re.fullmatch(f"{axes},([a-zA-Z]+)->{axes}", equation.replace(" ", ""))
    if match is None:
        raise ValueError(f"expected an equation x,kernel->y such as '...i,io->...o', got {equation!r}")
    parsed = Equation(*match.groups())
    for part in parsed:
        letters = part.replace(ELLIPSIS, ".")
        if len(set(letters)) < len(letters):
            raise ValueError(f"expected each axis once in {part!r} of {equation!r}")
    if (ELLIPSIS in parsed.x) != (ELLIPSIS in parsed.y):
        raise ValueError(f"expected the ellipsis on both sides of {equation!r}, or on none")
    for axis in parsed.kernel:
        if axis not in parsed.x + parsed.y:
            raise ValueError(f"the kernel's axis {axis!r} is neither in the input nor in the output of {equation!r}")
    for axis in parsed.y.replace(ELLIPSIS, ""):
        if axis not in parsed.x + parsed.kernel:
            raise ValueError(f"the output's axis {axis!r} is neither in the input nor in the kernel of {equation!r}")
    return parsed
