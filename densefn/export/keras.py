"""Exports to Keras: a `.keras` file with a functional model of Keras's own layers, which loads without densefn.

Only what affects the outputs is exported, so regularizers, constraints and initializers are not. A layer of mixed
precision gets Keras's policy of the same name. Under that policy Keras also rounds the product before bias and
activation.

Source: `keras/src/models/functional.py` of Keras 3.15.
"""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Keras's default backend is TensorFlow, which may not be installed. JAX is installed.
os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np

from densefn import forms, precision
from densefn._combinator import Around
from densefn.activations import Activation, AnyActivation, name_of
from densefn.compose import Residual, Sequential
from densefn.dense import Dense
from densefn.einsum import Einsum
from densefn.export.model import ExportError, Model, named
from densefn.function import Function
from densefn.group import Group
from densefn.layer import Layer, Params, Shape


def write(model: Model, path: Path) -> None:
    """Writes a model to a file.

    Raises:
      ExportError: if Keras cannot express a layer.
    """
    x = z = keras.Input(batch_shape=model.input_shape, dtype=model.dtype.name, name="x")
    if model.inputs:
        mean, scale = model.inputs.arrays(model.dtype)
        z = keras.ops.divide(keras.ops.subtract(x, mean), scale)
    y = named(_applied(model.layer, model.params, z, (), {}))
    y = jax.tree.map(lambda y: keras.ops.cast(y, model.dtype.name), y)
    if model.outputs:
        mean, scale = model.outputs.arrays(model.dtype)
        y = keras.ops.add(keras.ops.multiply(y, scale), mean)
    keras.Model(x, y).save(path)


def read(path: Path) -> Callable[[np.ndarray], Any]:
    """Reads a file as a function of rows."""
    model: Any = keras.models.load_model(path)
    return lambda x: jax.tree.map(lambda y: np.asarray(keras.ops.convert_to_numpy(y)), model(x))


def _applied(layer: Layer, params: Params, x: Any, path: tuple[str, ...], layers: dict[str, Any]) -> Any:
    """Applies a layer to a symbolic tensor of Keras.

    Args:
      layer: the layer.
      params: its parameters.
      x: the symbolic input.
      path: the path of its parameters in the model's.
      layers: Keras's layers so far, by name. A layer that is applied twice shares its variables.
    """
    name = "_".join((type(layer).__name__.lower(), *path))
    match layer:
        case Residual():
            y = _applied(layer.body, params, x, path, layers)
            return keras.layers.Add(dtype=keras.backend.result_type(x.dtype, y.dtype))([x, y])
        case Sequential() | Around():
            for key, times, inner, _ in layer.inner():
                below = params if key is None else params.get(key, {})
                at = path if key is None else (*path, key)
                for i in range(times or 1):
                    one, place = (below, at) if times is None else (_taken(below, i), (*at, str(i)))
                    x = _applied(inner, one, x, place, layers)
            return x
        case Group():
            return _grouped(layer, params, x, path, layers)
    try:
        match layer:
            case Dense():
                made: Any = keras.layers.Dense(layer.units, use_bias=layer.use_bias, **_common(layer, name))
            case Einsum():
                made = _einsum(layer, tuple(x.shape), name)
            case Function():
                return _activated(layer.function, x)
            case _:
                raise TypeError("Keras has no such layer")
        made = layers.setdefault(name, made)
        y = made(x)
        kernel = forms.get(layer.kernel_form).materialize(params, layer.kernel_axes)
        stored = [kernel, params["bias"]] if layer.use_bias else [kernel]
        for variable, w in zip(made.weights, stored, strict=True):
            variable.assign(np.asarray(w, np.promote_types(w.dtype, np.float32)).reshape(variable.shape))
        return y if _has(layer.activation) else _activated(layer.activation, y)
    except (TypeError, ValueError) as error:
        raise ExportError(f"Keras cannot express {layer!r}{_place(path)}: {error}") from None


def _grouped(layer: Group, params: Params, x: Any, path: tuple[str, ...], layers: dict[str, Any]) -> Any:
    """Calls a group's `run` with parts that apply Keras's layers."""

    def part(name: str, inner: Layer) -> Callable[[Any], Any]:
        return lambda x: _applied(inner, params.get(name, {}), x, (*path, name), layers)

    try:
        return layer.run(SimpleNamespace(**{name: part(name, inner) for name, inner in layer.parts.items()}), x)
    except ExportError:
        raise
    except (AttributeError, TypeError, ValueError) as error:
        what = f"run of {type(layer).__name__}{_place(path)}, which computes with more than its parts"
        parts = ", ".join(layer.parts)
        raise ExportError(f"Keras cannot express the {what} ({error}); export a part by itself: {parts}") from None


def _taken(params: Params, index: int) -> Params:
    """The parameters of one repetition."""
    return jax.tree.map(lambda w: w[index], params)


def _place(path: tuple[str, ...]) -> str:
    return f" at {'/'.join(path)!r}" if path else ""


def _einsum(layer: Einsum, shape: Shape, name: str) -> Any:
    """The `EinsumDense` of the same equation, with a letter for each axis. The first axis is Keras's batch."""
    equation, axes = layer.axes(shape)
    chosen = equation.kernel if layer.bias_axes is None else layer.bias_axes
    bias_axes = "".join(axis for axis in equation.y if axis in chosen) if layer.use_bias else None
    sizes = tuple(axes[axis] for axis in equation.y[1:])
    return keras.layers.EinsumDense(str(equation), sizes, bias_axes=bias_axes, **_common(layer, name))


def _common(layer: Dense | Einsum, name: str) -> dict[str, Any]:
    """The arguments that `Dense` and `EinsumDense` have in common."""
    policy = next((name for name, policy in precision.NAMES.items() if policy == layer.policy), None)
    if policy is None:
        raise ValueError(f"expected a policy that has a name in Keras, got {layer.policy!r}")
    return {"name": name, "dtype": policy, "activation": layer.activation if _has(layer.activation) else None}


def _has(activation: AnyActivation | None) -> bool:
    """Whether a Keras layer has this activation with the same values and the right output shape.

    With glu, the output is half as wide as the `units` that `keras.layers.Dense` reports. Keras's sparsemax has other
    values.
    """
    return activation is None or (isinstance(activation, str) and activation not in ("glu", "sparsemax"))


def _activated(activation: AnyActivation | None, x: Any) -> Any:
    """Applies an activation as a Keras layer, or as an operation."""
    if isinstance(activation, str) and _has(activation):
        return keras.layers.Activation(activation, dtype=x.dtype)(x)
    name = name_of(activation)
    if name is None:
        raise TypeError("a user's function has no name in Keras")
    if name == "sparsemax":
        raise ValueError("Keras's sparsemax is a different function, whose values do not sum to 1")
    arguments = activation.arguments if isinstance(activation, Activation) else ()
    return keras.activations.get(name)(x, **dict(arguments))
