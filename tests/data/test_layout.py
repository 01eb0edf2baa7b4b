"""Tables of text as people write them: delimiters, and lines above, beside and below the rows."""

import cProfile
import gzip
import os
import pstats
import re
import socket

import numpy as np
import pandas as pd
import polars as pl
import pytest

from densefn import data
from densefn.data import cells, files, gzipped

PLAIN = {"x": ["1", "2", "3"], "y": ["a", "b", "c"]}

PACKED = gzip.compress(b"x,y\n1,2\n", mtime=0)  # without a time: it is part of a test's name


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads a file of some content."""
    monkeypatch.chdir(tmp_path)

    def read(content, name="t.csv"):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return data.read(name)

    return read


def lists(table):
    return {name: column.to_list() for name, column in table.columns.items()}


LAYOUTS = {
    "comma": ("x,y\n1,a\n2,b\n3,c\n", 2),
    "semicolon": ("x;y\n1;a\n2;b\n3;c\n", 2),
    "tab": ("x\ty\n1\ta\n2\tb\n3\tc\n", 2),
    "bar": ("x|y\n1|a\n2|b\n3|c\n", 2),
    "told": ("sep=;\nx;y\n1;a\n2;b\n3;c\n", 3),
    "told in quotes": ('"sep=;"\r\nx;y\r\n1;a\r\n2;b\r\n3;c\r\n', 3),
    "told, another one": ("sep=^\nx^y\n1^a\n2^b\n3^c\n", 3),
    "byte order mark": ("\ufeffx,y\n1,a\n2,b\n3,c\n", 2),
    "byte order mark and told": ("\ufeffsep=\t\nx\ty\n1\ta\n2\tb\n3\tc\n", 3),
    "comments": ("# made on Monday\n#by, someone\n\nx,y\n1,a\n2,b\n3,c\n", 5),
    "a header that is a comment": ("# by someone\n# x,y\n1,a\n2,b\n3,c\n", 3),
    "empty lines": ("\n  \nx,y\n\n1,a\n  \n2,b\n3,c\n\n\n", 5),
    "trailing commas": ("x,y,\n1,a,\n2,b,\n3,c, \n", 2),
    "trailing commas of rows": ("x,y\n1,a,,\n2,b,,\n3,c,,\n", 2),
    "trailing commas of the header": ('x,y,,\n1,a,"",\n2,b,,\n3,c,,\n', 2),
    "blanks before quotes": ('x, "y"\n1, "a"\n2,  "b"\n3, "c"\n', 2),
    "mixed ends of lines": ("x,y\r\n1,a\n2,b\r\n3,c", 2),
    "doubled ends of lines": ("x,y\r\r\n1,a\r\r\n2,b\r\r\n3,c\r\r\n", 2),
}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".CSV", ".csv.gz", ".tsv.gz"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_read(name, suffix, read):
    content, line = LAYOUTS[name]
    written = gzip.compress(content.encode()) if suffix.endswith(".gz") else content
    table = read(written, f"t{suffix}")
    assert {key: [cell.strip() for cell in cells] for key, cells in lists(table).items()} == PLAIN
    assert table.lines[0] == (5 if name == "empty lines" else line)
    assert table.notes == table.index == ()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("x\n1\n2\n", {"x": ["1", "2"]}),
        ('x\n1\n""\n', {"x": ["1", ""]}),  # as pandas writes a gap at the end of one column
        ("x;y\n1,5;2,5\n", {"x": ["1,5"], "y": ["2,5"]}),
        ("size, cm;weight, kg\n1,5;2,5\n", {"size, cm": ["1,5"], "weight, kg": ["2,5"]}),
        ("name,note\nann,a;b\nbob,c;d;e\n", {"name": ["ann", "bob"], "note": ["a;b", "c;d;e"]}),
        ("a,b;c\n1,2\n3,4\n", {"a": ["1", "3"], "b;c": ["2", "4"]}),
        ('"x;1","y;2"\n1,2\n', {"x;1": ["1"], "y;2": ["2"]}),
        ("x\ty, z\n1\ta, b\n", {"x": ["1"], "y, z": ["a, b"]}),
        ("x,y\n#4,a\n", {"x": ["#4"], "y": ["a"]}),
        ("# a, b\nx,y\nred,a\n", {"x": ["red"], "y": ["a"]}),
        ("#x\n1\n2\n", {"x": ["1", "2"]}),
        ("x,y\n1,\n2,\n", {"x": ["1", "2"], "y": ["", ""]}),
        (f"x,y\n1,{'a' * 300_000}\n", {"x": ["1"], "y": ["a" * 300_000]}),
        ("cafe\u0301,y\nnai\u0308f,\u22123\n", {"caf\xe9": ["na\xeff"], "y": ["-3"]}),
    ],
)
def test_the_delimiter_is_the_one_that_the_rows_agree_on(content, expected, read):
    assert lists(read(content)) == expected


def test_many_comments_above_a_header(read):
    content = "".join(f"##line {k}\twith a tab\n" for k in range(500)) + "#CHROM\tPOS\n1\t2\n"
    table = read(content, "variants.tsv")
    assert (lists(table), list(table.lines)) == ({"CHROM": ["1"], "POS": ["2"]}, [502])


def test_empty_rows_at_the_end_are_left_out_and_reported(read):
    table = read("x,y\n1,a\n,\n2,b\n,\n , \n,,,\n")
    assert lists(table) == {"x": ["1", "", "2"], "y": ["a", "", "b"]}
    assert list(table.lines) == [2, 3, 4]
    assert table.notes == ("t.csv: left out at the end, as they are empty: lines 5, 6, 7",)
    assert read("x,y\n1,a\n,\n").notes == ("t.csv: left out at the end, as they are empty: line 3",)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "__index_level_0__"])
@pytest.mark.parametrize("cells", [["0", "1", "2"], ["7", "3", "5"], ["p", "q", "r"]])
def test_the_index_of_pandas_is_no_input(name, cells, read):
    table = read(f"{name},x,y\n" + "".join(f"{cells[k]},{k},{'ab'[k % 2]}\n" for k in range(3)))
    said = "column 1, without a name," if not name else f"column {name!r}"
    assert table.notes == (f"t.csv: {said} is taken for the index of pandas, and is no input",)
    assert list(table.columns) == [name, "x", "y"]  # so `predict` writes it beside what it says
    preparation = data.TableFile("t.csv", "y", ignore=()).fit(table, np.arange(3))
    assert preparation.features == ["x"]


def test_the_index_of_pandas_in_parquet_is_no_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pl.DataFrame({"x": [1.0, 2.0], "__index_level_0__": [4, 7]}).write_parquet("t.parquet")
    table = data.read("t.parquet")
    assert (table.index, table.inputs) == (("__index_level_0__",), ["x"])
    assert table.notes == ("t.parquet: column '__index_level_0__' is taken for the index of pandas, and is no input",)


def test_empty_rows_at_the_end_of_parquet_are_left_out_and_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pl.DataFrame({"x": [1.0, None, 2.0, None, None], "y": ["a", None, None, None, None]}).write_parquet("t.parquet")
    table = data.read("t.parquet")
    assert lists(table) == {"x": [1.0, None, 2.0], "y": ["a", None, None]}
    assert table.notes == ("t.parquet: left out at the end, as they are empty: rows 4, 5",)
    pl.DataFrame({"x": [1.0, None]}).write_parquet("one.parquet")
    assert lists(data.read("one.parquet")) == {"x": [1.0, None]}


def test_several_columns_without_a_name_leave_one(read):
    assert lists(read(",,x\n1,2,3\n4,5,6\n")) == {"": ["1", "4"], "x": ["3", "6"]}


@pytest.mark.parametrize("written", ["caf\xe9", "cafe\u0301"])
@pytest.mark.parametrize("asked", ["caf\xe9", "cafe\u0301"])
def test_letters_composed_and_decomposed_are_the_same(written, asked, read):
    table = read(f"{written},y,z\n" + f"{written},1,1\nbar,2,3\n" * 5)
    preparation = data.TableFile("t.csv", asked, categorical="y").fit(table, np.arange(10))
    assert preparation.targets == ("caf\xe9",)
    assert preparation.classes == ("bar", "caf\xe9")
    assert data.TableFile("t.csv", "y", ignore=asked).fit(table, np.arange(10)).features == ["z"]
    assert len(table.series(asked)) == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y\n1,a\n2\n3,c\n4,d,e\n", "t.csv:3: expected 2 fields as in the header, got 1, and another number than the "
         "header in line 5; a field that holds ',' is put in quotes"),
        ("x,y\n1,a,\n2,b\n3,c\n", "t.csv:2: expected 2 fields as in the header, got 3; a field"),
        ("sep=;\n# a\nx;y\n1;a;b\n", "t.csv:4: expected 2 fields as in the header, got 3; a field that holds ';'"),
        ("x,y\n1,a\n#2\n", "t.csv:3: expected 2 fields as in the header, got 1"),
        ("cafe\u0301,caf\xe9\n1,2\n", "t.csv:1: expected unique names, and columns 1 and 2 are both 'caf\xe9'"),
        ("# a\n# b\n", "t.csv: expected a header, a line with the names of the columns; the file begins without one"),
        ("sep=;\n", "t.csv: expected a header"),
        ("x,y\n,\n,,\n", "t.csv: expected rows below the header, got none"),
        ('# a\nx,y\n1,"a\n', "t.csv:3: the file ends inside a quoted field that begins in this row"),
        ("x,y\n1,\"a\"b\n", "t.csv:2: ',' expected after '\"', in this row or a quoted field that begins in it; a"),
        ("x,y" + "\r1,2" * 2**22, "t.csv:1: the line is longer than 16,777,216 bytes; do lines end with \\r alone?"),
        (b"PK\x03\x04...", "t.csv: expected a table of text, and the file is a workbook of Excel or another"),
        (b"PAR1....", "t.csv: expected a table of text, and the file is a Parquet file, whose name ends in .parquet"),
        (PACKED[:-9], "t.csv: expected a whole file of gzip: Compressed file ended before"),
        (PACKED[:5], "t.csv: expected a whole file of gzip: Compressed file ended before"),
        (PACKED[:-8] + b"12345678", "t.csv: expected a whole file of gzip: CRC check failed"),
        (PACKED[:12] + b"\xff" * 30, "t.csv: expected a whole file of gzip: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(content, message, read):
    with pytest.raises(data.DataError, match=re.escape(message)):
        read(content)


def test_a_gzipped_file_of_zeros_does_not_take_all_memory(read, monkeypatch):
    monkeypatch.setattr(gzipped, "most_unpacked", lambda size, _: 100 * size)
    with pytest.raises(data.DataError, match=r"t\.csv\.gz: the file unpacks to more than it should; expected at most"):
        read(gzip.compress(b"x,y\n" + b"1,2\n" * 100_000, mtime=0), "t.csv.gz")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".npy", ".npz"])
def test_a_path_that_is_not_a_file_is_reported_and_not_waited_for(suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(f"pipe{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / f"device{suffix}").symlink_to("/dev/zero")
    (tmp_path / f"loop{suffix}").symlink_to(f"loop{suffix}")
    (tmp_path / f"nowhere{suffix}").symlink_to("empty")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"socket{suffix}")
    for name, what in {
        "pipe": "a file, and there is a pipe", "folder": "a file, and there is a folder",
        "device": "a file, and there is a device", "socket": "a file, and there is a socket",
        "loop": "a file to read: Too many levels of symbolic links", "nowhere": "a file, and there is none",
        "x" * 300: "a file to read: File name too long", "a\0b": "the path of a file: ", "\udc80\ud800": "the path",
    }.items():  # fmt: skip
        with pytest.raises(data.DataError, match=f": expected {what}") as error:
            data.read(f"{name}{suffix}")
        assert str(error.value).isprintable() or "\0" in name


def test_a_name_of_bytes_that_are_no_text_is_shown_with_escapes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text("x\n1,2\n")
    with pytest.raises(data.DataError, match=r"caf\\udce9\.csv:2: expected 1 fields"):
        data.read(os.fsdecode(b"caf\xe9.csv"))


def test_a_file_is_read_where_the_current_folder_is_gone(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("x\n1\n")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert lists(data.read(tmp_path / "t.csv")) == {"x": ["1"]}


def test_parquet_of_other_writers_is_read_as_numbers_and_text(tmp_path):
    frame = pl.DataFrame({
        "price": pl.Series(["1.50", "2.25"]).cast(pl.Decimal(10, 2)),
        "word": pl.Series([b"\xc3\xa9", b"e\xcc\x81"], dtype=pl.Binary),
    })  # fmt: skip
    folder = tmp_path / "year=2024"
    folder.mkdir()
    frame.write_parquet(folder / "t.parquet")
    assert lists(data.read(folder / "t.parquet")) == {"price": [1.5, 2.25], "word": ["\xe9", "\xe9"]}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("+5", 5.0), ("1e5", 1e5), (" 12 ", 12.0), ("1e-400", 0.0), (".5", 0.5), ("1.", 1.0), ("\u22123.5", -3.5),
        ("0.1", 0.1), ("123456789.123456789", 123456789.123456789), ("1e38", 1e38), ("5e-324", 5e-324), ("00012", 12.0),
        ("0." + "0" * 1000 + "1", 0.0), ("2.2250738585072011e-308", 2.2250738585072011e-308),
    ],
)  # fmt: skip
def test_numbers_are_the_nearest_of_float64(cell, value, read):
    assert cells.numbers(read(f"x,z\n{cell},1\n"), "x").tolist() == [value]


@pytest.mark.parametrize(
    "cell",
    [
        "1" + "0" * 400,
        "9" * 20_000,
        "1e400",
        "-1e39",
        "inf",
        "-Infinity",
        "1_000",
        "0x10",
        "\u0661\u0662",
        "1e",
        "--5",
        "1d5",
    ],
)
def test_what_is_no_number_of_float32_is_refused_with_its_place(cell, read):
    table = read(f"x,z\n1,1\n2,2\n3,3\n{cell},4\n")
    with pytest.raises(data.DataError, match=r"t\.csv:5: column 'x': expected a number") as error:
        cells.numbers(table, "x")
    assert len(str(error.value)) < 200


def test_a_frame_that_pandas_writes_comes_back(tmp_path):
    frame = pd.DataFrame({"x": [1.5, None, 3.0], "\xe9": ["a", None, "c,d"]})
    frame.to_csv(tmp_path / "t.csv.gz")
    table = data.read(tmp_path / "t.csv.gz")
    assert lists(table) == {"": ["0", "1", "2"], "x": ["1.5", "", "3.0"], "\xe9": ["a", "", "c,d"]}


def test_a_column_of_a_table_takes_little_time_however_many_there_are(tmp_path):
    names = [f"c{k}" for k in range(300)]
    draw = np.random.default_rng(0).normal(size=(60, 300)).round(3)
    frame = pd.DataFrame(draw, columns=names).assign(y=["a", "b"] * 30)
    frame.loc[3, "c150":"c299"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    with cProfile.Profile() as profile:
        table = data.read(tmp_path / "t.csv")
        preparation = data.TableFile("t.csv", "y").fit(table, np.arange(48))
        inputs = preparation.inputs(table.take(np.arange(60)))
    of_polars = [calls for (file, *_), (_, calls, *_) in pstats.Stats(profile).stats.items() if "polars" in file]
    assert sum(of_polars) / 300 < 400  # 190 for a column, and 1,860 with an operation of Polars for each step
    with pytest.raises(data.DataError, match=r"'c9x'; there are: c0, .*c99, and 201 more\. Did you mean 'c9'") as error:
        table.series("c9x")
    assert len(str(error.value)) < 1000
    scaled = draw - np.nanmean(frame[names].iloc[:48], axis=0)
    scaled /= np.std(frame[names].iloc[:48].fillna(frame[names].iloc[:48].mean()), axis=0, ddof=0).to_numpy()
    scaled[3, 150:] = 0
    np.testing.assert_allclose(inputs, scaled, atol=1e-5)


def test_parquet_that_is_not_whole_is_named_without_a_panic_s_trace(tmp_path, capfd):
    path = tmp_path / "t.parquet"
    pl.DataFrame({"x": np.arange(9.0), "y": ["a", "b", "c"] * 3}).write_parquet(path, compression="uncompressed")
    good = path.read_bytes()
    refused = 0
    for place in range(4, 130):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x80]) + good[place + 1 :])
        try:
            data.read(path)
        except data.DataError:
            refused += 1
    assert refused > 10
    assert capfd.readouterr() == ("", "")


def test_parquet_of_more_rows_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    pl.DataFrame({"x": np.zeros(2**20), "y": np.zeros(2**20)}).write_parquet(tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 2**14
    assert len(data.read(tmp_path / "t.parquet")) == 2**20
    monkeypatch.setattr(files, "machine_memory", lambda: 2**24)
    with pytest.raises(data.DataError, match="got 1,048,576 rows of 2 columns, which take 0.0 GiB"):
        data.read(tmp_path / "t.parquet")


def test_a_blank_row_among_rows_with_a_delimiter_at_their_end_is_a_row(read):
    table = read("x,y\n1,2,\n,,\n3,4,\n")
    assert lists(table) == {"x": ["1", "", "3"], "y": ["2", "", "4"]}
