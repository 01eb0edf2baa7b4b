"""Keras runs on its JAX backend, with the promotion of ranks that it needs."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import pytest


@pytest.fixture(autouse=True)
def promotion():
    with jax.numpy_rank_promotion("allow"):
        yield
