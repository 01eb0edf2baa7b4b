"""densefn train: trains a model from a config, and writes the run's folder."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densefn.cli.configs import config_path
from densefn.cli.console import fail, fail_without_package, warn

if TYPE_CHECKING:
    from densefn.training.loop import Plan

_EXAMPLE = """\
A config that trains on your own table, with a header and the column "price":

  [data]
  path = "houses.csv"            # or name = "digits"
  target = "price"

  [[model.layers]]               # as many as you like, with the arguments of densefn.Dense
  units = 32
  activation = "relu"

  [[model.layers]]
  units = 1                      # one for each target, or one for each class

  [optimizer]
  name = "adam"                  # one of optax, with its own arguments
  learning_rate = 1e-2

  [train]
  epochs = 30

A key that is unknown, missing or wrong is reported with the keys that exist. `densefn configs` lists configs to start
from.

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
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "config",
        metavar="CONFIG",
        nargs="?",
        help="a TOML file with [data], [model], [optimizer] and [train], or the name of a shipped config",
    )
    given.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="resume a run that was stopped or killed, in its folder; --set train.epochs=N trains more epochs",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the config, such as train.epochs=5; may be repeated",
    )
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="the run's folder (default: runs/<config>-<time>)")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from densefn import data
        from densefn.training import config, loop, runs
    except ModuleNotFoundError as error:
        return fail_without_package("training", error, "train")
    resumed: Path | None = arguments.resume
    if resumed and arguments.run_dir:
        return fail("--run-dir: a run resumes in its own folder; leave the option out")
    try:
        file = config.read(resumed / "config.toml" if resumed else config_path(arguments.config), arguments.overrides)
        settings = file.decode()
        with file.locating():
            plan = loop.prepare(settings)
    except ValueError as error:
        return fail(str(error))
    print(data.describe(plan.config.data, plan.dataset), *plan.dataset.notes, sep="\n", flush=True)
    return _train(plan, resumed or arguments.run_dir or runs.default_run_dir(file.path.stem), resumes=bool(resumed))


def _train(plan: "Plan", run_dir: Path, *, resumes: bool) -> int:
    from densefn import report
    from densefn.training import folder, progress, runs, signals, snapshot

    go_on = f"to go on: densefn train --resume {shlex.quote(str(run_dir))}"
    run = runs.resume if resumes else runs.start
    signals.take_over()
    try:
        with progress.display(plan.config) as show:
            result = run(plan, run_dir, show, warn, report.write_report)
    except (runs.RunError, folder.LockedError) as error:
        return fail(str(error), 1)
    except snapshot.ResumeError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename or run_dir}: {error.strerror}", 1)
    except KeyboardInterrupt:
        begun = f"{run_dir} holds the finished epochs; {go_on}" if folder.is_begun(run_dir) else "no run was begun"
        return fail(f"stopped; {begun}", 130)
    print(progress.closing_line(plan.config, result))
    if result.stopped:
        print(go_on)
    return 128 + result.stopped if result.stopped else 0
