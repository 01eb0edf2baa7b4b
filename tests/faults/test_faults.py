"""A small share of each trial, in one process that forks: the full counts are in README.md."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.__main__ import TRIALS
from tests.faults.outcomes import Answer, Outcome, crashed, refused

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("faults") / "faults.json"
    command = [sys.executable, "-m", "tests.faults", "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return json.loads(path.read_text(encoding="utf-8")), done.stdout + done.stderr


@pytest.mark.parametrize("trial", TRIALS)
def test_a_share_of_the_trial_has_no_fault(report, trial):
    tally, said = report[0][trial], report[1]
    assert sum(tally.values()) > 0
    assert {outcome: tally.get(outcome, 0) for outcome in Outcome if outcome.is_fault} == {
        Outcome.LOST: 0,
        Outcome.WRONG: 0,
        Outcome.TRACEBACK: 0,
    }, said


@pytest.mark.parametrize(
    ("status", "err", "outcome"),
    [
        (2, "a.csv:3: expected a number, got 'x'", Outcome.REFUSED),
        (2, "expected a number", Outcome.WRONG),
        (1, "", Outcome.WRONG),
        (1, "Traceback (most recent call last):\n  a.csv", Outcome.TRACEBACK),
        (-11, "a.csv", Outcome.TRACEBACK),
        (2, "a.csv: " + "x" * 30_000, Outcome.WRONG),
    ],
)
def test_a_refusal_says_where_and_is_no_traceback(status, err, outcome):
    assert refused(Answer(status, "", err, {}), ["a.csv"]).outcome == outcome


def test_a_warning_with_its_source_is_a_traceback():
    assert crashed(Answer(0, "", "/x/y.py:3: UserWarning: z", {}))
    assert crashed(Answer(0, "", "a.csv: 3 rows are left out", {})) is None
