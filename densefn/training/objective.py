"""Chooses the loss and the metrics of a run, or checks those that were given."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from densefn._values import Problem, TableError
from densefn.data import Dataset
from densefn.training import losses, metrics
from densefn.training.config import Config
from densefn.training.losses import Loss

Measures = dict[str, Callable[[Array, Array], Array]]


def choose(config: Config, dataset: Dataset) -> tuple[Config, Loss, Measures]:
    """Chooses the loss and the metrics where none were given, and checks what was given.

    Returns:
      The config with the loss and the metrics in it; the loss with the class weights of the training rows; and the
      metrics by the names under which they are reported.

    Raises:
      TableError: if they do not fit the data.
    """
    with _at("loss"):
        loss = losses.choose(config.loss, classifies=bool(dataset.classes))
        fitted = loss.fitted(jnp.asarray(dataset.train.y), dataset.outputs)
    with _at("train", "metrics"):
        names = metrics.choose(config.train.metrics, classes=dataset.classes)
    _check_watched(config, ("train_loss", "val_loss", *(f"val_{name}" for name in names)))
    _check_accumulation(config, dataset)
    config = replace(config, loss=fitted, train=replace(config.train, metrics=names))
    return config, fitted, {f"val_{name}": metrics.get(name).measure for name in names}


def _check_watched(config: Config, reported: Sequence[str]) -> None:
    stopping = config.train.early_stopping
    watched = {("early_stopping", "metric"): stopping and stopping.metric, ("best_metric",): config.train.best_metric}
    expected = f"expected one that the run reports ({', '.join(reported)})"
    unknown = {path: name for path, name in watched.items() if name is not None and name not in reported}
    if unknown:
        raise TableError([Problem(("train", *path), f"{expected}, got {name!r}") for path, name in unknown.items()])


def _check_accumulation(config: Config, dataset: Dataset) -> None:
    batches = config.train.epochs * -(-len(dataset.train.y) // config.data.batch_size)
    if config.optimizer.accumulate > batches:
        message = f"expected at most the {batches} batches of the run, got {config.optimizer.accumulate}"
        raise TableError([Problem(("optimizer", "accumulate"), message)])


@contextmanager
def _at(*path: str) -> Iterator[None]:
    """Puts a path before the paths of the mistakes that are found inside."""
    try:
        yield
    except TableError as error:
        raise TableError([Problem((*path, *inside), message) for inside, message in error.problems]) from None
