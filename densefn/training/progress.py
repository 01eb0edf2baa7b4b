"""Shows the progress of a run: a live bar on a terminal, one plain line per epoch elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from densefn.training.config import Config
from densefn.training.metrics_file import Row
from densefn.training.runs import Result


@contextmanager
def display(config: Config) -> Iterator[Callable[[Row], None]]:
    """Yields a function that shows the row of an epoch."""
    console = Console(highlight=False)
    if not console.is_terminal:
        yield lambda row: print(f"epoch {row.epoch}/{config.train.epochs}  {_line(row)}", flush=True)
        return
    columns = TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}")
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("compiling", total=config.train.epochs)
        yield lambda row: progress.update(task, completed=row.epoch, description=_line(row))


def closing_line(config: Config, result: Result) -> str:
    """The last line of a run: the metric that was reached, the expectation, the path of the report."""
    last, kept = result.metrics[-1], result.kept
    early = "stopped early after " if last.epoch < config.train.epochs else ""
    ended = "stopped after " if result.stopped else early
    best = f" of epoch {kept.epoch}" if kept.epoch < last.epoch else ""
    reached = [
        f"{name} {value:.4f}" for name, value in kept.metrics.items() if name.startswith("val_") and name != "val_loss"
    ]
    met = {True: f" ({config.expect} was expected)", False: f" (but {config.expect} was expected)", None: ""}
    return (
        f"{ended}{last.epoch} epochs in {last.seconds:.1f} s: {''.join(reached[:1]) or 'not evaluated'}{best}"
        f"{met[config.meets_expectation(kept)]}; open {result.run_dir / 'report.html'}"
    )


def _line(row: Row) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in row.metrics.items())
