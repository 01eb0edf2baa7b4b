"""Measures densefn beside its peers, prints the tables, and saves them with a picture of the ratios.

    pip install -e ".[bench]"
    python -m tests.benchmarks

It takes some minutes. What else the machine does in the meantime shows in the figures.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import jax

from tests.benchmarks import machine, picture, render
from tests.benchmarks.peers import PEERS
from tests.benchmarks.record import REFERENCE, Settings, Table
from tests.benchmarks.tables import TABLES, measure


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    peers = tuple(peer for peer in PEERS if peer not in asked.without)
    missing = [peer for peer in peers if not PEERS[peer].installed]
    if missing:
        parser.error(f'not installed: {", ".join(missing)}; run pip install -e ".[bench]", or leave out by --without')
    jax.config.update("jax_disable_most_optimizations", asked.quick)
    asked.output.mkdir(parents=True, exist_ok=True)
    facts = machine.facts(peers)
    print(render.heading(facts), flush=True)
    tables = []
    for name in (name for name in TABLES if name in (asked.only or TABLES)):
        tables.append(measure(name, Settings(peers, asked.quick)))
        print(render.markdown(tables[-1]), flush=True)
        _save(facts, tables, asked.output)


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=summary)
    others = [peer for peer in PEERS if peer != REFERENCE]
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, few rounds, hardly optimized: shows that all works, no more"
    )
    parser.add_argument("--only", nargs="+", choices=TABLES, metavar="TABLE", help=f"of {', '.join(TABLES)}")
    parser.add_argument(
        "--without", nargs="+", choices=others, default=[], metavar="PEER", help=f"of {', '.join(others)}"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/benchmarks"), metavar="DIR")
    return parser


def _save(facts: dict[str, str], tables: Sequence[Table], folder: Path) -> None:
    """Leaves the report as far as it has come."""
    text = "\n".join([render.heading(facts), *map(render.markdown, tables)])
    (folder / "benchmarks.md").write_text(text, encoding="utf-8")
    data = {"machine": facts, "tables": [render.record(table) for table in tables]}
    (folder / "benchmarks.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    picture.save(tables, folder / "ratios.png")


if __name__ == "__main__":
    main()
