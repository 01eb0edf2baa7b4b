"""The pictures in `docs/images` are those that `docs/pictures.py` draws."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = runpy.run_path(str(DOCS / "pictures.py"))["PICTURES"]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_the_script_draws(name):
    drawn = PICTURES[name]()
    assert (DOCS / "images" / f"{name}.svg").read_text(encoding="utf-8") == drawn, "run python docs/pictures.py"


def test_every_picture_of_a_page_is_there():
    for page in DOCS.glob("*.md"):
        for link in page.read_text(encoding="utf-8").split("](images/")[1:]:
            assert (DOCS / "images" / link.partition(")")[0]).is_file()
