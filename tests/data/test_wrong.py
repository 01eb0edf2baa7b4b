"""Files that are wrong: each a message that names file, row and column, exit code 2, and nothing written."""

import gzip
import io
import struct

import numpy as np
import polars as pl
import pytest

from densefn import data
from densefn.cli import main

CONFIG = """
[data]
{section}

[[model.layers]]
units = {units}

[optimizer]
name = "adam"
learning_rate = 1e-3

[train]
epochs = 1
"""

HEADER = "area,city,price\n"
ROWS = "".join(f"{80 + 7 * n % 50}.5,{['Paris', 'Rome'][n % 2]},{1000 + n * n}\n" for n in range(30))
KINDS = "x,kind\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(20))


def brief(given):
    """A name of a case: short texts are shown, others numbered."""
    return given if isinstance(given, str) and len(given) < 50 and "\n" not in given else None


@pytest.fixture
def fails(tmp_path, monkeypatch, capsys):
    """Trains on files of the given contents, in their folder, and returns what is said."""

    def train(contents, section, units=1):
        folder = tmp_path / "given"
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        (folder / "config.toml").write_text(CONFIG.format(section=section, units=units))
        monkeypatch.chdir(folder)
        before = sorted(tmp_path.rglob("*"))
        assert main(["train", "config.toml"]) == 2
        assert sorted(tmp_path.rglob("*")) == before
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return train


