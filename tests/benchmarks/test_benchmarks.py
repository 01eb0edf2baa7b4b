"""The command, run small and without PyTorch: every table is made, with figures of every peer."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import main
from tests.benchmarks.peers import PEERS
from tests.benchmarks.tables import TABLES, dispatch

ROOT = Path(__file__).parents[2]
JAX_PEERS = set(PEERS) - {"pytorch"}
COMPARED = {
    "compilation": {"Sequential", "Repeat", "plain"},
    "throughput": {"training loop", "training loop, not evaluated", "bare steps"},
    "streaming": {"streamed", "on the device"},
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--without", "pytorch", "-o", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "ratios.png").read_bytes().startswith(b"\x89PNG")
    text = (folder / "benchmarks.md").read_text(encoding="utf-8")
    assert text.strip() == done.stdout.replace("\n\n\n", "\n\n").strip()
    return text, json.loads((folder / "benchmarks.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tables(report):
    return {table["name"]: table for table in report[1]["tables"]}


def test_all_tables_are_there(report, tables):
    assert tuple(tables) == TABLES
    assert all(f"## {table['title']}" in report[0] for table in tables.values())


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_finite_positive_figures_of_every_peer(tables, name):
    rows = tables[name]["rows"]
    assert {row["peer"] for row in rows} - {dispatch.BY_HAND} == COMPARED.get(name, JAX_PEERS)
    figures = [row[key] for row in rows for key in ("value", "ratio")]
    figures += [row[key] for row in rows for key in ("floor", "times_floor") if name in ("layers", "steps")]
    assert all(math.isfinite(figure) and figure > 0 for figure in figures)


def test_a_gradient_of_densefn_is_not_rounded(tables):
    # Sums of 4096 products in float32; a gradient rounded to bfloat16 is off by 2e-3.
    (error,) = (row["value"] for row in tables["accuracy"]["rows"] if row["peer"] == "densefn")
    assert error < 1e-6


def test_the_report_says_where_it_was_made(report):
    assert {"date", "device", "processor", "Python", "versions"} <= set(report[1]["machine"])
    assert "equinox" in report[1]["machine"]["versions"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "step"], "invalid choice: 'step'"),
        (["--without", "torch"], "invalid choice: 'torch'"),
        (["--without", "plain"], "invalid choice: 'plain'"),
    ],
)
def test_an_unknown_name_is_an_error(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_an_error_that_names_the_extra(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(PEERS, "pytorch", PEERS["pytorch"]._replace(imports="no_such_library"))
    with pytest.raises(SystemExit) as end:
        main(["-o", str(tmp_path / "none")])
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert "not installed: pytorch" in message
    assert '".[bench]"' in message
    assert not (tmp_path / "none").exists()
