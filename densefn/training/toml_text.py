"""TOML as text: the line of a path, and the value that is written behind `--set`."""

import re
import tomllib
from bisect import bisect_left
from functools import lru_cache
from typing import Any

KeyPath = tuple[str | int, ...]

_SHORT_NUMBER = r"[-+]?(\.\d+|\d+\.)([eE][-+]?\d+)?"


def line_of(text: str, path: KeyPath) -> int:
    """The line on which a path stands in a TOML text; of a path that is not there, the nearest one above it."""
    table = parsed(text)
    while not _exists(table, path):
        path = path[:-1]
    if not path:
        return 1
    lines, statements = text.split("\n"), _statements(text)

    def reaches(statement: tuple[int, int]) -> bool:
        return _exists(_parsed_until(text, statement[1]), path)

    start, end = statements[bisect_left(statements, True, key=reaches)]
    key = re.compile(rf"\b{re.escape(str(path[-1]))}\b\s*=")
    inside = [number for number in range(start, end) if key.search(lines[number])]
    return (inside[0] if len(inside) == 1 else start) + 1


@lru_cache(maxsize=1)
def _statements(text: str) -> list[tuple[int, int]]:
    """The lines at which each statement of a TOML text begins and ends; each is TOML by itself."""
    lines, statements, start = text.split("\n"), [], 0
    for end in range(1, len(lines) + 1):
        try:
            parsed("\n".join(lines[start:end]))
        except tomllib.TOMLDecodeError:  # the middle of a statement of several lines
            continue
        statements.append((start, end))
        start = end
    return statements


@lru_cache(maxsize=1024)
def _parsed_until(text: str, end: int) -> dict[str, Any]:
    return parsed("\n".join(text.split("\n")[:end]))


def parsed(text: str) -> dict[str, Any]:
    """The table of a TOML text; whatever Python's parser raises is a `TOMLDecodeError`."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise tomllib.TOMLDecodeError("lists or tables are nested too deep") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        raise tomllib.TOMLDecodeError(str(error).partition(";")[0]) from None


def _exists(table: Any, path: KeyPath) -> bool:
    for part in path:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def value_of(text: str) -> Any:
    """A value of TOML; else a number such as `.5`; else, without signs of another value that is broken, a string."""
    if re.fullmatch(r"[A-Za-z_~./][\w~./-]*", text) and text not in ("true", "false", "inf", "nan"):
        return float(text) if re.fullmatch(_SHORT_NUMBER, text) else text
    try:
        table = parsed(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if re.fullmatch(_SHORT_NUMBER, text):
            return float(text)
        if not text or text[0] in "\"'[{" or re.fullmatch(r"[-+\d_]+", text) or not text.isprintable():
            raise tomllib.TOMLDecodeError(f"{error}; a string is safe in quotes") from None
        return text
    if list(table) != ["value"]:
        raise tomllib.TOMLDecodeError("more than one value")
    return table["value"]
