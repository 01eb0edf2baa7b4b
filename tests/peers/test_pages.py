"""The pages for users of other libraries: every block runs, the peer's code beside ours."""

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("coming-from-*.md"))


# Keras 3.15's variables lack the `copy` argument that NumPy 2 passes to `__array__`.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_runs(page):
    blocks = list(Sybil([PythonCodeBlockParser()]).parse(page))
    assert blocks
    for block in blocks:
        block.evaluate()
