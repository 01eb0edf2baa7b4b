"""What the README's table says of other libraries."""

import inspect

import equinox
import keras
from flax import nnx


def arguments(function):
    return " ".join(inspect.signature(function).parameters)


def test_flax_nnx():
    assert all(hasattr(nnx, name) for name in ("Einsum", "LinearGeneral", "LoRALinear", "scan"))
    assert "kernel_init" in arguments(nnx.Linear.__init__)
    assert not {"activation", "regularizer", "constraint"} & set(
        arguments(nnx.Linear.__init__).replace("_", " ").split()
    )


def test_equinox():
    assert hasattr(equinox, "tree_serialise_leaves")
    assert arguments(equinox.nn.Linear) == "in_features out_features use_bias dtype key"


def test_keras():
    assert hasattr(keras.layers.Dense, "enable_lora")
    assert hasattr(keras.layers, "EinsumDense")
    assert '"onnx"' in keras.Model.export.__doc__
    assert all(
        f"kernel_{part}" in arguments(keras.layers.Dense) for part in ("initializer", "regularizer", "constraint")
    )
