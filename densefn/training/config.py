"""Reads a run's config: a TOML file with the sections [data], [model], [optimizer] and [train].

`densefn._values.build` decodes the sections, with the checks of the Python constructors. This module adds the place of
each mistake: the file and the line, or the `--set` that made it.
"""

import operator
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tomli_w

from densefn import _checks
from densefn._registry import as_layer
from densefn._values import TableError, Value, build, dotted
from densefn.data import Source, as_source, with_absolute_paths
from densefn.layer import Layer
from densefn.training.average import Decay
from densefn.training.loss_scale import AnyLossScale
from densefn.training.losses import AnyLoss
from densefn.training.metrics import Names
from densefn.training.optimizer import Optimizer, as_optimizer
from densefn.training.stopping import EarlyStopping
from densefn.training.toml_text import KeyPath, line_of, parsed, value_of

_MOST_MISTAKES = 20
"""The largest number of mistakes that one message lists."""


class ConfigError(ValueError):
    """The mistakes of a config, one per line, each with its place; at most 20, and the number of the others."""


def _model(given: Any) -> Layer:
    if isinstance(given, Mapping):
        return as_layer({"layer": "Sequential", **given})
    return as_layer(given)


_EXPECTATION = re.compile(r"(\w+)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


def _expectation(given: Any) -> str:
    if not _EXPECTATION.fullmatch(_checks.text(given)):
        raise ValueError(f'expected a comparison such as "val_accuracy >= 0.97", got {given!r}')
    return given


class Train(Value):
    """The section [train].

    Args:
      epochs: passes over the training rows.
      seed: decides the initial parameters and the order of the rows.
      loss_scale: the factor of the loss, which keeps gradients from underflow. "dynamic" skips the steps whose
        gradients overflow; a number skips none. None is "dynamic" for a model in which a layer computes in float16, and
        no scale for others.
      metrics: names of metrics of the validation rows, each reported as `val_<name>`. For classes: `accuracy`, `f1`,
        `precision` and `recall` (averaged over classes), `auc`, `log_loss`, and `top_3_accuracy` for 3 or another
        number. For numbers: `r2`, `mean_absolute_error` or `mae`, `mean_squared_error` or `mse`. None is `accuracy` for
        classes, and `r2` for numbers.
      evaluate_every: evaluate on the validation rows every this many epochs, and after the last.
      early_stopping: the rule that ends the run before its last epoch; None is no rule.
      keep: "last" saves the model of the last epoch, "best" that of the epoch with the best `best_metric`.
      best_metric: the metric that `keep = "best"` compares. None is the metric of `early_stopping` or, without it,
        `val_loss`.
      ema: the decay of an exponential moving average of the parameters (`average.py`). If it is given, the averaged
        parameters are evaluated and saved.
      tensorboard: whether the run also writes an event file for TensorBoard.
    """

    epochs: Annotated[int, _checks.whole(minimum=1)]
    seed: Annotated[int, _checks.whole(minimum=0, maximum=2**32 - 1)] = 0
    loss_scale: AnyLossScale = None
    metrics: Names = None
    evaluate_every: Annotated[int, _checks.whole(minimum=1)] = 1
    early_stopping: Annotated[EarlyStopping | None, _checks.optional(_checks.section(EarlyStopping))] = None
    keep: Annotated[str, _checks.choice("last", "best")] = "last"
    best_metric: Annotated[str | None, _checks.optional(_checks.text)] = None
    ema: Decay = None
    tensorboard: Annotated[bool, _checks.flag] = False

    def check_together(self) -> None:
        if self.best_metric is not None and self.keep != "best":
            raise ValueError('expected keep = "best" with best_metric')

    @property
    def kept_by(self) -> str:
        """The metric that decides which epoch is the best."""
        return self.best_metric or (self.early_stopping.metric if self.early_stopping else "val_loss")


class Config(Value):
    """The config of a run.

    Args:
      data: the source of the rows.
      model: a layer. In a file, a table with the fields of a `Sequential`, or of the class that `layer` names.
      optimizer: an optax optimizer with its arguments, and clipping and accumulation of its gradient.
      train: epochs, seed, metrics and stopping.
      shows: what the run demonstrates, in one sentence.
      expect: what the saved model should reach, such as `"val_accuracy >= 0.97"`.
      loss: the loss, by name or as a table with its arguments. None is the cross entropy for classes, and the squared
        error for numbers.
    """

    data: Annotated[Source, as_source]
    model: Annotated[Layer, _model]
    optimizer: Annotated[Optimizer, as_optimizer]
    train: Annotated[Train, _checks.section(Train)]
    shows: Annotated[str, _checks.text] = ""
    expect: Annotated[str | None, _checks.optional(_expectation)] = None
    loss: AnyLoss = None

    def meets_expectation(self, metrics: Mapping[str, float]) -> bool | None:
        """Whether an epoch meets `expect`; None without `expect`, or if the epoch lacks its metric."""
        return is_met(self.expect or "", metrics)


def is_met(expectation: str, metrics: Mapping[str, float]) -> bool | None:
    """Whether metrics meet an expectation; None if it is empty or its metric is missing.

    >>> is_met("val_accuracy >= 0.97", {"val_accuracy": 0.98})
    True
    """
    match = _EXPECTATION.fullmatch(expectation)
    if match is None or match[1] not in metrics:
        return None
    compare = operator.le if match[2] == "<=" else operator.ge
    return compare(metrics[match[1]], float(match[3]))


@dataclass(frozen=True)
class ConfigFile:
    """A config file, which can tell the place of each mistake in it.

    Attributes:
      path: the path of the TOML file.
      text: the text of the file.
      table: the parsed text, with the overrides applied.
      overrides: the path and the text of each override.
    """

    path: Path
    text: str
    table: dict[str, Any]
    overrides: tuple[tuple[KeyPath, str], ...]

    def decode(self) -> Config:
        """Makes the config that the file describes.

        Raises:
          ConfigError: with its mistakes, each as `file:line: path: what was expected`.
        """
        with self.locating():
            return build(Config, self.table)

    @contextmanager
    def locating(self) -> Iterator[None]:
        """Turns a `TableError` raised inside into a `ConfigError` with the place of each mistake."""
        try:
            yield
        except TableError as error:
            lines = [f"{self._place(problem.path)}: {problem}" for problem in error.problems[:_MOST_MISTAKES]]
            if more := len(error.problems) - len(lines):
                lines.append(f"{self.path}: and {more:,} more")
            raise ConfigError("\n".join(lines)) from None

    def _place(self, path: KeyPath) -> str:
        made_by = [written for changed, written in self.overrides if path[: len(changed)] == changed]
        return f"--set {made_by[-1]}" if made_by else f"{self.path}:{line_of(self.text, path)}"


def read(path: str | Path, overrides: Sequence[str] = ()) -> ConfigFile:
    """Reads a config file; `ConfigFile.decode` then checks its keys and values.

    Args:
      path: the TOML file. Paths of data files in it are relative to its folder.
      overrides: changes of single keys, such as `"optimizer.learning_rate=3e-4"`. A value is TOML; a bare word or path
        is a string. Paths of data files are relative to the current folder.

    Raises:
      ConfigError: if the file cannot be read or is not TOML, or an override names a key that does not exist.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ConfigError(f"{path}: expected a config file to read, got a pipe or a device")
    try:
        content = path.read_bytes()
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ConfigError(f"{path}: expected UTF-8 text, got UTF-16; save the file as UTF-8")
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise ConfigError(f"{path}: expected a config file to read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected UTF-8 text: {error.reason} at byte {error.start}") from None
    try:
        table = parsed(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}:{_line_in(error, text)}: expected TOML: {error}") from None
    _locate_data(table, path.absolute().parent)
    changes = tuple(_override(table, written) for written in overrides)
    _locate_data(table, Path.cwd())  # once more: the paths of the file are absolute now, those of the overrides are not
    return ConfigFile(path, text, table, changes)


def _locate_data(table: dict[str, Any], folder: Path) -> None:
    """Makes relative paths in [data] absolute, so that a run's config finds its files from any folder."""
    if isinstance(table.get("data"), Mapping):
        table["data"] = with_absolute_paths(table["data"], folder)


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a config from a TOML file.

    Args:
      path: the TOML file.
      overrides: assignments such as `"train.epochs=5"`, as for `--set`.

    Returns:
      The config, with absolute paths of data files.

    Raises:
      ConfigError: with the mistakes of the file, each with its line.

    >>> import tempfile
    >>> text = '''
    ... data = { name = "iris" }
    ... model.layers = [{ units = 3 }]
    ... optimizer = { name = "adam", learning_rate = 0.1 }
    ... train.epochs = 20
    ... '''
    >>> with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
    ...     _ = file.write(text), file.flush()
    ...     load(file.name, ["train.epochs=5"]).train.epochs
    5
    """
    return read(path, overrides).decode()


def dump(config: Config) -> str:
    """Writes a config as TOML with every field resolved: `load` gives the same config back."""
    return tomli_w.dumps(config.to_table())


def flatten(table: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a config's table, each with its dotted path.

    >>> list(flatten({"model": {"layers": [{"units": 3}]}}))
    [('model.layers.0.units', 3)]
    """
    if isinstance(table, Mapping | list) and table:
        pairs = table.items() if isinstance(table, Mapping) else enumerate(table)
        for key, value in pairs:
            yield from flatten(value, f"{path}.{key}".removeprefix("."))
    else:
        yield path, table


def _line_in(error: tomllib.TOMLDecodeError, text: str) -> int:
    place = re.search(r"at line (\d+)", str(error))
    return int(place[1]) if place else max(1, len(text.splitlines()))


def _override(table: Any, written: str) -> tuple[KeyPath, str]:
    """Applies an override `a.b=value` to a config's table; returns the path of the key, and the override."""
    name, equals, value = written.partition("=")
    if not (name.strip() and equals):
        raise ConfigError(f"--set {written}: expected KEY=VALUE, such as optimizer.learning_rate=3e-4")
    # layers[0] and layers.0 both name the first layer.
    parts = re.sub(r"\[(\d+)\]", r".\1", name.strip()).split(".")
    path: KeyPath = tuple(int(part) if re.fullmatch("[0-9]{1,9}", part) else part for part in parts)
    last: Any = path[-1]
    try:
        for part in path[:-1]:
            table = table.setdefault(part, {}) if isinstance(table, dict) else table[part]
        if isinstance(table, list):
            table[last]
        elif not isinstance(table, dict):
            raise TypeError
        table[last] = value_of(value.strip())
    except (IndexError, KeyError, TypeError):
        raise ConfigError(f"--set {written}: expected a key of the config; there is no {dotted(path)!r}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"--set {written}: expected a TOML value, got {value.strip()!r}: {error}") from None
    return path, written
