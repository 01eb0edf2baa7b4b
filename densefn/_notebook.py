"""The table that a notebook shows for a layer: the layers inside it and their parameters."""

import html
from collections.abc import Iterator
from typing import Any

import jax

from densefn import _page, param
from densefn.param import Param


def shown(layer: Any) -> str:
    """The table of a layer as HTML. A size that depends on the input is shown as the name of its axis, such as `in`.

    Args:
      layer: a `densefn.layer.Layer`.
    """
    rows = list(_rows(layer, "", 0))
    return _page.fragment(_page.table(("layer", "parameters"), rows))


def _rows(layer: Any, name: str, depth: int) -> Iterator[list[str]]:
    inner = layer.inner()
    label = html.escape(f"{name} {layer.label if inner else repr(layer)}".strip())
    leaves = [] if inner else jax.tree_util.tree_leaves_with_path(layer.declare())
    params = ", ".join(f"{param.name_of(path)} [{_sizes(leaf)}]" for path, leaf in leaves)
    yield [f"<td>{'&emsp;' * depth}<code>{label}</code></td>", _page.cell(params)]
    for each in inner:
        yield from _rows(each.layer, each.name or "", depth + 1)


def _sizes(p: Param) -> str:
    names = p.axes or ("N",) * len(p.shape)
    return ", ".join(name if n is None else str(n) for n, name in zip(p.shape, names, strict=True))
