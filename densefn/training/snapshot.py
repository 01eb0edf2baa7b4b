"""Saves the state of a run, and reads it to resume with the bits of an uninterrupted run.

`state.safetensors` in the folder of a run holds the state after an epoch, and the state whose model is kept. The
metrics of the epochs up to then are in `metrics.jsonl`. The order of the rows is not stored: it depends only on the
seed and the number of the epoch.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from densefn import _archive, _disk, data
from densefn._archive import Archive
from densefn.training import environment, folder, metrics_file
from densefn.training.config import dump, flatten
from densefn.training.folder import Folder
from densefn.training.loop import Plan, Snapshot, initial_state

_MAY_DIFFER = {"train.epochs", "data.path", "data.target", "data.validation"}
"""Keys that may change before a run is resumed. Files of data may move: their content is compared, by fingerprint."""


class ResumeError(ValueError):
    """A run cannot be resumed."""


def facts(plan: Plan) -> dict[str, Any]:
    """The fingerprint of the data and the environment, for the manifest."""
    return {"data": plan.dataset.fingerprint, **environment.read()}


def begin(run_dir: Path, plan: Plan) -> Folder:
    """Writes the files of a run before its first epoch. The config is first: with it alone, the run can begin again."""
    config = dump(plan.config).encode()
    _disk.replace(run_dir / folder.CONFIG, config)
    run = Folder(run_dir, facts(plan), {folder.CONFIG: folder.entry(config)})
    preparation = json.dumps(plan.dataset.preparation.to_table()).encode()
    notes = json.dumps(plan.dataset.notes).encode()
    run.replace({folder.PREPARATION: preparation, folder.NOTES: notes, folder.METRICS: b""})
    return run


def save(run: Folder, plan: Plan, snapshot: Snapshot) -> None:
    """Replaces the saved state of a run. The rows of metrics are in the folder already."""
    run.replace({folder.STATE: pack(plan, snapshot)}, {folder.METRICS: metrics_file.lines(snapshot.rows).encode()})


def pack(plan: Plan, snapshot: Snapshot) -> bytes:
    """The bytes of the state file."""
    states = {"state": snapshot.state} | ({} if snapshot.kept is snapshot.state else {"kept": snapshot.kept})
    description = {"epoch": len(snapshot.rows), "states": list(states), "config": _table(plan)}
    return _archive.pack(description, jax.tree.map(_as_data, states))


def reopen(run_dir: Path, plan: Plan, warn: Callable[[str], Any]) -> tuple[Folder, Snapshot] | None:
    """Reads the state of a run, and prepares its folder to resume.

    Args:
      run_dir: the run's folder, locked.
      plan: the plan of its config, in which the number of epochs and the paths of the data may have changed.
      warn: is called with a message if versions have changed, which may change roundings.

    Returns:
      The folder and the snapshot; None for a run that was killed before its first save.

    Raises:
      ResumeError: names what was changed since the run began.
      ValueError: names the file that is missing or not whole.
    """
    if _is_new(run_dir):
        return None
    manifest, files = folder.check(run_dir, folder.PREPARATION, folder.METRICS, folder.STATE)
    path = run_dir / folder.listed_name(folder.STATE, files)
    done, states, config = _described(path)
    _check(run_dir, plan, done, config)
    _check_facts(run_dir, plan, manifest.facts, warn)
    first = jax.eval_shape(lambda: initial_state(plan))
    with _opened(path) as file:
        read = file.read(jax.eval_shape(lambda tree: jax.tree.map(_as_data, tree), dict.fromkeys(states, first)))
    read = {name: jax.tree.map(_from_data, first, state) for name, state in read.items()}
    rows = metrics_file.read(run_dir / folder.METRICS)[:done]
    if len(rows) < done:
        raise ResumeError(f"{run_dir / folder.METRICS}: expected the metrics of {done} epochs, got {len(rows)}")
    snapshot = Snapshot(rows, read["state"], read.get("kept", read["state"]))
    run = Folder(run_dir, facts(plan), folder.known_files(run_dir, manifest, files))
    texts = {folder.CONFIG: dump(plan.config).encode(), folder.METRICS: metrics_file.lines(rows).encode()}
    run.replace({folder.STATE: pack(plan, snapshot), **texts})
    return run, snapshot


def _is_new(run_dir: Path) -> bool:
    """Whether a run was killed before its first save."""
    if (run_dir / folder.MANIFEST).exists():
        _, files = folder.check(run_dir, folder.CONFIG, optional=[folder.PREPARATION, folder.STATE])
        return folder.listed_name(folder.STATE, files) not in files
    return not any(_archive.in_folder(run_dir, name).exists() for name in (folder.STATE, folder.MODEL))


def _opened(path: Path) -> AbstractContextManager[Archive]:
    return _archive.opened(path, "the state of a run after an epoch")


def _described(path: Path) -> tuple[int, list[str], dict[str, Any]]:
    with _opened(path) as file:
        said = file.describe("epoch", "states", "config")
        done, states, config = said["epoch"], said["states"], said["config"]
        is_state = type(done) is int and done > 0 and type(config) is dict
        if not is_state or states not in (["state"], ["state", "kept"]):
            raise ValueError("its description is not that of a state")
    return done, states, config


def _check_facts(run_dir: Path, plan: Plan, then: Mapping[str, Any], warn: Callable[[str], Any]) -> None:
    if then["data"] != plan.dataset.fingerprint:
        raise ResumeError(f"{plan.config.data.title}: has changed since the run began; train anew")
    settings, versions = environment.differences(then)
    if settings:
        raise ResumeError(f"{run_dir}: expected JAX's settings as they were, got {', '.join(settings)}")
    if versions:
        warn(f"{run_dir}: the run may continue with other roundings than it began with: {', '.join(versions)}")


def _check(run_dir: Path, plan: Plan, done: int, config: dict[str, Any]) -> None:
    if plan.dataset.preparation != data.read_preparation(run_dir / folder.PREPARATION):
        raise ResumeError(f"{plan.config.data.title}: has changed since the run began; train anew")
    then, now = dict(flatten(config)), dict(flatten(_table(plan)))
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
    """An array that a file can hold: the state of an optimizer that draws noise has a key, which becomes integers."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _from_data(like: jax.ShapeDtypeStruct, leaf: Array) -> Array:
    return jax.random.wrap_key_data(leaf) if _is_key(like) else leaf


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
