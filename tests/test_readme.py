"""The README's commands print what it shows. Its Python blocks are run by the conftest beside it."""

from pathlib import Path

from densefn.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text()

MISTAKEN = """\
[data]
name = "digits"

# A key is misspelled,
batch_siz = 64

[[model.layers]]
units = 128
kernel_constraint = "maxnorm"

[optimizer]
name = "sgd"
learning_rate = 0.1

[train]
epochs = 1
"""


def shown(command):
    """What the README shows under a command of `densefn`."""
    _, _, rest = README.partition(f"```console\n$ densefn {command}\n")
    return rest.partition("```")[0]


def test_the_question_s_layer_is_explained(capsys):
    command = "explain --units 25600 --no-bias --input-shape 32,100"
    assert main(command.split()) == 0
    explained, _, _ = capsys.readouterr().out.partition("What XLA makes of it")
    assert explained.strip() == shown(command).strip() != ""


def test_mistakes_in_a_config_are_reported(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(MISTAKEN)
    assert main(["train", "mine.toml"]) == 2
    assert capsys.readouterr().err.strip() == shown("train mine.toml").strip() != ""
