"""The pages with other libraries' code beside ours: every block runs."""

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [*sorted(DOCS.glob("coming-from-*.md")), DOCS / "dense.md"]


# Keras 3.15's variables lack the `copy` argument that NumPy 2 passes to `__array__`.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_runs(page):
    blocks = list(Sybil([PythonCodeBlockParser()]).parse(page))
    assert blocks
    for block in blocks:
        block.evaluate()