def lines(**changed):
    """The table with some lines replaced, `line_3="..."`."""
    rows = (HEADER + ROWS).splitlines()
    for name, line in changed.items():
        rows[int(name.removeprefix("line_")) - 1] = line
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines(line_7="90,Rome"), "houses.csv:7: expected 3 fields as in the header, got 2"),
        (lines(line_7="90,Rome,100,4"), "houses.csv:7: expected 3 fields as in the header, got 4; a field that holds"),
        (
            lines(line_3="90,Orléans,100").encode("cp1252"),
            "houses.csv:3: expected UTF-8, got 0xe9 (byte 7 of the line, 38 of the file), in Windows-1252 'é'; convert",
        ),
        ((HEADER + ROWS).encode("utf-16"), "houses.csv:1: expected UTF-8, and the file begins as UTF-16 does"),
        ((HEADER + ROWS).encode("utf-16-le"), "houses.csv:1: expected text, got a zero byte"),
        (lines(line_4='90,"Rome,100'), "houses.csv:4: the file ends inside a quoted field that begins in this row"),
        (lines(line_4='90,"Ro"me",100'), "houses.csv:4: ',' expected after '\"'"),
        (
            lines(line_4='90,"Rome') + f"90,{'R' * 2**20},100\n" * 17,
            "houses.csv:4: a field of this row is longer than 16,777,216 characters; is there a quote that is not",
        ),
        (HEADER + "x" * (2**24 + 2), "houses.csv:2: the line is longer than 16,777,216 bytes; is this a table?"),
        ("", "houses.csv: expected a header, a line with the names of the columns; the file begins without one"),
        ("\n\n", "houses.csv: expected a header"),
        (HEADER, "houses.csv: expected rows below the header, got none"),
        (HEADER + "1,Rome,2\n", "houses.csv: expected at least two rows, one to train and one to hold out, got one"),
        ((HEADER + ROWS).replace("\n", "\r"), "houses.csv:1: expected lines that end with \\n or \\r\\n, got a"),
        (HEADER.replace("city", "area") + ROWS, "houses.csv:1: expected unique names, and columns 1 and 2"),
        (
            " ,,\n" + ROWS,
            "houses.csv:1: expected a header, a line with the names of the columns, got one without names",
        ),
        (lines(line_9="n.a.,Rome,1"), "houses.csv:9: column 'area': expected a number, got 'n.a.'; 'area' is"),
        (
            lines(line_9="inf,Rome,1"),
            "houses.csv:9: column 'area': expected a number that is finite in float32, got inf",
        ),
        (
            lines(line_9="-1e39,Rome,1"),
            "houses.csv:9: column 'area': expected a number that is finite in float32, got -1e39",
        ),
        (
            lines(line_9="1e400,Rome,1"),
            "houses.csv:9: column 'area': expected a number that is finite in float32, got 1e400",
        ),
        (
            HEADER + ROWS.replace("Paris", "2024-05-01").replace("Rome", "2024-06-01 10:00"),
            "houses.csv:2: column 'city': this column holds dates, not numbers; add columns of numbers",
        ),
        (
            HEADER + ROWS.replace("Paris", "NA").replace("Rome", ""),
            "config.toml:2: data.ignore: houses.csv: column 'city': every row's value is missing; put it in",
        ),
        (
            HEADER + "".join(f"1,c{n // 4},{n}\n" for n in range(6000)),
            "houses.csv: column 'city': expected at most 1,000 categories, got 1,",
        ),
    ],
)
def test_tables_of_text(content, message, fails):
    said = fails({"houses.csv": content}, 'path = "houses.csv"\ntarget = "price"')
    assert said.startswith("config.toml:")
    assert message in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "section", "message"),
    [
        (
            lines(line_5="1,Rome,", line_9="1,Rome,NaN"),
            'target = "price"',
            "config.toml:4: data.target: houses.csv:5: column 'price': the target is missing here and in line 9; fill",
        ),
        (
            lines(line_9="1,Rome,dear"),
            'target = "price"',
            "houses.csv:9: column 'price': expected a number, got 'dear'",
        ),
        (
            lines(),
            'target = "prise"',
            "config.toml:4: data.target: houses.csv: unknown column 'prise'; there are: area, city, price. Did "
            "you mean 'price'?",
        ),
        (
            lines(),
            'target = "price"\nignore = ["aera"]',
            "config.toml:5: data.ignore: houses.csv: unknown column 'aera'",
        ),
        (lines(), 'target = "price"\ncategorical = "cit"', "data.categorical: houses.csv: unknown column 'cit'"),
        (lines(), 'target = "price"\nignore = ["area", "city"]', "expected a column beside the target and those that"),
        (lines(), 'target = "price"\nignore = "price"', "expected 'price' in one of target, ignore and categorical"),
        (lines(), "target = []", "config.toml:4: data.target: expected the name of a column, or several, got none"),
        (lines(), "seed = 3", "config.toml:2: data: missing key 'target'"),
        (lines(), 'target = "price"\nnoise = 1.0', "data.noise: unknown key 'noise'; there are: path, target, ignore"),
        (lines(), 'target = "price"\ntask = "ranking"', "data.task: expected one of classification, regression, got"),
        (
            KINDS.replace("b\n", "a\n"),
            'target = "kind"',
            "data.target: houses.csv: column 'kind': expected at least two classes, got 'a' in all 20 rows",
        ),
        (
            "x,kind\n" + f"1,{'a' * 50}\n" * 20,
            'target = "kind"',
            f"column 'kind': expected at least two classes, got '{'a' * 37}...' in all 20 rows",
        ),
        (
            "x,kind\n" + "1,a\n" * 9 + "2,b\n",
            'target = "kind"\nvalidation_fraction = 0.1\nseed = 3',
            "column 'kind': expected at least two classes among the training rows, and all 9 are 'a'; another",
        ),
        (KINDS, 'target = "kind"\ntask = "regression"', "houses.csv:2: column 'kind': expected a number, got 'a'"),
        (
            "x,kind\n" + "".join(f"{n},{n}\n" for n in range(10_001)),
            'target = "kind"\ntask = "classification"',
            'expected at most 10,000 classes, got 10,001; data.task = "regression" takes them for numbers',
        ),
        (
            KINDS,
            'target = ["kind", "x"]\ntask = "classification"',
            "expected one target for a classification, got kind, x",
        ),
    ],
)
def test_targets_and_columns(content, section, message, fails):
    assert message in fails({"houses.csv": content}, f'path = "houses.csv"\n{section}', units=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "x,kind\n1,a\n2,c\n",
            "config.toml:5: data.validation: test.csv:3: column 'kind': expected a class of the training rows (a, b), "
            "got 'c'",
        ),
        ("x,kind\nmuch,a\n", "data.validation: test.csv:2: column 'x': expected a number, got 'much'"),
        ("x2,kind\n1,a\n", "data.validation: test.csv: unknown column 'x'; there are: x2, kind. Did you mean 'x2'?"),
        ("x,kind\n1e38,b\n", "test.csv:2: column 'x': the number is too far from the training rows' for float32"),
        ("x,kind\n", "data.validation: test.csv: expected rows below the header, got none"),
    ],
)
def test_validation_files(content, message, fails):
    train = "x,kind\n" + "".join(f"{n}e-9,{'ab'[n % 2]}\n" for n in range(20)) if "1e38" in content else KINDS
    section = 'path = "train.csv"\ntarget = "kind"\nvalidation = "test.csv"'
    assert message in fails({"train.csv": train, "test.csv": content}, section, units=2)


