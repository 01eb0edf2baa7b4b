"""Layers to dicts and back: plain data for JSON, TOML and similar formats."""

from collections.abc import Mapping
from typing import Any

from densefn._registry import as_layer
from densefn.layer import Layer


def to_dict(layer: Layer) -> dict[str, Any]:
    """Describes a layer by strings, numbers, lists and dicts; `from_dict` is the inverse.

    Args:
      layer: a layer of this package or a registered one. Fields are under their names, the class under `"layer"`.

    Raises:
      TypeError: if a field holds a function, which has no name.

    >>> from densefn import Dense
    >>> to_dict(Dense(3))["units"]
    3
    >>> from_dict(to_dict(Dense(3, "relu")))
    Dense(units=3, activation='relu')
    """
    return layer.to_table()


def from_dict(description: Mapping[str, Any]) -> Layer:
    """Makes the layer that a dict describes.

    Args:
      description: as `to_dict` returns it. A missing field has its default; a missing `"layer"` means Dense.

    Raises:
      ValueError: lists all mistakes, each with its path.

    >>> from_dict({"layers": [{"units": 3}, {"units": 2, "kernel_regularizer": {"name": "L2", "l2": 0.1}}],
    ...            "layer": "Sequential"})
    Sequential(Dense(units=3), Dense(units=2, kernel_regularizer=L2(l2=0.1)))
    """
    if not isinstance(description, Mapping):
        raise TypeError(f"expected a dict that describes a layer, got {description!r}")
    try:
        return as_layer(description)
    except RecursionError:
        raise ValueError("expected layers that are nested less deeply: Python's recursion limit is reached") from None
