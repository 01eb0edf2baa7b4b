"""The protocol of a table: plain records, which `render` and `picture` show and JSON keeps."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.benchmarks.clock import Case, Effort

REFERENCE = "plain"


class Settings(NamedTuple):
    """What is asked of a table.

    Attributes:
      peers: the keys of `PEERS` that take part.
      quick: whether to measure small things and few rounds, to see that all works.
    """

    peers: tuple[str, ...]
    quick: bool = False

    @property
    def effort(self) -> Effort:
        """How long to measure the cases of one comparison."""
        return Effort(0.05, 2, 5e-4) if self.quick else Effort(15, 9, 5e-3)


class Row(NamedTuple):
    """One figure.

    Attributes:
      case: what was measured.
      value: in the unit of the table's quantity.
      ratio: the value over that of the table's reference.
      floor: the value that no implementation can be expected to pass; None where there is none.
    """

    case: Case
    value: float
    ratio: float
    floor: float | None = None

    @property
    def times_floor(self) -> float | None:
        """The value over the floor."""
        return None if self.floor is None else self.value / self.floor


class Table(NamedTuple):
    """The figures of one kind.

    Attributes:
      name: by which the command knows it.
      title: what is measured.
      quantity: "seconds", "bytes", "error" or "rows/s".
      reference: what the ratios are to.
      rows: the figures.
      note: what to know to read them.
    """

    name: str
    title: str
    quantity: str
    reference: str
    rows: list[Row]
    note: str = ""


def compared(
    values: Mapping[Case, float],
    reference: Callable[[Case], Case] = lambda case: case._replace(peer=REFERENCE),
    floor: Callable[[Case], float | None] = lambda _: None,
) -> list[Row]:
    """Rows with the ratio of each value to that of its reference, the hand-written JAX unless told otherwise."""
    return [Row(case, value, value / values[reference(case)], floor(case)) for case, value in values.items()]
