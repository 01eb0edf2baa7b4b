"""densefn configs, and shipped configs by name."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from densefn.cli import main

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))


def test_all_are_listed_with_what_they_show(capsys):
    assert main(["configs"]) == 0
    entries = capsys.readouterr().out.split("\n\n")
    assert [entry.split()[0] for entry in entries] == [path.stem for path in CONFIGS]
    assert "digits\n  A classifier of handwritten digits" in "\n\n".join(entries)
    assert all(entry.strip().splitlines()[-1].startswith("  Reaches val_") for entry in entries)


def test_one_is_given_to_begin_with(tmp_path, capsys):
    assert main(["configs", "digits"]) == 0
    given = capsys.readouterr().out
    assert given == (ROOT / "configs" / "digits.toml").read_text()
    assert main(["configs", "digits", "-o", str(tmp_path / "mine.toml")]) == 0
    assert (tmp_path / "mine.toml").read_text() == given


def test_an_unknown_one_is_refused_with_the_nearest(capsys):
    assert main(["configs", "digit"]) == 2
    assert capsys.readouterr().err.startswith("unknown config 'digit'; there are: bfloat16, ")


def test_one_is_trained_by_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", "--set", "train.epochs=1"]) == 0
    assert [path.name.split("-")[0] for path in (tmp_path / "runs").iterdir()] == ["digits"]
    Path("digits").write_text("nothing = 1")
    assert main(["train", "digits"]) == 2  # a file comes before a name
    assert "digits:1: nothing: unknown key" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "configs", "predict", "evaluate", "explain"])
def test_help_names_an_example_that_is_taken(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    example = capsys.readouterr().out.split("example: densefn ")[1].split()
    assert example[0] == command


def test_the_config_that_help_shows_is_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    shown = capsys.readouterr().out.split('column "price":')[1].split("A key that")[0]
    Path("mine.toml").write_text(shown.replace("epochs = 30", "epochs = 1"))
    Path("houses.csv").write_text("area,price\n" + "".join(f"{row},{row * 2.5}\n" for row in range(40)))
    assert main(["train", "mine.toml", "--run-dir", "run"]) == 0


def test_an_installed_package_has_them(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import sys; from densefn.cli import main; sys.exit(main(['configs', 'digits']))"
    options = {"cwd": tmp_path, "env": {"PYTHONPATH": str(tmp_path / "site")}, "capture_output": True, "text": True}
    process = subprocess.run([sys.executable, "-P", "-c", code], check=True, **options)
    assert process.stdout == (ROOT / "configs" / "digits.toml").read_text()
