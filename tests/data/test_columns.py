"""Which types columns and targets are taken for, by their cells."""

import json

import numpy as np
import polars as pl
import pytest

from densefn import data
from densefn._values import TableError, build
from densefn.data import ArrayFile, Preparation, TableFile
from densefn.data.moments import Moments
from densefn.training import loop
from densefn.training.config import Config

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


def test_text_without_information_is_left_out_with_a_note(load):
    rare = [f"name {chr(65 + number % 26)}{number}" for number in range(ROWS)]
    dataset = load({"name": rare, "same": ["one"] * ROWS, "city": ["Rome", "Oslo"] * (ROWS // 2)})
    assert [column.name for column in dataset.preparation.columns] == ["x", "city"]
    assert dataset.notes == (
        "column 'name': 32 levels in 32 training rows, mostly rare; left out",
        "column 'same': the same in all 32 training rows; left out",
        "a.csv: column 'city': 2 categories of text ('Oslo', 'Rome')",
    )
    with pytest.raises(TableError, match="expected a column that differs between the rows, got none: column 'x'"):
        load({"x": rare})


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (["b", "a", "zwei\nZeilen", "d"], "4 categories of text ('a', 'b', 'd', ...)"),
        (["a", "a", "", "a"], "1 category of text ('a') and gaps"),
        (["a", "x" * 50], f"2 categories of text ('a', '{'x' * 37}...')"),
    ],
)
def test_columns_that_are_taken_for_categories_are_reported(levels, said, load):
    given = {"text": (levels * ROWS)[:ROWS], "code": ["1", "2"] * (ROWS // 2), "flag": ["true", "false"] * (ROWS // 2)}
    assert load(given, categorical="code").notes == (f"a.csv: column 'text': {said}",)
    assert load(given, categorical=["code", "text"]).notes == ()


def test_many_columns_that_are_taken_for_categories_share_a_line(load):
    given = {f"text {number}": ["a", "b"] * (ROWS // 2) for number in range(12)}
    assert load(given, categorical="text 0").notes == (
        "a.csv: 11 columns of text are taken for categories: 'text 1', 'text 2', 'text 3', ...",
    )
    assert len(load(given, categorical=["text 0", "text 1"]).notes) == 10


@pytest.mark.parametrize("indicator", [False, True])
@pytest.mark.parametrize(
    ("column", "what"),
    [
        ([0.1] * ROWS, "the same"),
        ([1e30, np.nextafter(1e30, 0)] * (ROWS // 2), "the same"),
        ([2**60 + 1] * ROWS, "the same"),
        (["true"] * ROWS, "the same"),
        ([7, ""] * (ROWS // 2), "the same or missing"),
        (["", "False"] * (ROWS // 2), "the same or missing"),
    ],
)
def test_a_constant_of_numbers_or_flags_is_left_out_with_a_note(column, what, indicator, load):
    dataset = load({"same": column}, missing_indicator=indicator)
    if indicator and "missing" in what:  # where the gaps are says something
        assert dataset.preparation.features == ["x", "same", "same missing"]
        return
    said = f"column 'same': {what} in all 32 training rows; left out"
    assert (dataset.preparation.features, dataset.notes) == (["x"], (said,))
    with pytest.raises(TableError, match="expected a column that differs between the rows, got none: column 'x'"):
        load({"x": column}, missing_indicator=indicator)


def test_the_training_rows_alone_decide_what_is_constant(load):
    train = np.random.default_rng(0).permutation(ROWS)[ROWS // 5 :]
    column = np.arange(ROWS)
    column[train] = 3
    assert load({"same": column}).preparation.features == ["x"]
    column[train[0]] = 4
    assert load({"same": column}).preparation.features == ["x", "same"]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
def test_arrays_of_which_all_rows_are_the_same_are_refused(dtype, tmp_path):
    x, settings = np.ones((ROWS, 2), dtype), ArrayFile(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(ROWS) % 2)
    with pytest.raises(TableError, match="expected inputs that differ between rows, got the same inputs in all"):
        data.load(settings)
    x[::2, 1] = 0
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(ROWS) % 2)
    assert data.load(settings).features == 2


def test_targets_that_are_the_same_in_all_training_rows_are_refused(load):
    with pytest.raises(
        TableError, match="a.csv: y: expected a target that differs, got the same in all 32 training rows"
    ):
        load({"y": [2.5] * ROWS}, task="regression")
    held_out = np.isin(np.arange(ROWS), np.random.default_rng(0).permutation(ROWS)[: ROWS // 5])
    with pytest.raises(TableError, match="a.csv: y: expected a target that differs"):
        load({"y": np.where(held_out, np.arange(ROWS), 0.1)}, task="regression")
    assert load({"y": [2.5] * ROWS, "z": np.arange(ROWS)}, ["y", "z"]).outputs == 2


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


@pytest.mark.parametrize("cell", ["?", "#N/A", "-", " - ", "NULL"])
def test_gaps_as_people_write_them(cell, load):
    numbers = [str(number) for number in range(ROWS - 8)] + [cell] * 8
    words = (["Rome", "Oslo", cell, "-x", "2-1"] * ROWS)[:ROWS]
    dataset = load({"number": numbers, "word": words}, missing_indicator=True)
    features = ["x", "number", "number missing", "word=-x", "word=2-1", "word=Oslo", "word=Rome"]
    assert dataset.preparation.features == [*features, "word missing", "word other"]
    with pytest.raises(TableError, match="column 'y': the target is missing"):
        load({"y": [cell, *range(1, ROWS)]})


@pytest.mark.parametrize("given", ["-999", -999, -999.0, ["-999.0", "Unknown"], [-999, "unknown"]])
@pytest.mark.parametrize("dtype", [pl.String, pl.Int64, pl.Float32, pl.Float64])
def test_missing_values_are_those_of_the_config_in_every_kind_of_column(given, dtype, tmp_path):
    numbers = np.where(np.arange(ROWS) % 4, np.arange(ROWS), -999)
    cells = pl.Series(numbers).cast(dtype)
    code = pl.Series(np.where(np.arange(ROWS) % 3, np.arange(ROWS) % 3, -999)).cast(dtype)
    pl.DataFrame({"number": cells, "code": code, "y": np.arange(ROWS) / 4}).write_parquet(tmp_path / "a.parquet")
    settings = TableFile(
        str(tmp_path / "a.parquet"), "y", categorical="code", missing_values=given, missing_indicator=True
    )
    preparation = data.load(settings).preparation
    features = ["number", "number missing", "code=1", "code=2", "code missing", "code other"]
    assert preparation.features == features
    encoded = preparation.encode(settings.read())
    np.testing.assert_array_equal(encoded[:, 1], numbers == -999)
    np.testing.assert_array_equal(encoded[:, 4], np.arange(ROWS) % 3 == 0)
    assert build(Preparation, json.loads(json.dumps(preparation.to_table()))) == preparation
    with pytest.raises(TableError, match="column 'number': the target is missing"):
        data.load(TableFile(str(tmp_path / "a.parquet"), "number", missing_values=given, task="regression"))


def test_a_float32_gap_is_the_nearest_number_of_float32(tmp_path):
    cells = pl.Series(np.where(np.arange(ROWS) % 4, np.arange(ROWS), -999.9), dtype=pl.Float32)
    pl.DataFrame({"x": cells, "y": np.arange(ROWS) / 4}).write_parquet(tmp_path / "a.parquet")
    dataset = data.load(TableFile(str(tmp_path / "a.parquet"), "y", missing_values=-999.9, missing_indicator=True))
    assert dataset.preparation.features == ["x", "x missing"]


def test_a_preparation_without_gaps_reads_as_it_was_fitted(load):
    preparation = load({"word": (["Rome", "?"] * ROWS)[:ROWS]}, missing_values="na").preparation
    table = preparation.to_table()
    assert table.pop("gaps") == ["na"]
    old = build(Preparation, table)
    assert old.gaps == ("na", "n/a", "nan", "null", "none")
    rows = data.Table("new.csv", {"x": pl.Series([1.0, 2.0]), "word": pl.Series(["?", "none"])})
    np.testing.assert_array_equal(old.encode(rows)[:, 1:], [[1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("given", [True, [["a"]], {"a": 1}, [None]])
def test_missing_values_that_are_no_cells_are_refused(given):
    with pytest.raises((TypeError, ValueError), match="expected a (string or a number|list)"):
        TableFile("a.csv", "y", missing_values=given)


def test_nan_that_counts_as_a_cell_is_no_number(load):
    with pytest.raises(TableError, match="column 'x': expected a number, got 'NaN'"):
        load({"x": ["NaN", *range(1, ROWS)]}, missing_values=[])


@pytest.mark.parametrize("name", ["none", "NA", "null", "-"])
def test_a_class_may_have_the_name_of_a_gap(name, load, tmp_path):
    kinds = ([name, "one", "two"] * ROWS)[:ROWS]
    message = f"column 'kind': the target is missing.*'{name}' counts as missing: data.missing_values = \\[\\] changes"
    with pytest.raises(TableError, match=message):
        load({"kind": kinds}, "kind")
    assert load({"kind": kinds}, "kind", missing_values=[]).preparation.classes == tuple(sorted(kinds[:3]))
    with pytest.raises(
        TableError, match="a.csv:2: column 'kind': the target is missing; fill it in or take the row out$"
    ):
        load({"kind": ["", *kinds[1:]]}, "kind", missing_values=[])
    np.savez(tmp_path / "a.npz", x=np.ones((ROWS, 2)), y=np.array(kinds))
    with pytest.raises(TableError, match=f"'{name}' counts as missing: write another name for a class"):
        data.load(ArrayFile(str(tmp_path / "a.npz")))


def test_the_cells_that_count_as_a_missing_target_are_named(load):
    with pytest.raises(TableError, match="is missing here and in lines 3, 5; fill.*; '-', 'NA' count as missing: data"):
        load({"y": ["NA", "-", 3, "", *range(4, ROWS)]})


def test_classes_that_are_mostly_numbers(load):
    codes = (["1", "2", "3.0", "other"] * ROWS)[:ROWS]
    dataset = load({"code": codes}, "code", task="classification")
    assert dataset.preparation.classes == ("1", "2", "3", "other")
    rows = data.Table("new.csv", {"code": pl.Series([3.0, 1.0])})
    np.testing.assert_array_equal(dataset.preparation.labels(rows), [2, 0])
    with pytest.raises(TableError, match="a.csv:5: column 'code': expected a number, got 'other'; data.task = \"class"):
        load({"code": codes}, "code")


@pytest.mark.parametrize(
    ("target", "units", "message"),
    [
        ([1 + n % 5 for n in range(ROWS)], 1, 'to 5, as CrossEntropy needs, or data.task to "regression" if'),
        ([n // 2 for n in range(ROWS)], 20, 'to 1, as SquaredError needs, or data.task to "classification" if'),
        (["one", "two", "three", "four"] * (ROWS // 4), 1, "to 4, as CrossEntropy needs$"),
    ],
)
def test_a_wrong_number_of_outputs_names_the_other_task(target, units, message, tmp_path):
    pl.DataFrame({"x": range(ROWS), "y": target}).write_csv(tmp_path / "a.csv")
    table = {"data": {"path": str(tmp_path / "a.csv"), "target": "y"}, "model": {"layers": [{"units": units}]}}
    rest = {"optimizer": {"name": "sgd", "learning_rate": 0.1}, "train": {"epochs": 1}}
    with pytest.raises(TableError, match=message):
        loop.prepare(build(Config, {**table, **rest}))


def test_unseen_levels_of_a_validation_file_are_reported(load, tmp_path):
    pl.DataFrame({"x": [1.0, 2.0], "y": [0.5, 2.5], "city": ["Rome", "Paris"]}).write_csv(tmp_path / "b.csv")
    dataset = load({"city": ["Rome", "Oslo"] * (ROWS // 2)}, validation=str(tmp_path / "b.csv"))
    assert [note.partition(": ")[2] for note in dataset.notes] == [
        "column 'city': 2 categories of text ('Oslo', 'Rome')",
        "column 'city': 1 of 2 rows hold a level that training did not see, or too rarely, such as 'Paris'; it counts "
        "as other",
    ]


@pytest.mark.parametrize("size", [5e-324, 1e-320, 1e-200, 1e-162, 1e-30, 1e30])
def test_a_column_of_any_size_is_standardised(size, load):
    column = np.arange(ROWS) % 7 * size
    dataset = load({"x": column, "y": column}, task="regression")
    x, y = np.asarray(dataset.train.x)[:, 0], np.asarray(dataset.train.y)[:, 0]
    whole = load({"x": np.arange(ROWS) % 7, "y": np.arange(ROWS) % 7}, task="regression").train
    tolerance = 0.2 if size < 1e-322 else 1e-3 if size < 1e-300 else 1e-5  # subnormal numbers have few digits
    np.testing.assert_allclose(x, np.asarray(whole.x)[:, 0], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(y, np.asarray(whole.y)[:, 0], rtol=tolerance, atol=tolerance)


def test_many_rows_of_which_few_differ_are_standardised():
    """A column of a million rows at 1.7e9, half of them a tenth higher: no rounding hides that."""
    moments = Moments()
    for _ in range(4):
        moments = moments.with_rows(np.resize([[1.7e9], [1.7e9 + 0.1]], (2**18, 1)))
    np.testing.assert_allclose(moments.mean_and_scale()[1], 0.05, rtol=1e-4)


def test_moments_of_parts_are_those_of_the_whole():
    values = np.random.default_rng(0).normal(3, 1, (50, 4)) * [1e-250, 1e-20, 1, 1e30]
    moments = Moments()
    for part in np.split(values, [1, 9, 40]):
        moments = moments.with_rows(part)
    mean, scale = moments.mean_and_scale()
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-13)
    unit = np.array([1e-250, 1e-20, 1, 1e30])
    np.testing.assert_allclose(scale, (values / unit).std(axis=0) * unit, rtol=1e-13)


@pytest.mark.parametrize("ending", ["npz", "npy", "parquet"])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("task", ["classification", None])
def test_whole_numbers_beyond_float64_are_classes_as_they_are(ending, dtype, task, tmp_path):
    codes = np.array([2**53, 2**53 + 1, 2**62 + 1, 2**62 + 2], dtype)[np.arange(ROWS) % 4]
    path, x = tmp_path / f"a.{ending}", np.arange(ROWS) / 8
    if ending == "npz":
        np.savez(path, x=x[:, None], y=codes)
        settings = ArrayFile(str(path), task=task)
    elif ending == "npy":
        np.save(path, x[:, None])
        np.save(tmp_path / "y.npy", codes)
        settings = ArrayFile(str(path), target=str(tmp_path / "y.npy"), task=task)
    else:
        pl.DataFrame({"x": x, "y": codes}).write_parquet(path)
        settings = TableFile(str(path), "y", task=task)
    preparation = data.load(settings).preparation
    assert preparation.classes == tuple(sorted({str(code) for code in codes.tolist()}))
    names = np.array(preparation.classes)[preparation.labels(settings.read())]
    assert names.tolist() == [str(code) for code in codes.tolist()]
    rows = data.Table("new.csv", {"y": pl.Series([f"{2**62 + 2}", f"{2**53 + 1}"])})
    np.testing.assert_array_equal(
        preparation.labels(rows), [preparation.classes.index(code) for code in rows.columns["y"]]
    )


def near(count, start=2**60, step=1):
    return [start + step * (number % count) for number in range(ROWS)]


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz", "npy"])
@pytest.mark.parametrize("as_target", [False, True])
def test_whole_numbers_of_which_float64_loses_the_digits_are_refused(ending, as_target, tmp_path):
    def load(numbers):
        names = ("x", "y") if as_target else ("y", "x")
        columns = dict(zip(names, (np.arange(ROWS) * 3 % 8, np.array(numbers)), strict=True))
        path = tmp_path / f"a.{ending}"
        if ending in ("csv", "parquet"):
            frame = pl.DataFrame({name: columns[name] for name in "xy"})
            frame.write_csv(path) if ending == "csv" else frame.write_parquet(path)
            return data.load(TableFile(str(path), "y", task="regression"))
        if ending == "npz":
            np.savez(path, x=columns["x"][:, None], y=columns["y"])
            return data.load(ArrayFile(str(path), task="regression"))
        np.save(path, np.stack([columns["x"], columns["y"]], axis=1))
        return data.load(ArrayFile(str(path), target=-1, task="regression"))

    for numbers in (near(40), near(40, -(2**60)), near(3, 2**53 + 1), near(40, step=2**20 + 1)):
        with pytest.raises(TableError, match=r"expected numbers that differ in float64, got -?\d{16,} and others near"):
            load(numbers)
    for numbers in (near(40, step=256), near(40, 2**53 - 50)):
        assert load(numbers).features == 1
    numbers = near(40, step=2**40 + 1)  # rounded by 2^7 of 2^45
    rows = load(numbers).train
    ours = np.asarray(rows.y if as_target else rows.x)[:, 0]
    train = [numbers[row] - numbers[0] for row in np.random.default_rng(0).permutation(ROWS)[ROWS // 5 :]]
    np.testing.assert_allclose(ours, (train - np.mean(train)) / np.std(train), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_the_task_is_that_of_whole_numbers_that_float64_takes_for_one(ending, tmp_path):
    path, codes = tmp_path / f"a.{ending}", np.array(near(40))
    assert len(np.unique(codes.astype(float))) < 3
    if ending == "npz":
        np.savez(path, x=np.arange(ROWS)[:, None], y=codes)
        settings = ArrayFile(str(path))
    else:
        frame = pl.DataFrame({"x": np.arange(ROWS), "y": codes})
        frame.write_csv(path) if ending == "csv" else frame.write_parquet(path)
        settings = TableFile(str(path), "y")
    with pytest.raises(TableError, match='differ in float64, got .*, or set data.task = "classification"'):
        data.load(settings)
    assert data.load(build(type(settings), {**settings.to_table(), "task": "classification"})).classes == 40
