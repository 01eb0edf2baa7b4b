"""Methods of equal layers are equal, and behave as methods in everything else."""

import inspect
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from densefn import Dense, Layer, Sequential
from densefn.layer import Output

traced = []


class Scaled(Layer):
    by: Any

    def declare(self, input_shape=None):
        return {}

    def forward(self, params, x):
        """Scales."""
        traced.append(self)
        return Output(self.by * x, jnp.zeros(()))

    def output_shape(self, input_shape):
        return tuple(input_shape)


@pytest.mark.parametrize("transform", [jax.jit, jax.checkpoint])
def test_methods_of_equal_layers_are_traced_once(transform):
    traced.clear()
    functions = [transform(layer.apply) for layer in (Sequential(Scaled(2.0)), Sequential(Scaled(2.0)))]
    assert [float(function({}, jnp.ones(()))) for function in functions] == [2.0, 2.0]
    assert len(traced) == 1


def test_methods_of_other_layers_and_other_methods_are_traced_themselves():
    traced.clear()
    scaled = [jax.jit(Scaled(by).apply) for by in (3.0, 4.0)]
    assert [float(function({}, jnp.ones(()))) for function in scaled] == [3.0, 4.0]
    assert jax.jit(Scaled(3.0).forward)({}, jnp.ones(())).value == 3.0
    assert len(traced) == 3


def test_a_layer_with_an_array_compares_by_identity():
    array = Scaled(np.ones(2))
    assert array.apply == array.apply
    assert array.apply != Scaled(np.ones(2)).apply
    assert jax.jit(array.apply)({}, jnp.ones(2)).tolist() == [1.0, 1.0]


def test_a_method_is_one_for_inspect_pickle_and_the_class():
    forward = Scaled(2.0).forward
    assert list(inspect.signature(forward).parameters) == ["params", "x"]
    assert inspect.getdoc(forward) == "Scales."
    assert inspect.getdoc(Scaled(2.0).output_shape) == inspect.getdoc(Layer.output_shape)
    assert (forward.__name__, forward.__qualname__) == ("forward", "Scaled.forward")
    assert inspect.isfunction(Scaled.forward)
    assert pickle.loads(pickle.dumps(Dense(3).apply)) == Dense(3).apply != Dense(4).apply
    assert repr(Dense(3).apply) == "<method Dense.apply of Dense(units=3)>"


def test_an_abstract_method_stays_one():
    with pytest.raises(TypeError, match="abstract"):
        Layer()  # pyright: ignore[reportAbstractUsage]
