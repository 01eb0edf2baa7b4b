"""Strict JAX for all tests: ranks are never promoted, warnings are errors (pyproject), and there are two devices."""

import signal
import tempfile
from pathlib import Path

import jax
import pytest

TESTS = Path(__file__).parent

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)


# A suite in the background of a shell ignores these signals, and so would the runs that its tests interrupt.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


def pytest_configure(config):
    """What one test has compiled is not compiled again; each worker has a folder of its own, as JAX locks none."""
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    jax.config.update("jax_compilation_cache_dir", folder.name)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


# Values against a formula, a peer or another program of the same compiler, with the tolerances of float32 or of the
# narrow dtype. What reads compiled programs or compares bits of two programs is compiled as users compile it.
LIGHTLY_COMPILED = {
    *("export/test_keras", "export/test_onnx", "export/test_safetensors"),
    *("peers/test_dense", "peers/test_einsum", "peers/test_losses"),
    *("training/test_loss_scale", "training/test_losses", "training/test_metrics", "training/test_optimizer"),
    "test_laws",
}


# The files that take longest go first, so that no worker is alone with one at the end.
LONGEST = ("peers/test_dense", "test_laws", "cli/test_train", "benchmarks/test_benchmarks", "training/test_optimizer")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    order = {TESTS / f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(autouse=True, scope="module")
def compiler(request):
    """Compiling takes most of the suite's time: where the machine's code is not the subject, LLVM optimises nothing."""
    lightly = request.path in {TESTS / f"{name}.py" for name in LIGHTLY_COMPILED}
    if lightly:
        jax.clear_caches()
        jax.config.update("jax_disable_most_optimizations", True)
    yield
    if lightly:
        jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()


@pytest.fixture
def key():
    return jax.random.key(0)
