"""Diagnostics of a model: gradient norms, layer outputs, and histograms of weights and outputs."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from densefn._combinator import Around
from densefn.compose import Sequential
from densefn.data import Rows
from densefn.layer import Layer, Params
from densefn.param import name_of
from densefn.partition import partition
from densefn.precision import widen
from densefn.training import loss_scale
from densefn.training.step import Measure, State, make_objective

MOST_BINS = 40


def make_gradient_norms(model: Layer, loss: Measure) -> Callable[[State, Rows], dict[str, Array]]:
    """Makes `norms(state, rows) -> {path: norm}`, for the gradient of the loss with penalties.

    A norm is Euclidean, over all entries of a parameter's gradient, before the optimizer clips or scales it.
    """
    objective = make_objective(model, loss)

    def norms(state: State, rows: Rows) -> dict[str, Array]:
        _, gradient = loss_scale.value_and_grad(objective, state.loss_scale)(*partition(model, state.params), rows)
        leaves = jax.tree_util.tree_leaves_with_path(gradient)
        return {name_of(path): _norm(widen(leaf)) for path, leaf in leaves}

    return norms


def _norm(array: Array) -> Array:
    """The Euclidean norm, which stays finite in float32 although the squares of 1e20 overflow there."""
    largest = jnp.max(jnp.abs(array), initial=0)
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    return scale * jnp.linalg.norm((array / scale).ravel())


def outputs(layer: Layer, params: Params, x: Array) -> dict[str, Array]:
    """The outputs of the layers in a model, by path, in the order of their computation.

    Paths are those of the parameters. A combinator of one layer, such as `Residual`, adds no name: the result has the
    output of the layer in it, not its own. Outputs in a `Repeat` are stacked, `[times, ...]`. The output of a model of
    one layer has the path "".

    >>> from densefn import Dense, Sequential
    >>> model = Sequential(Dense(2), "relu")
    >>> {path: y.shape for path, y in outputs(model, model.init(jax.random.key(0), (3,)), jnp.ones((4, 3))).items()}
    {'0': (4, 2), '1': (4, 2)}
    """
    return dict(_walk(layer, params, x, ""))


def _walk(layer: Layer, params: Params, x: Array, path: str) -> Iterator[tuple[str, Array]]:
    if not isinstance(layer, Sequential | Around):
        yield path, layer.apply(params, x)
        return
    for name, times, inner, _ in layer.inner():
        below = params if name is None else params.get(name, {})
        place = path if name is None else f"{path}/{name}".removeprefix("/")
        if times is None:
            yield from _walk(inner, below, x, place)
            x = inner.apply(below, x)
        else:
            x, stacked = _repeated(inner, times, below, x, place)
            yield from stacked.items()


def _repeated(body: Layer, times: int, params: Params, x: Array, path: str) -> tuple[Array, dict[str, Array]]:
    """The last output of a repeated layer, and the outputs of the layers in it, stacked."""

    def one(x: Array, params: Params) -> tuple[Array, dict[str, Array]]:
        return body.apply(params, x).astype(x.dtype), dict(_walk(body, params, x, path))

    first = jax.tree.map(lambda w: w[0], params)
    dtype = jax.eval_shape(body.apply, first, x).dtype
    return lax.scan(one, x.astype(dtype), params, length=times)


def histogram(values: Any) -> dict[str, list[float]] | None:
    """Counts the values of an array in bins of equal width, from the smallest to the largest value.

    The number of bins for `n` values is `2 * n ** (1 / 3)` (Rice's rule), and at most 40.

    Returns:
      The `counts` of the bins, and their `edges`, of which there is one more. Values that are not finite are not
      counted. None if no value is finite.

    >>> histogram([0.0, 1.0, float("nan")])
    {'edges': [0.0, 0.3333333333333333, 0.6666666666666666, 1.0], 'counts': [1, 0, 1]}
    """
    flat = np.asarray(values).astype(np.float64).ravel()
    finite = flat[np.isfinite(flat)]
    if not len(finite):
        return None
    edges = _edges(float(finite.min()), float(finite.max()), min(MOST_BINS, math.ceil(2 * len(finite) ** (1 / 3))))
    counts, _ = np.histogram(finite, edges)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _edges(least: float, largest: float, bins: int) -> np.ndarray:
    """The edges of bins of equal width; fewer bins if float64 has too few numbers in between.

    `numpy.histogram` fails if the range overflows (from -1e308 to 1e308), or if the width of a bin is 0 (from 1e26 to
    the next float64).
    """
    if least == largest:
        half = max(0.5, abs(least) * 2.0**-52)
        top = np.finfo(np.float64).max
        least, largest = max(least - half, -top), min(largest + half, top)
    # A quarter of the range does not overflow; dividing by 4 is exact.
    scale = 4.0 if max(-least, largest) > 1e300 else 1.0
    return np.unique(np.linspace(least / scale, largest / scale, bins + 1) * scale)


def arrays(model: Layer, params: Params, x: Array) -> dict[str, dict[str, Any]]:
    """The parameters (`weights`) and the layers' outputs for some rows (`outputs`), each by path."""
    weights = {name_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    values = jax.jit(lambda params, x: outputs(model, params, x))(params, x)
    return jax.device_get({"weights": weights, "outputs": {path or "model": y for path, y in values.items()}})
