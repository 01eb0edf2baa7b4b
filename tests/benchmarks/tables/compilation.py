"""How long it takes to trace and compile the gradient of a deep model, and how that grows with its depth."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from densefn import Dense, Repeat, Sequential
from densefn.layer import Params
from tests.benchmarks.clock import Case, Measurement, medians, once
from tests.benchmarks.network import Network
from tests.benchmarks.peers import plain
from tests.benchmarks.record import Settings, Table, compared

WIDTH, ROWS = 64, 8
_Apply = Callable[[Params, jax.Array], jax.Array]


def table(settings: Settings) -> Table:
    """Seconds from a function to its executable."""
    depths = (4, 16) if settings.quick else (4, 16, 64, 256)
    effort = settings.effort._replace(rounds=2 if settings.quick else 5)
    measurements = {
        Case(f"depth {depth}", "float32", name): _compiling(*make(depth))
        for depth in depths
        for name, make in {"Sequential": _sequential, "Repeat": _repeat, "plain": _plain}.items()
    }
    for case, compiling in measurements.items():
        if case.work == "depth 4":
            compiling()  # what JAX traces once in a process
    return Table(
        "compilation",
        f"Tracing and compiling the gradient of Dense layers of width {WIDTH}",
        "seconds",
        "depth 4",
        compared(medians(measurements, effort), reference=lambda case: case._replace(work="depth 4")),
        "Sequential and plain JAX are unrolled; Repeat is a scan.",
    )


def _compiling(apply: _Apply, params: Params) -> Measurement:
    """Each call compiles a new function, which is in no cache of JAX."""
    x = jax.ShapeDtypeStruct((ROWS, WIDTH), jnp.float32)

    def compiling() -> float:
        gradient = jax.jit(jax.grad(lambda params, x: jnp.sum(apply(params, x))))
        return once(lambda: gradient.lower(params, x).compile())

    return compiling


def _sequential(depth: int) -> tuple[_Apply, Params]:
    return _densefn(Sequential([Dense(WIDTH, "relu")] * depth))


def _repeat(depth: int) -> tuple[_Apply, Params]:
    return _densefn(Repeat(Dense(WIDTH, "relu"), times=depth))


def _densefn(model: Sequential | Repeat) -> tuple[_Apply, Params]:
    return model.apply, jax.eval_shape(lambda: model.init(jax.random.key(0), (None, WIDTH)))


def _plain(depth: int) -> tuple[_Apply, Params]:
    built = plain.build(Network((WIDTH,) * (depth + 1), ROWS))
    return built.apply, jax.eval_shape(lambda: built.draw(jax.random.key(0)))
