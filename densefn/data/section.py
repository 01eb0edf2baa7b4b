"""The section [data] of a config: its `name` or `path` decides which source it describes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from densefn._values import Problem, TableError, build, checks
from densefn.data import files
from densefn.data.source import NAMES, Source
from densefn.data.sources.array_file import ArrayFile
from densefn.data.sources.scikit_learn import Bundled
from densefn.data.sources.table_file import TableFile


def as_source(given: Any) -> Source:
    """A source, or the section [data] that describes one.

    Raises:
      TableError: with all mistakes of the section.
    """
    if isinstance(given, Source):
        return given
    if not isinstance(given, Mapping):
        raise TypeError(f"expected a table with a name or a path, got {given!r}")
    name, path = given.get("name"), given.get("path")
    if "name" not in given and "path" not in given:
        raise TableError([Problem((), f"missing key 'name' of a data set ({', '.join(NAMES)}), or 'path' of a file")])
    if "name" not in given:
        is_table = isinstance(path, str) and not files.is_array(path)
        return build(TableFile if is_table else ArrayFile, given)
    cls = (
        NAMES.get(name, Bundled) if isinstance(name, str) else Bundled
    )  # `Bundled` raises the error for an unknown name
    if "path" in given and "path" not in checks(cls):
        raise TableError([Problem(("path",), f"expected either a name or a path, got both {name!r} and {path!r}")])
    return build(cls, {key: item for key, item in given.items() if key != "name" or key in checks(cls)})


def with_absolute_paths(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A section [data] whose relative paths are made absolute.

    Args:
      table: the section.
      folder: what the paths in it are relative to.

    Returns:
      The section with absolute paths.

    >>> with_absolute_paths({"path": "houses.csv", "target": "price"}, Path("/data"))
    {'path': '/data/houses.csv', 'target': 'price'}
    """
    keys = {"path", "validation"} | ({"target"} if str(table.get("target")).endswith(".npy") else set())
    paths = {key: item for key, item in table.items() if key in keys and isinstance(item, str)}
    return {**table, **{key: str((folder / Path(item).expanduser()).absolute()) for key, item in paths.items()}}
