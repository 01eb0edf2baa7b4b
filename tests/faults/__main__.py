"""Counts the faults of densefn, and prints the table.

    python -m tests.faults --full

A fault can be seen again by the command that is printed with it.
"""

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.faults import command, trial
from tests.faults.outcomes import Outcome, Verdict

TRIALS = {
    "kills": "kill -9 at random moments and at each write",
    "signals": "SIGINT, SIGTERM, SIGHUP at any moment",
    "surroundings": "disks, memory, rights, outputs, encodings, names, two processes",
    "run_folder": "each file of a run folder changed",
    "model_bytes": "each byte of a model file",
    "hostile": "files of an attacker",
    "configs": "configs changed, and --set",
    "tables": "tables changed",
    "numbers": "extreme numbers",
}
SHOWN = 10
"""Faults that are printed of a trial."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if there were faults."""
    asked = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="faults-compiled-") as cache:
        command.warm(cache)
        tallies = {name: _count(name, asked) for name in asked.only or TRIALS}
    if asked.json:
        asked.json.write_text(json.dumps(tallies), encoding="utf-8")
    print("\n| trial | tried | right | refused | lost | wrong | traceback |\n|---|---|---|---|---|---|---|")
    for name, tally in tallies.items():
        figures = [tally.total(), *(tally[outcome] for outcome in Outcome)]
        print(f"| {TRIALS[name]} | {' | '.join(map(str, figures))} |")
    return int(any(tally[outcome] for tally in tallies.values() for outcome in Outcome if outcome.is_fault))


def _count(name: str, asked: argparse.Namespace) -> Counter[Outcome]:
    module = importlib.import_module(f"tests.faults.{name}")
    cases = trial.chosen(module, asked.seed, _numbers(module, asked))
    tally: Counter[Outcome] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"faults-{name}-") as folder:
        for number, case, verdict in trial.judged(module, cases, Path(folder)):
            tally[verdict.outcome] += 1
            if verdict.outcome.is_fault or asked.case is not None:
                faults = sum(tally[outcome] for outcome in Outcome if outcome.is_fault)
                if faults <= SHOWN or asked.all:
                    print(_shown(name, number, case, verdict, asked.seed), flush=True)
    print(f"{name}: {tally.total()} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return tally


def _numbers(module: trial.Trial, asked: argparse.Namespace) -> Sequence[int]:
    if asked.case is not None:
        return [asked.case]
    return range(asked.count or (module.FULL if asked.full else module.SHARE))


def _shown(name: str, number: int, case: tuple, verdict: Verdict, seed: int) -> str:
    again = f"python -m tests.faults --only {name} --seed {seed} --case {number}"
    return f"{verdict.outcome}: {case[0]}\n  {verdict.seen.strip()!r}\n  again: {again}"


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=summary)
    parser.add_argument("--only", nargs="+", choices=TRIALS, metavar="TRIAL", help=f"of {', '.join(TRIALS)}")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    parser.add_argument("--all", action="store_true", help=f"print all faults, not the first {SHOWN} of a trial")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts as JSON too")
    counts = parser.add_mutually_exclusive_group()
    counts.add_argument("--full", action="store_true", help="the full counts; without it, a small share")
    counts.add_argument("--count", type=int, metavar="N", help="the number of cases of each trial")
    counts.add_argument("--case", type=int, metavar="K", help="one case, and its verdict")
    return parser


if __name__ == "__main__":
    sys.exit(main())
