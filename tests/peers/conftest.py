"""Other libraries' code runs beside ours: Keras on its JAX backend, all with the rank promotion that they need."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import pytest


@pytest.fixture(autouse=True)
def promotion():
    with jax.numpy_rank_promotion("allow"):
        yield
