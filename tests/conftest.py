"""Strict JAX for all tests: ranks are never promoted, warnings are errors (pyproject), and there are two devices."""

import functools
import gc
import importlib.metadata
import os
import signal
import tempfile
from pathlib import Path

# Compiling takes most of the suite's time, also in the processes that tests start, which have the same environment.
# XLA's older emitters compile small programs in half of it. jaxlib 0.12 has them no more, and ends at a flag that it
# does not know.
_OLDER = " --xla_cpu_use_fusion_emitters=false" if importlib.metadata.version("jaxlib").startswith("0.10.") else ""
os.environ["XLA_FLAGS"] = "--xla_cpu_parallel_codegen_split_count=1" + _OLDER
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"

import jax
import pytest

from densefn.report import plot
from densefn.training import diagnostics, loop
from densefn.training.optimizer import Optimizer

TESTS = Path(__file__).parent

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)  # a plugin of pytest may have imported JAX before


# A suite in the background of a shell ignores these signals, and so would the runs that its tests interrupt.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


def pytest_configure(config):
    """Shares compiled programs between tests. Each worker has a separate cache, as JAX does not lock it."""
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    jax.config.update("jax_compilation_cache_dir", folder.name)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)  # to write a smaller program costs as much
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def pytest_collection_finish():
    """The modules live as long as the suite: to look through them for garbage takes a tenth of its time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


# What reads compiled programs, and what trains for long, is compiled as users compile it.
AS_USERS_COMPILE = {"cli/test_paths", "test_compose", "test_explanation", "export/test_stablehlo"}


# The files that take longest go first, so that no worker is alone with one at the end.
LONGEST = ("peers/test_dense", "cli/test_train", "benchmarks/test_benchmarks", "training/test_optimizer")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    order = {TESTS / f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(autouse=True, scope="module")
def compiler(request):
    """Programs that are compiled in one way are not taken for those of the other."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path in {TESTS / f"{name}.py" for name in AS_USERS_COMPILE}:
            jax.clear_caches()
            patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "false")
            jax.config.update("jax_disable_most_optimizations", False)
        yield
    jax.config.update("jax_disable_most_optimizations", True)
    jax.clear_caches()


# The tests of these files pass under strict promotion of dtypes, and run under it.
STRICT = (
    *("test_bound", "test_checkpoint", "test_compose", "test_dense", "test_departures", "test_derivatives", "test_dot"),
    *("test_einsum", "test_forms", "test_group", "test_parts", "test_values", "test_wrong_kinds"),
    *("training/test_losses", "training/test_metrics", "training/test_pure"),
)


@pytest.fixture(autouse=True, scope="module")
def promotion_of_dtypes(request):
    is_strict = request.path in {TESTS / f"{name}.py" for name in STRICT}
    with jax.numpy_dtype_promotion("strict" if is_strict else "standard"):
        yield


@pytest.fixture(autouse=True, scope="module")
def programs():
    """The runs of a file that train the same model in the same way share what is traced and compiled for them."""
    with pytest.MonkeyPatch.context() as patch:
        optimizer = functools.cache(lambda config, _, make=Optimizer.make: make(config))
        evaluate = functools.cache(lambda m, loss, metrics, make=loop.make_evaluate: make(m, loss, dict(metrics)))
        # An optimizer that accumulates does so in float64 where JAX has it.
        patch.setattr(
            Optimizer,
            "make",
            lambda config, make=Optimizer.make, **numbers: (
                make(config, **numbers) if numbers else optimizer(config, jax.config.read("jax_enable_x64"))
            ),
        )
        patch.setattr(loop, "make_step", functools.cache(loop.make_step))
        patch.setattr(loop, "make_epoch", functools.cache(loop.make_epoch))
        patch.setattr(loop, "make_evaluate", lambda m, loss, metrics: evaluate(m, loss, tuple(metrics.items())))
        patch.setattr(diagnostics, "make_gradient_norms", functools.cache(diagnostics.make_gradient_norms))
        yield


@pytest.fixture(autouse=True, scope="session")
def pictures():
    """Drawing takes longer than a small training: one picture stands for all, but for tests that use `drawn`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot, "_saved", lambda *given, **_: _picture(given[1]))
        yield


_draw = plot._saved


@functools.cache
def _picture(form):
    return _draw([plot.curves("a picture", {})], form)


@pytest.fixture
def drawn(monkeypatch):
    """Pictures are drawn."""
    monkeypatch.setattr(plot, "_saved", _draw)


@pytest.fixture
def key():
    return jax.random.key(0)
