"""Collects the code blocks of the README and of the pages as tests.

The pages that import other libraries run in `tests/peers/test_pages.py`, in one process.
"""

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    excludes=["docs/coming-from-*.md", "docs/dense.md"],
).pytest()
