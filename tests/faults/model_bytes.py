"""Each byte of a model file changed: the same model, or a refusal."""

import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import densefn
from densefn import checkpoint
from tests.faults.mutation import flipped
from tests.faults.outcomes import Outcome, Verdict
from tests.faults.trial import Place

SHARE = 300
FULL = 6000
"""A change of one byte of a model file, at places spread over the whole file."""


class Case(NamedTuple):
    """Which byte, counted around the file, and the bits that are turned."""

    title: str
    at: int
    mask: int


class Made(NamedTuple):
    """The file, and what it holds."""

    content: bytes
    layer: densefn.Layer
    arrays: list[np.ndarray]


def cases(rng: random.Random) -> Iterator[Case]:
    for at in count():
        mask = 1 << rng.randrange(8) if rng.random() < 0.5 else rng.randrange(1, 256)
        yield Case(f"byte {at} ^ {mask:#04x}", at, mask)


def prepare(place: Place) -> Made:
    layer = densefn.Sequential(densefn.Dense(3, "relu", kernel_regularizer="l2"), densefn.Dense(2, dtype="bfloat16"))
    params = layer.init(jax.random.key(0), (None, 2))
    path = place.folder / "model.safetensors"
    checkpoint.save(path, layer, params, (None, 2))
    return Made(path.read_bytes(), layer, _arrays(params))


def judge(case: Case, place: Place) -> Verdict:
    made, path = place.made, place.folder / "changed.safetensors"
    path.write_bytes(flipped(made.content, stride(case.at, len(made.content)), case.mask))
    try:
        layer, params = densefn.load(path)
    except ValueError as error:
        return _refused(error, path)
    except Exception as error:
        return Verdict(Outcome.TRACEBACK, repr(error)[:300])
    same = layer == made.layer and len(arrays := _arrays(params)) == len(made.arrays)
    same = same and all(a.tobytes() == b.tobytes() for a, b in zip(arrays, made.arrays, strict=True))
    return Verdict(Outcome.RIGHT) if same else Verdict(Outcome.WRONG, "another model, silently")


def stride(number: int, length: int) -> int:
    """A place for a number, such that the first few are spread and as many as there are bytes take all."""
    step = next(step for step in range(length // 7 + 1, length) if np.gcd(step, length) == 1)
    return number * step % length


def _refused(error: ValueError, path: Path) -> Verdict:
    named = str(path) in str(error) and len(str(error)) > len(str(path)) + 10
    return Verdict(Outcome.REFUSED if named else Outcome.WRONG, str(error)[:300])


def _arrays(params: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
