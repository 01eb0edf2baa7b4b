"""The paths of three users, each from an empty folder, with only what the README and the help show."""

import csv
import html.parser
import json
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import r2_score

from densefn.cli import main
from tests.cli import promises

CITIES = {"Oslo": 60.0, "Rome": 20.0, "Lima": -30.0}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def densefn(capsys):
    """Runs a command that succeeds, and returns what it prints."""

    def run(command):
        try:
            status = main(shlex.split(command)[1:])
        except SystemExit as ended:  # as --help does
            status = ended.code
        assert status == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


def houses(count, seed):
    """Numbers with gaps, whole numbers, words with gaps, true and false; and what depends on all of them."""
    draw = np.random.default_rng(seed)
    for number in range(count):
        area, rooms, city, garden = (
            draw.uniform(30, 200),
            draw.integers(1, 7),
            draw.choice([*CITIES]),
            draw.random() < 0.4,
        )
        price = 2 * area + 15 * rooms + CITIES[city] + 50 * garden + draw.normal(0, 5)
        area, city = ("" if draw.random() < 0.05 else area), ("" if draw.random() < 0.05 else city)
        yield {
            "id": f"h{number}",
            "area": area,
            "rooms": rooms,
            "city": city,
            "garden": str(garden).lower(),
            "price": round(price, 2),
        }


def write(path, rows, leave_out=()):
    kept = [{key: value for key, value in row.items() if key not in leave_out} for row in rows]
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, kept[0])
        writer.writeheader()
        writer.writerows(kept)


def result(run):
    return json.loads((Path(run) / "result.json").read_text())


class Links(html.parser.HTMLParser):
    """Whatever a page takes from elsewhere."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for key, value in attrs if key in ("src", "href") and not (value or "").startswith("#")]


def test_a_table_of_one_s_own_to_predictions_for_new_rows(densefn):
    write("houses.csv", houses(800, seed=0), leave_out=["id"])
    _, _, shown = densefn("densefn train --help").partition('the column "price":\n\n')
    Path("houses.toml").write_text(textwrap.dedent(shown.partition("\nA key")[0]))

    printed = densefn("densefn train houses.toml --run-dir runs/houses").splitlines()
    assert printed[0] == (
        "houses.csv: 640 rows to train, 160 held out; 4 columns as 8 features; target price: regression"
    )
    assert re.fullmatch(r"30 epochs in .* s: val_r2 0\.\d{4}; open runs/houses/report.html", printed[-1])

    # New rows: other columns too, a city that training did not see, gaps, and no price.
    new = list(houses(200, seed=1))
    new[0]["city"] = "Pune"
    write("new.csv", new, leave_out=["price"])
    assert densefn("densefn predict runs/houses new.csv -o predicted.csv") == ""
    predicted = pl.read_csv("predicted.csv")
    assert predicted.columns == ["id", "area", "rooms", "city", "garden", "predicted price"]
    assert predicted["id"].to_list() == [row["id"] for row in new]
    assert np.isfinite(predicted["predicted price"].to_numpy()).all()
    whole = np.array([row["area"] != "" and row["city"] in CITIES for row in new])
    prices = np.array([row["price"] for row in new])
    assert r2_score(prices[whole], predicted["predicted price"].to_numpy()[whole]) > 0.95
    assert result("runs/houses")["val_r2"] > 0.9

    # Once the prices are known, what is said of them is what was predicted.
    write("sold.csv", new)
    assert float(json.loads(densefn("densefn evaluate runs/houses sold.csv --format json"))["r2"]) == pytest.approx(
        r2_score(prices, predicted["predicted price"]), abs=1e-5
    )

    # Another net, beside the first.
    densefn("densefn train houses.toml --run-dir runs/linear --set model.layers.0.units=1")
    densefn("densefn report runs/houses runs/linear -o comparison.html")
    links = Links()
    links.feed(Path("comparison.html").read_text())
    assert links.found == []


def test_mnist(densefn):
    assert "mnist\n  MNIST: 28 x 28 pixels, ten classes" in densefn("densefn configs")
    densefn("densefn configs mnist -o mine.toml")
    shown = densefn("densefn train mine.toml")
    printed = shown.splitlines()
    assert printed[0].startswith("mnist: 4,000 rows to train, 1,000 held out; 784 features; target y: classification")
    assert printed[-1].partition("(")[2].startswith("val_accuracy >= 0.94 was expected)")
    (run,) = Path("runs").iterdir()
    promises.check("mnist", run, shown)
    matrix = np.array(json.loads((run / "confusion_matrix.json").read_text()))
    assert matrix.sum() == 1000
    accuracy = np.trace(matrix) / 1000
    assert accuracy >= 0.94
    assert result(run)["val_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert f"accuracy  {accuracy:.6g}\n" in densefn(f"densefn evaluate {run}")


def test_a_regression_exported_and_run_elsewhere(densefn, tmp_path):
    densefn("densefn configs early -o mine.toml")
    promises.check("early", "run", densefn("densefn train mine.toml --run-dir run"))
    metrics = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert result("run")["epoch"] == len(metrics) - 10 < 190  # the patience; early
    printed = densefn("densefn export run --format onnx")

    # 442 patients, in the order of the columns that is printed: in their own units on both sides.
    columns = re.findall(r"of (.+)", printed.splitlines()[0])[0].split(", ")
    x = np.random.default_rng(0).normal(size=(50, len(columns))) * 0.05
    write("patients.csv", [dict(zip(columns, row, strict=True)) for row in x.tolist()])
    densefn("densefn predict run patients.csv -o predicted.csv")
    np.save("x.npy", x.astype(np.float32))
    code = "import sys; sys.modules['densefn'] = sys.modules['jax'] = None; import numpy as np; x = np.load('x.npy')\n"
    code += printed.partition("\n\n")[2] + "np.save('y.npy', y)"
    subprocess.run([sys.executable, "-c", code], check=True)
    predicted = pl.read_csv("predicted.csv")["predicted y"].to_numpy()
    assert np.ptp(predicted) > 50
    # Values of some hundreds in float32, added in another order.
    np.testing.assert_allclose(np.load("y.npy")[:, 0], predicted, rtol=1e-5)
