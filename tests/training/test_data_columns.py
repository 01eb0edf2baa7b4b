"""What columns and targets are taken for, by what their cells look like."""

import numpy as np
import polars as pl
import pytest

from densefn.training import data
from densefn.training.data import ArrayFile, TableFile
from densefn.values import TableError

ROWS = 40


@pytest.fixture
def load(tmp_path):
    """Loads rows with a column `x` of numbers, a target `y` of numbers, and what is given."""

    def loaded(given, target="y", **options):
        columns = {"x": np.arange(ROWS) / 8, "y": np.arange(ROWS) / 4, **given}
        pl.DataFrame({name: list(column) for name, column in columns.items()}, strict=False).write_csv(
            tmp_path / "a.csv"
        )
        return data.load(TableFile(str(tmp_path / "a.csv"), target, **options))

    return loaded


@pytest.mark.parametrize("form", ["{}%", "${}.00", "{},234", "{} kg", "{},50", "€ {}", "{}kg", "-{},5"])
def test_numbers_with_marks_are_refused_with_the_fix(form, load):
    column = [form.format(1 + number) for number in range(ROWS)]
    with pytest.raises(TableError, match=r"a.csv:2: column 'price': expected a number, got '.*1.*'; write it without"):
        load({"price": column})
    with pytest.raises(TableError, match=r"a.csv:2: column 'y': expected a number or a class, got"):
        load({"y": column})
    few = [form.format(1 + number % 2) for number in range(ROWS)]
    assert len(load({"price": few}, categorical="price").preparation.columns) == 2
    assert load({"y": few}, task="classification").classes == 2


@pytest.mark.parametrize(
    "date",
    ["2024-01-{:02}", "{:02}.1.2024", "1/{}/24", "{} Jan 2024", "January {}, 2024", "2024-01-{:02}T12:05:00Z",
     "2024/1/{} 5:07 pm", "{}-Jan-2024", "Tue, {} Jan 2024 10:00:00 +0000", "{}:05", "{:02}:05:59.5"],
)  # fmt: skip
def test_dates_of_any_form_are_refused_though_one_is_unknown(date, load):
    column = [*(date.format(1 + number % 9) for number in range(ROWS - 1)), "unknown"]
    with pytest.raises(TableError, match="column 'when': this column holds dates"):
        load({"when": column})


@pytest.mark.parametrize("cell", ["1st", "A1", "3-4", "16:9", "4x4", "may", ">50K", "v1.2"])
def test_other_text_with_digits_is_a_category(cell, load):
    dataset = load({"text": [cell, "another"] * (ROWS // 2)})
    assert f"text={cell}" in dataset.preparation.features


def test_text_that_says_nothing_is_left_out_aloud(load):
    rare = [f"name {chr(65 + number % 26)}{number}" for number in range(ROWS)]
    dataset = load({"name": rare, "same": ["one"] * ROWS, "city": ["Rome", "Oslo"] * (ROWS // 2)})
    assert [column.name for column in dataset.preparation.columns] == ["x", "city"]
    assert dataset.notes == (
        "column 'name': 32 levels in 32 training rows, mostly rare; left out",
        "column 'same': the same in all 32 training rows; left out",
    )
    with pytest.raises(TableError, match="expected a column that says something of the rows, got none: column 'x'"):
        load({"x": rare})


@pytest.mark.parametrize(
    "codes", [("007", "042"), ("0", "00", "000"), (f"{2**53}", f"{2**53 + 1}"), ("-90071992547409921", "3")]
)
def test_class_codes_stay_as_written(codes, load):
    classes = (codes * ROWS)[:ROWS]
    assert load({"code": classes}, "code").preparation.classes == tuple(sorted(codes))


@pytest.mark.parametrize("form", ["{}.234.567", "192.168.0.{}"])
def test_numbers_with_several_points_are_refused(form, load):
    column = [form.format(1 + number) for number in range(ROWS)]
    for name in ("price", "y"):
        with pytest.raises(TableError, match=f"a.csv:2: column '{name}': expected a number.*, got '"):
            load({name: column})


def test_one_code_among_many_numbers_makes_no_classes(load):
    prices = [str(100_000 + 1_713 * number) for number in range(ROWS)]
    target = load({"price": ["007", *prices[1:]]}, "price").preparation.target
    assert type(target).__name__ == "Numbers"


@pytest.mark.parametrize("gap", [True, False])
def test_a_code_with_a_point_is_the_level_without(gap, load):
    written = ["0.0", "1", "other"] if gap else ["0.0", "1", "0"]
    assert "code=0" in load({"code": (written * ROWS)[:ROWS]}, categorical="code").preparation.features


def test_one_hot_targets_are_refused_naming_argmax(load, tmp_path):
    hot = {"a": [1, 0] * (ROWS // 2), "b": [0, 1] * (ROWS // 2)}
    with pytest.raises(TableError, match=r"the targets a, b are one-hot.*numpy\.argmax"):
        load(hot, ["a", "b"])
    assert load(hot, ["a", "b"], task="regression").outputs == 2
    np.savez(tmp_path / "a.npz", x=np.ones((9, 2)), y=np.eye(3)[np.arange(9) % 3])
    with pytest.raises(TableError, match=r"the targets y are one-hot.*numpy\.argmax"):
        data.load(ArrayFile(str(tmp_path / "a.npz")))
