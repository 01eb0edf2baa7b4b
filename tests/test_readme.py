"""The README's commands print what it shows. Its Python blocks are run by the conftest beside it."""

import re
from pathlib import Path

import numpy as np

from densefn.cli import main
from densefn.training import config, loop

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


def test_what_may_be_added_to_a_config_may_be_added(tmp_path):
    """Every value and every assignment in the table of keys, in a config that needs them."""
    _, _, table = README.partition("What may be added:\n\n")
    spans = re.findall("`(.+?)`", table.partition("\n\n")[0])
    names = [span for span in spans if span.startswith('"')]
    keep, early, ema, mask = (
        next(span for span in spans if span.startswith(f"{key} = "))
        for key in ("keep", "early_stopping", "ema", "mask")
    )
    [loss] = [span for span in spans if span.startswith("{")]
    path = tmp_path / "mine.toml"

    def prepared(data, loss, metrics, outputs):
        path.write_text(f"""
            loss = {loss}
            data = {{ name = "{data}" }}
            model = {{ layers = [{{ units = {outputs} }}] }}
            optimizer = {{ name = "adamw", learning_rate = 0.1, clip_norm = 1, accumulate = 2, {mask} }}
            [train]
            epochs = 1
            loss_scale = "dynamic"
            evaluate_every = 2
            metrics = [{", ".join(metrics)}]
            {early}\n{keep}\n{ema}
        """)
        return loop.prepare(config.load(path))

    of_classes, of_numbers = names[7:14], names[14:17]
    for given in (names[0], loss):
        assert list(prepared("digits", given, of_classes, 10).metrics) == [f"val_{name[1:-1]}" for name in of_classes]
    assert prepared("breast_cancer", names[1], of_classes[:2], 1)
    for given in names[2:7]:
        assert list(prepared("diabetes", given, of_numbers, 1).metrics) == [f"val_{name[1:-1]}" for name in of_numbers]


def test_a_table_of_one_s_own_is_trained_on(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    section = README.partition("### Data of your own")[2]
    Path("houses.toml").write_text(section.partition("```toml\n")[2].partition("```")[0])
    draw = np.random.default_rng(0)
    rows = (
        f"{number},{draw.choice([area, ''])},{draw.choice(['Oslo', 'Rome', 'Kyiv', ''])},{draw.integers(1, 7)},"
        f"{draw.choice(['true', 'false'])},{area * 2000}"
        for number, area in enumerate(draw.integers(50, 150, 400).tolist())
    )
    Path("houses.csv").write_text("\n".join(["id,area,city,rooms,garden,price", *rows]))
    assert main(["train", "houses.toml", "--run-dir", "run"]) == 0
    for told in capsys.readouterr().out.splitlines()[:2]:
        assert told in " ".join(section.split())
    Path("houses.csv").write_text("id,area,price\n" + "1,2,3\n" * 7 + "2,n.a.,4\n")
    assert main(["train", "houses.toml"]) == 2
    assert capsys.readouterr().err.partition(";")[0] in " ".join(section.split())
