"""Tables as Markdown for people and as JSON for programs."""

from typing import Any

from tests.benchmarks.peers import title
from tests.benchmarks.record import Row, Table

_SCALES = {
    "seconds": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "bytes": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB")),
}


def markdown(table: Table) -> str:
    """A heading, a row for each figure, and the note. A column that says nothing is left out."""
    floors = any(row.floor is not None for row in table.rows)
    head = ["", "dtype", "by", table.quantity, f"ratio to {table.reference}", *(["floor", "times floor"] * floors)]
    body = [_cells(row, table.quantity, floors) for row in table.rows]
    kept = [index for index in range(len(head)) if any(cells[index] for cells in body)]
    lines = [[cells[index] for index in kept] for cells in (head, ["---"] * len(head), *body)]
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"## {table.title}\n\n{drawn}\n" + (f"\n{table.note}\n" if table.note else "")


def _cells(row: Row, quantity: str, floors: bool) -> list[str]:
    case = row.case
    cells = [case.work, case.dtype, title(case.peer), figure(row.value, quantity), f"{row.ratio:.3g}"]
    if not floors:
        return cells
    return [*cells, "" if row.floor is None else figure(row.floor, quantity), _optional(row.times_floor)]


def _optional(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"


def figure(value: float, quantity: str) -> str:
    """A value with a unit that suits its size.

    >>> figure(0.00171, "seconds"), figure(3 << 20, "bytes"), figure(123456.0, "rows/s"), figure(1.5e-7, "error")
    ('1.71 ms', '3 MiB', '123,456', '1.5e-07')
    """
    if quantity not in _SCALES:
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    scales = _SCALES[quantity]
    scale, unit = next((pair for pair in scales if value >= pair[0]), scales[-1])
    number = value / scale
    return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"


def record(table: Table) -> dict[str, Any]:
    """A table as JSON can hold it, in seconds and bytes."""
    rows = [
        {
            **row.case._asdict(),
            "value": row.value,
            "ratio": row.ratio,
            "floor": row.floor,
            "times_floor": row.times_floor,
        }
        for row in table.rows
    ]
    return {**table._asdict(), "rows": rows}


def heading(facts: dict[str, str]) -> str:
    """The title of the report, and the machine it is from."""
    return "# Benchmarks of densefn\n\n" + "\n".join(f"- {name}: {value}" for name, value in facts.items()) + "\n"