def test_a_missing_validation_file_a_folder_and_an_unknown_ending_are_reported(fails):
    section = 'path = "train.csv"\ntarget = "kind"\nvalidation = "tset.csv"'
    message = "config.toml:5: data.validation: tset.csv: expected a file, and there is none"
    assert message in fails({"train.csv": KINDS}, section, units=2)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing.csv", "config.toml:3: data.path: nothing.csv: expected a file, and there is none"),
        ("..", "..: expected a file whose name ends in .csv, .tsv, .txt, .parquet, .npz, .npy, .csv.gz or .tsv.gz"),
        ("a.xlsx", "a.xlsx: expected a file whose name ends in .csv, .tsv, .txt, .parquet, .npz, .npy, .csv.gz or"),
        ("a.npy.gz", "a.npy.gz: expected a file whose name ends in .csv, .tsv, .txt, .parquet, .npz, .npy, .csv.gz or"),
        ("zero\\u0000.csv", "expected the path of a file: "),
    ],
)
def test_paths(path, message, fails):
    assert message in fails({}, f'path = "{path}"\ntarget = "y"')


def npy(array, **options):
    memory = io.BytesIO()
    np.save(memory, array, **options)
    return memory.getvalue()


def npz(**arrays):
    memory = io.BytesIO()
    np.savez(memory, **arrays)
    return memory.getvalue()


X = np.arange(60.0).reshape(20, 3)
SPOILT = np.where(X == 7, np.inf, X)


@pytest.mark.parametrize(
    ("contents", "section", "message"),
    [
        ({"a.npz": npz(x=X)}, 'path = "a.npz"', "data.target: a.npz: unknown column 'y'; there are: x"),
        (
            {"a.npz": npz(x=X, y=X[:-1, 0])},
            'path = "a.npz"',
            "a.npz: expected as many targets as rows of inputs, 20, got 19",
        ),
        (
            {"a.npz": npz(x=SPOILT, y=X[:, 0])},
            'path = "a.npz"',
            "a.npz: row 3: column 'x[1]': expected a number that is finite",
        ),
        (
            {"a.npz": npz(x=X, y=SPOILT[:, 1])},
            'path = "a.npz"',
            "a.npz: row 3: column 'y[0]': expected a number that is finite",
        ),
        (
            {"a.npz": npz(x=X, y=np.where(X[:, 0] == 9, np.nan, X[:, 0]))},
            'path = "a.npz"',
            "a.npz: row 4: column 'y': the target is missing; fill it in or take the row out",
        ),
        (
            {"a.npz": npz(x=X.astype(str), y=X[:, 0])},
            'path = "a.npz"',
            "a.npz: x: expected numbers of the shape [rows, 3]",
        ),
        (
            {"a.npz": npz(x=X, y=np.array([{}] * 20))},
            'path = "a.npz"',
            "a.npz: y: expected numbers, got an array of dtype",
        ),
        (
            {"a.npz": npz(x=X, y=np.zeros(20))},
            'path = "a.npz"\ntask = "classification"',
            "at least two classes, got '0'",
        ),
        ({"a.npz": npz(x=X, y=X[:, 0])[:-40]}, 'path = "a.npz"', "a.npz: expected arrays as numpy.savez writes them"),
        ({"a.npz": b""}, 'path = "a.npz"', "a.npz: expected arrays as numpy.savez writes them"),
        ({"a.npz": npz()}, 'path = "a.npz"', "a.npz: expected arrays, got none"),
        (
            {"a.npy": npy(X)[:-8]},
            'path = "a.npy"\ntarget = -1',
            "the file is not whole: its header announces 480 bytes, and 472",
        ),
        (
            {"a.npy": npy(X).replace(b"(20, 3)", b"(2**9,)")},
            'path = "a.npy"\ntarget = -1',
            "a.npy: expected an array as",
        ),
        (
            {"a.npy": npy(np.array([{}, 2]), allow_pickle=True)},
            'path = "a.npy"\ntarget = -1',
            "a.npy: expected numbers, got an array of dtype object; pickled objects are not read",
        ),
        (
            {"a.npy": b"\x80\x04K\x01."},
            'path = "a.npy"\ntarget = -1',
            "a.npy: expected an array as numpy.save writes it",
        ),
        (
            {"a.npy": npy(X.astype(complex))},
            'path = "a.npy"\ntarget = -1',
            "expected numbers, got an array of dtype complex",
        ),
        ({"a.npy": npy(np.float64(3))}, 'path = "a.npy"\ntarget = -1', "at least one row, got the shape ()"),
        ({"a.npy": npy(X[:0])}, 'path = "a.npy"\ntarget = -1', "at least one row, got the shape (0, 3)"),
        ({"a.npy": npy(X)}, 'path = "a.npy"\ntarget = 3', "with a column 3, got the shape [20, 3]"),
        ({"a.npy": npy(X)}, 'path = "a.npy"', "expected the target of an .npy file: another .npy file, or a number"),
        (
            {"a.npy": npy(X), "y.npy": npy(X[1:, 0])},
            'path = "a.npy"\ntarget = "y.npy"',
            "data.target: a.npy: expected as many targets as rows of inputs, 20, got 19",
        ),
        ({"a.npz": npz(x=X)}, 'path = "a.npz"\ntarget = 2', "expected the name of the array of targets, got 2"),
    ],
)
def test_arrays(contents, section, message, fails):
    assert message in fails(contents, section)


