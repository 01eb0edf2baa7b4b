"""Finds the line of a key in a TOML text, and parses the values of `--set`.

`tomllib` does not say on which line a key is, so this module splits the text into tokens again. It does not check the
grammar: `tomllib` has accepted the text by then.
"""

import re
import tomllib
from functools import lru_cache
from itertools import count
from typing import Any

KeyPath = tuple[str | int, ...]

# Python's numbers without a digit before or after the point, which TOML does not allow.
_SHORT_NUMBER = r"[-+]?(\.\d+|\d+\.)([eE][-+]?\d+)?"

# Multi-line strings (their last characters may be two more quotes), strings, comments, punctuation, and bare text.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|'
    r"'''.*?'{3,5}|"
    r'"(?:\\.|[^"\\])*"|'
    r"'[^']*'|#[^\n]*|[\n\[\]{},=.]|[^\s\[\]{},=.\"'#]+",
    re.DOTALL,
)


def line_of(text: str, path: KeyPath) -> int:
    """The line of a path in a TOML text; for a path that is missing, the line of the nearest path above it."""
    lines = _lines(text)
    while path not in lines:
        path = path[:-1]
    return lines[path]


@lru_cache(maxsize=1)  # one message asks for the lines of many paths in one text
def _lines(text: str) -> dict[KeyPath, int]:
    """The line on which each path of a TOML text begins."""
    lines: dict[KeyPath, int] = {(): 1}
    last: dict[KeyPath, int] = {}  # the number of the last table in each array of tables
    tokens = _Tokens(text)
    table: KeyPath = ()
    while tokens.next:
        if tokens.skipped("\n"):
            continue
        if tokens.next != "[":
            _pair(tokens, table, lines)
            continue
        is_array = tokens.skipped("[") == 2
        table, keys = (), _keys(tokens)
        for i, key in enumerate(keys):
            table = (*table, key)
            lines.setdefault(table, tokens.line)
            if is_array and i == len(keys) - 1:
                last[table] = last.get(table, -1) + 1
            if table in last:
                table = (*table, last[table])
                lines.setdefault(table, tokens.line)
        tokens.skipped("]")
    return lines


class _Tokens:
    """The tokens of a text without its comments, one after the other.

    Attributes:
      next: the next token; "" at the end.
      line: the line of the next token, from 1.
    """

    def __init__(self, text: str):
        self._matches = _TOKEN.finditer(text)
        self.next, self.line = "\n", 0
        self.take()

    def take(self) -> str:
        """Returns the next token, and moves on."""
        taken = self.next
        self.line += taken.count("\n")
        self.next = next((match[0] for match in self._matches if match[0][0] != "#"), "")
        return taken

    def skipped(self, token: str) -> int:
        """Skips repetitions of a token, and returns how many there were."""
        number = 0
        while self.next == token:
            self.take()
            number += 1
        return number


def _keys(tokens: _Tokens) -> list[str]:
    keys = []
    while tokens.skipped(".") or not keys:
        key = tokens.take()
        keys.append(next(iter(parsed(f"{key} = 0"))) if key[0] in "\"'" else key)
    return keys


def _pair(tokens: _Tokens, path: KeyPath, lines: dict[KeyPath, int]) -> None:
    line = tokens.line
    for key in _keys(tokens):
        path = (*path, key)
        lines.setdefault(path, line)
    tokens.skipped("=")
    _value(tokens, path, lines)


def _value(tokens: _Tokens, path: KeyPath, lines: dict[KeyPath, int]) -> None:
    if tokens.next not in ("[", "{"):
        while tokens.next not in ("", "\n", ",", "]", "}"):
            tokens.take()
        return
    is_list = tokens.take() == "["
    for index in count():
        while tokens.next in ("\n", ","):
            tokens.take()
        if tokens.next in ("]", "}"):
            break
        if is_list:
            lines.setdefault((*path, index), tokens.line)
            _value(tokens, (*path, index), lines)
        else:
            _pair(tokens, path, lines)
    tokens.take()


def parsed(text: str) -> dict[str, Any]:
    """Parses a TOML text; every error of Python's parser becomes a `TOMLDecodeError`."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise tomllib.TOMLDecodeError("lists or tables are nested too deep") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # an integer of over 4300 digits; the text behind ";" is advice on Python's limit
        raise tomllib.TOMLDecodeError(str(error).partition(";")[0]) from None


def value_of(text: str) -> Any:
    """Parses a value of `--set`: TOML, a number such as `.5`, or a string without quotes.

    Text that looks like a mistyped TOML value raises an error.
    """
    if re.fullmatch(r"[A-Za-z_~./][\w~./-]*", text) and text not in ("true", "false", "inf", "nan"):
        return float(text) if re.fullmatch(_SHORT_NUMBER, text) else text
    try:
        table = parsed(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if re.fullmatch(_SHORT_NUMBER, text):
            return float(text)
        if not text or text[0] in "\"'[{" or re.fullmatch(r"[-+\d_]+", text) or not text.isprintable():
            raise tomllib.TOMLDecodeError(f"{error}; put a string in quotes") from None
        return text
    if list(table) != ["value"]:
        raise tomllib.TOMLDecodeError("more than one value")
    return table["value"]
