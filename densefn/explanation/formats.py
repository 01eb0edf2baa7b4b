"""The formats of an explanation, by name."""

import dataclasses
import json
from collections.abc import Callable

from densefn.explanation.facts import Facts
from densefn.explanation.page import image, page
from densefn.explanation.text import markdown, text


def as_json(explanation: Facts) -> str:
    """Writes the attributes of `Facts` as JSON."""
    return json.dumps(dataclasses.asdict(explanation), indent=2, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Facts], str]] = {
    "text": text,
    "markdown": markdown,
    "html": page,
    "svg": image,
    "json": as_json,
}
