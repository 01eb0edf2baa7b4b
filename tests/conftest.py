"""Strict JAX for all tests: ranks are never promoted, warnings are errors (pyproject), and there are two devices."""

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)


@pytest.fixture
def key():
    return jax.random.key(0)
