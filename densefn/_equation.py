"""Equations of a product, `x,kernel->y`: one letter for each axis of input, kernel and output."""

import re
import string
from typing import NamedTuple

ELLIPSIS = "..."


class Equation(NamedTuple):
    """The letters of the axes of input, kernel and output. An ellipsis stands for any number of further axes."""

    x: str
    kernel: str
    y: str

    def __str__(self) -> str:
        return f"{self.x},{self.kernel}->{self.y}"

    @property
    def contracted(self) -> str:
        """The axes of the kernel that are summed over: the output lacks them."""
        return "".join(axis for axis in self.kernel if axis not in self.y)

    @property
    def new(self) -> str:
        """The units: the axes of the output that the input lacks, in the output's order."""
        return "".join(axis for axis in self.y if axis in self.kernel and axis not in self.x)

    @property
    def experts(self) -> str:
        """The axes that kernel, input and output share. Each entry along them has its own kernel."""
        return "".join(axis for axis in self.kernel if axis in self.x and axis in self.y)

    def expanded(self, rank: int) -> "Equation":
        """The equation for an input of this rank, with letters instead of the ellipsis."""
        free = [letter for letter in string.ascii_letters if letter not in str(self)]
        letters = "".join(free[: rank - len(self.x.replace(ELLIPSIS, ""))])
        return Equation(self.x.replace(ELLIPSIS, letters), self.kernel, self.y.replace(ELLIPSIS, letters))


def parse(equation: str) -> Equation:
    """Parses an equation.

    Raises:
      ValueError: if it is not of the form `x,kernel->y`; if a part of it has an axis twice; if an axis of the kernel or
        of the output is in no other part.

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
        raise ValueError(f"expected an ellipsis in both input and output of {equation!r}, or in neither")
    for axis in parsed.kernel:
        if axis not in parsed.x + parsed.y:
            raise ValueError(f"the kernel's axis {axis!r} is neither in the input nor in the output of {equation!r}")
    for axis in parsed.y.replace(ELLIPSIS, ""):
        if axis not in parsed.x + parsed.kernel:
            raise ValueError(f"the output's axis {axis!r} is neither in the input nor in the kernel of {equation!r}")
    return parsed
