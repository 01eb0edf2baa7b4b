"""densefn predict and densefn evaluate as their users run them."""

import io
import json
import shutil

import numpy as np
import polars as pl
import pytest

from densefn import checkpoint
from densefn.cli import main
from tests.training.runs_made import seal

CONFIG = """
[data]
path = "flowers.csv"
target = "kind"

[[model.layers]]
units = 8
activation = "tanh"

[[model.layers]]
units = 2

[optimizer]
name = "adam"
learning_rate = 0.05

[train]
epochs = 15
metrics = ["accuracy", "auc"]
"""
HEADER = "length,color,wild,kind\n"
PREDICTED = ["predicted kind", "probability lily", "probability rose"]


def flowers(count, seed=0):
    draw = np.random.default_rng(seed)
    length, color = draw.normal(5, 2, count), draw.choice(["red", "white, pale", "blå"], count)
    wild = draw.choice(["true", "false"], count)
    return "".join(
        f'{"" if i % 7 == 0 else length[i]},"{color[i]}",{wild[i]},{"rose" if length[i] > 5 else "lily"}\n'
        for i in range(count)
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flowers")
    (folder / "flowers.csv").write_text(HEADER + flowers(300), encoding="utf-8")
    (folder / "flowers.toml").write_text(CONFIG)
    assert main(["train", str(folder / "flowers.toml"), "--run-dir", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_spreadsheet_s_file_is_predicted_without_its_empty_rows(trained, tmp_path, capsys):
    (tmp_path / "new.csv").write_bytes(
        b"\xef\xbb\xbfsep=;\r\n;length;color;wild\r\n7;9.5;red;true\r\n9;1;red;\r\n;;;\r\n"
    )
    assert main(["predict", str(trained), "new.csv"]) == 0
    out, err = capsys.readouterr()
    frame = pl.read_csv(io.StringIO(out))
    assert frame[:, 0].to_list() == [7, 9]
    assert frame["predicted kind"].to_list() == ["rose", "lily"]
    assert err.splitlines() == [
        "new.csv: column 1, without a name, is taken for the index of pandas, and is no input",
        "new.csv: left out at the end, as they are empty: line 5",
    ]


@pytest.mark.parametrize(("colors", "example"), [(["Rot", "Gelb"], "'Rot'"), (["", ""], "a missing value")])
def test_rows_with_unseen_levels_are_reported(colors, example, trained, tmp_path, capsys):
    rows = [f"5,{color},true,{kind}" for color, kind in zip(colors, ["rose", "lily"], strict=True)]
    (tmp_path / "new.csv").write_text("\n".join([HEADER.strip(), *rows]))
    for command in ("predict", "evaluate"):
        assert main([command, str(trained), "new.csv"]) == 0
        said = f"'color': 2 of 2 rows hold a level that training did not see, or too rarely, such as {example}; it"
        assert said in capsys.readouterr().err


def test_new_rows_are_predicted(trained, tmp_path, capsys):
    # Columns in another order, one more, no target; a gap, and a color that training has not seen.
    given = "wild,note,length,color\ntrue,a,9.5,red\nfalse,b,0.5,blå\ntrue,c,,green\n"
    (tmp_path / "new.csv").write_text(given, encoding="utf-8")
    assert main(["predict", str(trained), "new.csv"]) == 0
    out, err = capsys.readouterr()
    unseen = "rows hold a level that training did not see, or too rarely, such as"
    assert err == f"new.csv: column 'color': 1 of 3 {unseen} 'green'; it counts as other\n"
    frame = pl.read_csv(io.StringIO(out))
    assert frame.columns == [*given.splitlines()[0].split(","), *PREDICTED]
    assert frame["predicted kind"].to_list()[:2] == ["rose", "lily"]
    assert frame["color"].to_list() == ["red", "blå", "green"]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("out.csv", pl.read_csv),
        ("out.tsv", lambda path: pl.read_csv(path, separator="\t")),
        ("out.parquet", pl.read_parquet),
    ],
)
def test_a_file_of_predictions_is_that_of_the_terminal(name, read, trained, tmp_path, capsys):
    (tmp_path / "new.csv").write_text(HEADER + flowers(20, seed=1), encoding="utf-8")
    assert main(["predict", str(trained), "new.csv", "-o", name]) == 0
    assert capsys.readouterr().out == ""
    assert main(["predict", str(trained), "new.csv"]) == 0
    shown = pl.read_csv(io.StringIO(capsys.readouterr().out))
    assert read(tmp_path / name)[PREDICTED].equals(shown[PREDICTED])
    assert (shown["predicted kind"] == shown["kind"]).mean() > 0.7  # a seventh of the lengths is missing


def test_held_out_and_new_rows_are_evaluated(trained, tmp_path, capsys):
    kept = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    assert main(["evaluate", str(trained), "--format", "json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured == pytest.approx({name: kept[f"val_{name}"] for name in ("loss", "accuracy", "auc")}, rel=1e-5)
    (tmp_path / "new.csv").write_text(HEADER + flowers(50, seed=2), encoding="utf-8")
    assert main(["evaluate", str(trained), "new.csv", "-o", "out.txt"]) == 0
    assert main(["predict", str(trained), "new.csv", "-o", "out.csv"]) == 0
    lines = dict(line.split() for line in (tmp_path / "out.txt").read_text().splitlines())
    frame = pl.read_csv(tmp_path / "out.csv")
    assert float(lines["accuracy"]) == pytest.approx((frame["predicted kind"] == frame["kind"]).mean(), abs=1e-6)


def test_an_undefined_metric_is_null(trained, tmp_path, capsys):
    (tmp_path / "new.csv").write_text(HEADER + "9,red,true,rose\n8,red,true,rose\n")
    assert main(["evaluate", str(trained), "new.csv", "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out, parse_constant=pytest.fail)["auc"] is None
    assert err == "null replaces metrics that are undefined for these rows: auc\n"


@pytest.mark.parametrize(
    "case",
    [
        (np.nan, (2, 2, 2), ["model.safetensors: expected finite parameters, got nan or inf in 1/kernel"] * 3),
        (
            3e38,  # finite, and its products are not
            (2, 2, 1),
            [
                "the model's output for line 2 is not finite",
                "the model's loss for these rows is ",
                "nothing is written: ",
            ],
        ),
    ],
)
def test_a_model_of_no_numbers_says_nothing(case, trained, tmp_path, capsys):
    value, statuses, messages = case
    run = shutil.copytree(trained, tmp_path / "run")
    layer, params = checkpoint.load(run / "model.safetensors")
    params["1"]["kernel"] = np.full_like(params["1"]["kernel"], value)
    params["0"]["bias"] = np.full_like(params["0"]["bias"], 1e3)  # tanh is 1
    checkpoint.save(run / "model.safetensors", layer, params, checkpoint.describe(run / "model.safetensors")[1])
    seal(run)
    (tmp_path / "new.csv").write_text(HEADER + "9,red,true,rose\n")
    commands = (["predict", str(run), "new.csv"], ["evaluate", str(run), "new.csv"], ["export", str(run), "--format"])
    for command, status, message in zip(commands, statuses, messages, strict=True):
        assert main([*command, *["stablehlo"] * (command[0] == "export")]) == status
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
        assert err.count("\n") == 1
    assert not (run / "model.stablehlo").exists()


WRONG = {
    "no column": ("length,wild,kind\n1,true,rose\n", "new.csv: unknown column 'color'; there are: length, wild, kind"),
    "a word": (HEADER + "1,red,true,rose\nlong,red,true,rose\n", "new.csv:3: column 'length': expected a number"),
    "ragged": (HEADER + "1,red\n", "new.csv:2: expected 4 fields as in the header, got 2"),
    "empty": ("", "new.csv: "),
    "header alone": (HEADER, "new.csv: "),
}


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_rows_are_refused(name, command, trained, tmp_path, capsys):
    content, message = WRONG[name]
    (tmp_path / "new.csv").write_text(content)
    assert main([command, str(trained), "new.csv", "-o", "out.csv"]) == 2
    assert capsys.readouterr().err.startswith(message)
    assert not (tmp_path / "out.csv").exists()


def test_a_class_that_training_did_not_have_is_refused(trained, tmp_path, capsys):
    (tmp_path / "new.csv").write_text(HEADER + "1,red,true,rose\n2,red,true,tulip\n")
    assert main(["evaluate", str(trained), "new.csv"]) == 2
    assert capsys.readouterr().err.startswith("new.csv:3: column 'kind': ")
    (tmp_path / "new.csv").write_text(HEADER + "1,red,true,rose\n2,red,true,\n")
    assert main(["evaluate", str(trained), "new.csv"]) == 2
    assert "kind" in capsys.readouterr().err
    assert main(["predict", str(trained), "new.csv"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["predict", "nowhere", "new.csv"],
            "nowhere: expected the folder of a run, with config.toml and manifest.json",
        ),
        (["evaluate", "nowhere"], "nowhere: expected the folder of a run, with config.toml and manifest.json"),
        (["predict", "RUN", "none.csv"], "none.csv: expected a file, and there is none"),
        (["predict", "RUN", "new.doc"], "new.doc: expected a file whose name ends in .csv"),
        (["predict", "RUN", "new.csv", "-o", "nowhere/out.csv"], "--output nowhere/out.csv: No such file or directory"),
    ],
)
def test_wrong_names_are_refused(arguments, message, trained, tmp_path, capsys):
    (tmp_path / "new.csv").write_text(HEADER + flowers(2))
    assert main([str(trained) if argument == "RUN" else argument for argument in arguments]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_a_form_that_cannot_be_written_is_refused(trained, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["predict", str(trained), "new.csv", "-o", "out.doc"])
    assert "expected the name of a file that ends in .csv, .tsv, .parquet, got 'out.doc'" in capsys.readouterr().err
