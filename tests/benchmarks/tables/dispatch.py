"""What a call costs when there is next to nothing to compute."""

from collections.abc import Iterable
from dataclasses import replace

import jax
from jax import Array

from densefn.layer import Params
from tests.benchmarks.clock import Case, Work, burst, medians
from tests.benchmarks.network import Network
from tests.benchmarks.peers import build
from tests.benchmarks.record import Settings, Table, compared

WIDTH, ROWS = 16, 8
BY_HAND = "by hand on densefn's parameters"


def table(settings: Settings) -> Table:
    """Seconds of a compiled call."""
    measurements = {
        Case(_depth(layers), "float32", name): burst(work, settings.effort)
        for layers in (1, 2 if settings.quick else 10)
        for name, work in _works(Network((WIDTH,) * (layers + 1), ROWS), settings.peers).items()
    }
    return Table(
        "dispatch",
        f"A compiled call of a model of width {WIDTH}, batch {ROWS}",
        "seconds",
        "plain JAX",
        compared(medians(measurements, settings.effort)),
        "jax.jit, but eqx.filter_jit for Equinox; NNX is split once, outside; PyTorch is eager. Plain JAX keeps a list "
        "of pairs, densefn a dict of dicts: what that costs shows the same dict given to a function written by hand.",
    )


def _works(network: Network, peers: Iterable[str]) -> dict[str, Work]:
    return {peer: build(peer, network).forward() for peer in peers} | {BY_HAND: _by_hand(network)}


def _by_hand(network: Network) -> Work:
    names = [str(index) for index in range(len(network.layers))]

    def apply(params: Params, x: Array) -> Array:
        for name in names[:-1]:
            x = jax.nn.relu(x @ params[name]["kernel"] + params[name]["bias"])
        return x @ params[names[-1]]["kernel"] + params[names[-1]]["bias"]

    return replace(build("densefn", network), apply=apply).forward()


def _depth(layers: int) -> str:
    return "1 layer" if layers == 1 else f"{layers} layers"
