"""What a shipped config promises is what a run of it reaches."""

import json
from pathlib import Path

from densefn.training import config, loop

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))

TRAINED_IN_PATHS = ("early", "mnist")
"""The configs that the people of test_paths.py train; test_train.py trains the others."""


def check(name, run_dir, printed):
    """The run has the config's settings, and reached what was expected, in what it keeps and in its last line."""
    (path,) = (path for path in CONFIGS if path.stem == name)
    rows = [json.loads(line) for line in (Path(run_dir) / "metrics.jsonl").read_text().splitlines()]
    settings = config.load(Path(run_dir) / "config.toml")
    assert settings == loop.prepare(config.load(path)).config
    assert settings.meets_expectation(rows[-1])
    assert f"({settings.expect} was expected)" in printed.splitlines()[-1]
