"""What may happen to a file."""

import random
import re
from pathlib import Path

CHANGES = (
    "bit",
    "byte",
    "digit",
    "line",
    "cut",
    "missing",
    "empty",
    "zeros",
    "another run's",
    "another form",
    "folder",
)
_FORMS = (
    b"{}",
    b"[]",
    b"null",
    b"1",
    b'"text"',
    b"[" * 5000,
    b'{"a": ' * 3000,
    b'{"format": 99}',
    b"\xff\xfe\x00",
    b"[data]\n",
    b"a = 1\n",
    b"PK\x05\x06" + bytes(18),
    b"\x93NUMPY\x01\x00",
    b"NaN",
    b"1e999",
)


def change(path: Path, kind: str, rng: random.Random, other: Path) -> None:
    """Changes a file.

    Args:
      path: of the file.
      kind: one of `CHANGES`.
      rng: where, and to what.
      other: the file of that name of another run.
    """
    old = path.read_bytes()
    if kind in ("missing", "folder"):
        path.unlink()
        if kind == "folder":
            path.mkdir()
        return
    path.write_bytes(_changed(old, kind, rng, other))


def _changed(old: bytes, kind: str, rng: random.Random, other: Path) -> bytes:
    match kind:
        case "bit":
            return flipped(old, rng.randrange(len(old)), 1 << rng.randrange(8))
        case "byte":
            return flipped(old, rng.randrange(len(old)), rng.randrange(1, 256))
        case "digit":
            return _other_digit(old, rng)
        case "line":
            return _other_lines(old, rng)
        case "cut":
            return old[: rng.randrange(len(old))]
        case "empty":
            return b""
        case "zeros":
            start = rng.randrange(len(old))
            return old[:start] + bytes(min(512, len(old) - start)) + old[start + 512 :]
        case "another run's":
            return other.read_bytes()
        case _:
            return rng.choice(_FORMS)


def flipped(content: bytes, at: int, mask: int) -> bytes:
    """The content with some bits of one byte turned."""
    return content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]


def _other_digit(old: bytes, rng: random.Random) -> bytes:
    places = [match.start() for match in re.finditer(rb"\d", old)]
    at = rng.choice(places)
    return old[:at] + rng.choice([b"%d" % d for d in range(10) if b"%d" % d != old[at : at + 1]]) + old[at + 1 :]


def _other_lines(old: bytes, rng: random.Random) -> bytes:
    """A line taken out, doubled, or two exchanged."""
    lines = old.splitlines(keepends=True)
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            del lines[a]
        case 1:
            lines.insert(b, lines[a])
        case _:
            lines[a], lines[b] = lines[b], lines[a]
    return b"".join(lines)
