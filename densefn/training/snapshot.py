"""Where a run stands, in a file: all that it needs to go on to the bits of one that was never interrupted.

`state.npz` in the folder of a run holds the state after an epoch and that of the model to keep; the metrics of the
epochs up to then are in `metrics.jsonl`. The order of the rows needs no place in it: it depends on the seed and the
number of the epoch alone.
"""

import shlex
import tomllib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from densefn import archive, checkpoint
from densefn.training import data, log
from densefn.training.config import dump, flat
from densefn.training.loop import Plan, Snapshot, first_state

_NAME, _DESCRIPTION = "state.npz", "state.json"
_MAY_DIFFER = {"train.epochs", "data.path", "data.target", "data.validation"}
"""Data may have moved; what is in it is compared by the preparation that was fitted to it."""


class ResumeError(ValueError):
    """A run that cannot go on."""


def save(run_dir: Path, plan: Plan, snapshot: Snapshot) -> None:
    """Writes where a run stands, in the place of where it stood before. The rows are not written."""
    states = {"state": snapshot.state} | ({} if snapshot.kept is snapshot.state else {"kept": snapshot.kept})
    description = {"format": 1, "epoch": len(snapshot.rows), "states": list(states), "config": _table(plan)}
    checkpoint.write(run_dir / _NAME, archive.pack((_DESCRIPTION, description), jax.tree.map(_as_data, states)))


def read(run_dir: Path, plan: Plan) -> Snapshot:
    """Reads where a run stands.

    Args:
      run_dir: its folder.
      plan: of its config, in which the number of epochs and the place of the data may have been changed.

    Raises:
      ResumeError: names what was changed since the run began, or what is missing.
      ValueError: names the file that is missing or not whole.
    """
    anew = f"densefn train {shlex.quote(str(run_dir / 'config.toml'))}"
    expected = f"where the run stood after an epoch; without it, train anew: {anew}"
    with archive.opened(run_dir / _NAME, _DESCRIPTION, expected) as file:
        said = file.describe()
        done, states, config = said["epoch"], said["states"], said["config"]
    _check(run_dir, plan, done, config)
    first = jax.eval_shape(lambda: first_state(plan))
    with archive.opened(run_dir / _NAME, _DESCRIPTION, expected) as file:
        read = file.read(jax.eval_shape(lambda tree: jax.tree.map(_as_data, tree), dict.fromkeys(states, first)))
    read = {name: jax.tree.map(_from_data, first, state) for name, state in read.items()}
    rows = log.read(run_dir / log.NAME)[:done]
    if len(rows) < done:
        raise ResumeError(f"{run_dir / log.NAME}: expected the metrics of {done} epochs, got {len(rows)}")
    return Snapshot(rows, read["state"], read.get("kept", read["state"]))


def _check(run_dir: Path, plan: Plan, done: int, config: dict[str, Any]) -> None:
    if plan.dataset.preparation != data.read_preparation(run_dir / "preparation.json"):
        raise ResumeError(f"{plan.config.data.title}: has changed since the run began; train anew")
    then, now = dict(flat(config)), dict(flat(_table(plan)))
    changed = [key for key in then | now if then.get(key) != now.get(key) and key not in _MAY_DIFFER]
    if changed:
        raise ResumeError(
            f"{run_dir}: expected the config with which the run began, got another {', '.join(changed)}; only "
            "train.epochs and the place of the data may be changed"
        )
    if (epochs := plan.config.train.epochs) < done:
        raise ResumeError(f"{run_dir}: expected train.epochs of at least the {done} that are done, got {epochs}")


def _table(plan: Plan) -> dict[str, Any]:
    return tomllib.loads(dump(plan.config))


def _as_data(leaf: Array) -> Array:
    """An array as it is written: an optimizer that draws noise has a key in its state."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _from_data(like: jax.ShapeDtypeStruct, leaf: Array) -> Array:
    return jax.random.wrap_key_data(leaf) if _is_key(like) else leaf


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