def test_the_size_that_a_header_announces_is_not_believed(fails):
    wrong = npy(np.zeros(10_000_000, np.int8))[:200]
    message = "the file is not whole: its header announces 10,000,000 bytes, and 72 follow"
    assert message in fails({"a.npy": wrong}, 'path = "a.npy"\ntarget = -1')


def test_a_size_of_many_digits_is_not_written_out(fails):
    header = repr({"descr": "<f8", "fortran_order": False, "shape": (10**4000, 3)}).encode().ljust(4213) + b"\n"
    wrong = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    message = fails({"a.npy": wrong}, 'path = "a.npy"\ntarget = -1')
    assert "the file is not whole: its header announces at least 2**63 bytes, and 0 follow" in message
    assert len(message) < 300


def parquet(frame):
    memory = io.BytesIO()
    frame.write_parquet(memory)
    return memory.getvalue()


FRAME = pl.DataFrame({"x": np.arange(20.0), "y": np.arange(20.0) ** 2})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (parquet(FRAME)[:-30], "a.parquet: expected a whole Parquet file"),
        (b"", "a.parquet: expected a whole Parquet file"),
        (parquet(FRAME[:0]), "a.parquet: expected rows, got the shape (0, 2)"),
        (
            parquet(FRAME.with_columns(z=pl.lit([1, 2]))),
            "column 'z': expected numbers, text, or true and false, got List",
        ),
        (parquet(FRAME.with_columns(z=pl.date(2024, 1, 1))), "a.parquet: row 1: column 'z': this column holds dates"),
        (
            parquet(FRAME.with_columns(y=pl.when(pl.col("x") == 3).then(None).otherwise(pl.col("y")))),
            "a.parquet: row 4: column 'y': the target is missing; fill it in or take the row out",
        ),
        (
            parquet(FRAME.with_columns(x=pl.when(pl.col("x") == 3).then(float("inf")).otherwise(pl.col("x")))),
            "a.parquet: row 4: column 'x': expected a number that is finite in float32, got inf",
        ),
    ],
)
def test_parquet(content, message, fails):
    assert message in fails({"a.parquet": content}, 'path = "a.parquet"\ntarget = "y"')


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


IMAGES, LABELS = idx(np.arange(20 * 4).reshape(20, 2, 2)), idx(np.arange(20) % 10)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:-3], LABELS, "train-images-idx3-ubyte: the file is not whole: its header announces 80 bytes, and 77"),
        (
            IMAGES + b"1",
            LABELS,
            "train-images-idx3-ubyte: the file is not whole: its header announces 80 bytes, and mor",
        ),
        (IMAGES[:9], LABELS, "train-images-idx3-ubyte: the file is not whole"),
        (b"\0\0\x08\0\0", LABELS, "train-images-idx3-ubyte: expected 1 to 32 axes, got 0"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 256, LABELS, "train-images-idx3-ubyte: expected 1 to 32 axes, got 255"),
        (b"", LABELS, "train-images-idx3-ubyte: expected an IDX file of bytes, which begins with 00 00 08, got "),
        (IMAGES, idx(np.arange(19) % 10), "expected as many labels as images, 20, got 19"),
        (
            IMAGES,
            idx(np.arange(20)),
            "row 11: column 'y': expected a class of the training rows (0, 1, 2, 3, 4, 5, 6, 7",
        ),
        (IMAGES, None, "data.path: train-images-idx3-ubyte: unknown column 'y'; there are: x"),
        (None, None, "train-images-idx3-ubyte: expected a file, and there is none"),
    ],
)
def test_idx(images, labels, message, fails):
    given = {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels}
    contents = {name: content for name, content in given.items() if content is not None}
    assert message in fails(contents, 'name = "mnist"\npath = "."', units=10)


