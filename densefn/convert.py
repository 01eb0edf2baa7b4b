"""Converts parameters from one form of kernel to another: adds or merges an adapter, for example."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
from jax import Array

from densefn import forms, param
from densefn._errors import LayerValueError
from densefn.dense import Dense
from densefn.einsum import Einsum
from densefn.layer import Layer, Params
from densefn.walk import Place, walk


def convert(params: Params, layer: Layer, new_layer: Layer, key: Array | None = None) -> dict[str, Any]:
    """Converts the parameters of a layer to those of a layer that differs only in the forms of its kernels.

    Each kernel is materialized from its old form and decomposed into the new one. The parameters of equal layers do not
    change. `Frozen` and its body have the same parameters.

    Args:
      params: the parameters of `layer`.
      layer: a layer or a model.
      new_layer: the same layer with other forms.
      key: draws the leaves that the kernel does not determine, such as `lora_kernel_a`, with the values of
        `new_layer.init(key, ...)`.

    Returns:
      The parameters of `new_layer`.

    Raises:
      ValueError: if the layers differ in more than their forms, or if a key is needed and is None.

    An adapter is added to a trained layer, and merged after its training:

    >>> from densefn import Dense
    >>> layer, adapted = Dense(4), Dense(4, kernel_form=forms.LowRank(2))
    >>> params = layer.init(jax.random.key(0), (None, 3))
    >>> adapter = convert(params, layer, adapted, key=jax.random.key(1))
    >>> sorted(adapter)
    ['bias', 'kernel', 'lora_kernel_a', 'lora_kernel_b']
    >>> sorted(convert(adapter, adapted, layer))
    ['bias', 'kernel']
    """
    old, new = _leaves(layer), _leaves(new_layer)
    if [place.path for place in old] != [place.path for place in new]:
        raise LayerValueError(new_layer, f"expected the layers of {layer!r}, in other forms")
    converted: dict[str, Any] = {}
    for here, there in zip(old, new, strict=True):
        leaves = _converted(_at(params, here.path), here, there, key)
        if not there.path:
            return leaves
        if leaves:
            inner = converted
            for name in there.path[:-1]:
                inner = inner.setdefault(name, {})
            inner[there.path[-1]] = leaves
    return converted


def _leaves(layer: Layer) -> list[Place]:
    return [place for place in walk(layer) if not list(place.layer.inner(None))]


def _at(params: Params, path: tuple[str, ...]) -> Any:
    for name in path:
        params = params.get(name, {})
    return params


def _converted(params: Mapping[str, Array], here: Place, there: Place, key: Any) -> dict[str, Any]:
    layer: Any = here.layer
    new_layer: Any = there.layer
    if layer == new_layer and here.stack == there.stack:
        return dict(params)
    if here.stack != there.stack or not _differ_in_form(layer, new_layer):
        raise LayerValueError(new_layer, f"expected {layer!r} with another kernel_form", there.path)
    form, new_form, axes = forms.get(layer.kernel_form), forms.get(new_layer.kernel_form), layer.kernel_axes
    materialize, decompose = partial(form.materialize, axes=axes), partial(new_form.decompose, axes=axes)
    # A form is defined for one kernel, so the repetitions, along leading axes, are mapped over.
    for _ in here.stack:
        materialize, decompose = jax.vmap(materialize), jax.vmap(decompose)
    kernel = materialize(params)
    stored = decompose(kernel)
    plain = replace(new_layer, kernel_form=None).declare()["kernel"]
    declared = new_form.declare(replace(plain, shape=kernel.shape[len(here.stack) :]), axes)
    missing = {name: replace(p, stack=there.stack) for name, p in declared.items() if name not in stored}
    if missing and key is None:
        expected = f"expected a key from which to draw {', '.join(missing)}, got None; pass key=jax.random.key(0)"
        raise LayerValueError(new_layer, expected, there.path)
    drawn = {name: param.first("/".join((*there.path, name)), p, key) for name, p in missing.items()}
    return {**stored, **drawn, **{name: leaf for name, leaf in params.items() if name == "bias"}}


def _differ_in_form(layer: Any, new_layer: Any) -> bool:
    """Whether two layers are equal except for the form of the kernel."""
    kinds = isinstance(layer, Dense | Einsum) and isinstance(new_layer, Dense | Einsum)
    return kinds and replace(layer, kernel_form=None) == replace(new_layer, kernel_form=None)
