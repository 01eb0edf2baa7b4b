"""The section [data]: its table decides which kind of rows it is about, and so which keys it has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from densefn._values import Problem, TableError, build
from densefn.data import bundled, files
from densefn.data.by_name import NAMED, Bundled
from densefn.data.by_path import ArrayFile, TableFile
from densefn.data.section import Data


def as_data(given: Any) -> Data:
    """A section [data], or its table.

    Raises:
      TableError: with all mistakes of the table.
    """
    if isinstance(given, Data):
        return given
    if not isinstance(given, Mapping):
        raise TypeError(f"expected a table of Data's fields, got {given!r}")
    name, path = given.get("name"), given.get("path")
    if isinstance(name, str) and name in NAMED:
        return build(NAMED[name], {key: item for key, item in given.items() if key != "name"})
    if "name" in given and "path" in given:
        raise TableError([Problem(("path",), f"expected either a name or a path, got both {name!r} and {path!r}")])
    if "path" in given:
        is_table = isinstance(path, str) and not files.is_array(path)
        return build(TableFile if is_table else ArrayFile, given)
    if "name" not in given:
        known = ", ".join((*bundled.SOURCES, *NAMED))
        raise TableError([Problem((), f"missing key 'name' of a data set ({known}), or 'path' of a file")])
    return build(Bundled, given)


def with_absolute_paths(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The table of a section [data] with its paths, which are relative to a folder, made absolute."""
    keys = {"path", "validation"} | ({"target"} if str(table.get("target")).endswith(".npy") else set())
    paths = {key: item for key, item in table.items() if key in keys and isinstance(item, str)}
    return {**table, **{key: str((folder / Path(item).expanduser()).absolute()) for key, item in paths.items()}}
