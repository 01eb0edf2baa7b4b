"""Sources: how a new one is added, and the names that sources had before."""

import numpy as np
import pytest

from densefn import data
from densefn.data import NamedSource, Table, fit, register, source


@pytest.fixture
def line():
    before = dict(source.NAMES)

    @register
    class Line(NamedSource):
        """Points on a line."""

        names = ("line",)
        slope: float = 1.0

        def read(self):
            x = np.arange(10.0)[:, None]
            return Table(self.title, {"x": x, "y": self.slope * x})

        def fit(self, table, train):
            return fit.fit_arrays(table, train, task="regression")

    yield Line
    source.NAMES.clear()
    source.NAMES.update(before)


def test_a_registered_source_is_found_by_its_name(line):
    section = {"name": "line", "slope": 2.0, "batch_size": 4}
    found = data.as_source(section)
    assert found == line(slope=2.0, batch_size=4)
    assert data.as_source(found.to_table()) == found
    assert data.load(found).features == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Data", data.Source),
        ("FileData", data.FileSource),
        ("SOURCES", data.BUNDLED),
        ("as_data", data.as_source),
        ("described", data.describe),
    ],
)
def test_a_former_name_warns_with_the_new_one(old, new):
    with pytest.warns(DeprecationWarning, match=rf"densefn\.data\.{old} is densefn\.data\.\w+ now"):
        assert getattr(data, old) is new