def test_zipped_idx_that_is_cut_off(fails):
    contents = {"train-images-idx3-ubyte.gz": gzip.compress(IMAGES)[:-12], "train-labels-idx1-ubyte.gz": LABELS}
    assert "train-images-idx3-ubyte.gz: expected a whole file of gzip: Compressed" in fails(
        contents, 'name = "mnist"\npath = "."'
    )


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            'name = "two_moons"\nfeatures = 3',
            "data.features: unknown key 'features'; there are: rows, noise, validation_f",
        ),
        ('name = "parity"\nbits = 9', "expected at most as many bits as features (8), got 9"),
        (
            'name = "teacher"\nrows = 10000000\nfeatures = 100',
            "expected at most 268,435,456 numbers in all rows together",
        ),
        ('name = "teacher"\nnoise = -1', "config.toml:4: data.noise: expected a finite number of at least 0, got -1"),
        (
            'name = "digit"',
            "unknown data set 'digit'; there are: mnist, digits, iris, wine, breast_cancer, diabetes, linnerud",
        ),
        ('name = "digits"\npath = "a.csv"', "data.path: expected either a name or a path, got both 'digits' and"),
        ("seed = 1", "config.toml:2: data: missing key 'name' of a data set (mnist, digits, iris"),
    ],
)
def test_sections(section, message, fails):
    assert message in fails({}, section)


class TestPrediction:
    @pytest.fixture
    def preparation(self, tmp_path):
        path = tmp_path / "train.csv"
        path.write_text("x,flag,kind\n" + "".join(f"{n},{['true', 'false'][n % 2]},{'ab'[n % 2]}\n" for n in range(20)))
        return data.load(data.TableFile(str(path), "kind")).preparation

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("flag,x\ntrue,1\nfalse,many\n", "new.csv:3: column 'x': expected a number, got 'many'"),
            (
                "flag,x\ntrue,1\nfalse,inf\n",
                "new.csv:3: column 'x': expected a number that is finite in float32, got inf",
            ),
            ("flag,x\nmaybe,1\n", "new.csv:2: column 'flag': expected true or false, got 'maybe'"),
            ("flag,y\ntrue,1\n", "new.csv: unknown column 'x'; there are: flag, y."),
        ],
    )
    def test_wrong_cells_are_named(self, preparation, content, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "new.csv").write_text(content)
        with pytest.raises(data.DataError) as error:
            preparation.inputs(data.read("new.csv"))
        assert message in str(error.value)

    def test_arrays_are_no_table(self, preparation, tmp_path):
        np.save(tmp_path / "new.npy", X)
        with pytest.raises(data.DataError, match="expected a table with the column 'x', got arrays"):
            preparation.inputs(data.read(tmp_path / "new.npy"))

    def test_a_broken_preparation_is_reported(self, tmp_path):
        path = tmp_path / "preparation.json"
        column = '{"kind": "Flag", "name": "x", "fill": 0}'
        target = '{"kind": "Classes", "name": "y", "names": ["a", "b"], "form": "text"}'
        good = f'{{"columns": [{column}], "mean": [0], "scale": [1], "target": {target}}}'
        path.write_text(good)
        assert data.read_preparation(path).features == ["x"]
        for old, new in [
            (good, ""), (good, "[]"), (good, "{}"), ("Flag", "Flga"), (column, ""), ('"mean": [0]', '"mean": [0, 1]'),
            ('"scale": [1]', '"scale": [0]'), ('["a", "b"]', '["a"]'), ('["a", "b"]', '["a", "a"]'), ("text", "words"),
            (target, '{"kind": "Numbers", "names": ["y"], "mean": [], "scale": [1]}'), ("}", ""),
        ]:  # fmt: skip
            path.write_text(good.replace(old, new))
            with pytest.raises(data.DataError, match=r"preparation\.json: expected a preparation that densefn wrote"):
                data.read_preparation(path)
