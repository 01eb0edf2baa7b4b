"""densefn train: a config to a run's folder."""

import argparse
from pathlib import Path
from typing import Any

from densefn.cli.configs import located
from densefn.cli.console import fail, lacks

_EXAMPLE = """\
A config that trains on a table of one's own, with a header and the column "price":

  [data]
  path = "houses.csv"            # or name = "digits"
  target = "price"

  [[model.layers]]               # as many as you like, with the arguments of densefn.Dense
  units = 32
  activation = "relu"

  [[model.layers]]
  units = 1                      # one for each number, or for each class

  [optimizer]
  name = "adam"                  # one of optax, with its own arguments
  learning_rate = 1e-2

  [train]
  epochs = 30

A key that is unknown, missing or wrong is reported with those that there are. `densefn configs` lists others to begin
with.

example: densefn train configs/digits.toml --set optimizer.learning_rate=3e-4
"""


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a model from a config file",
        description="Train a model from a config file. The run leaves a folder with the config, the metrics, the "
        "trained parameters, the curves as a picture and a report as a web page.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "config",
        metavar="CONFIG",
        help="a TOML file with [data], [model], [optimizer] and [train], or the name of a shipped config",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the config, such as train.epochs=5; may be given again",
    )
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder (default: runs/<config>-<time>)")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from densefn.training import config, data, loop, progress, runs
    except ModuleNotFoundError as error:
        return lacks("training", error, "train")
    try:
        file = config.read(located(arguments.config), arguments.overrides)
        settings = file.decode()
        with file.locating():
            plan = loop.prepare(settings)
    except config.ConfigError as error:
        return fail(str(error))
    print(data.described(plan.config.data, plan.dataset), flush=True)
    run_dir = arguments.run_dir or runs.default_run_dir(file.path.stem)
    try:
        with progress.shown(settings) as show:
            result = runs.start(plan, run_dir, show)
    except runs.RunError as error:
        return fail(str(error), 1)
    except KeyboardInterrupt:
        return fail(f"stopped; {run_dir} holds the metrics of the epochs that were done", 130)
    print(progress.closing_line(settings, result))
    return 130 if result.stopped else 0
