"""The commands of the README and of the pages print what is shown. The conftest above runs their Python blocks."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

import densefn
from densefn.cli import main
from densefn.training import prepare

ROOT = Path(__file__).parents[1]


def blocks(page, language):
    """The code blocks of a language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)


def sessions(*pages):
    """Each command of `densefn` in some pages, with what is shown below it."""
    shown = [block.removeprefix("$ densefn ").partition("\n") for page in pages for block in blocks(page, "console")]
    return [(command, text) for command, _, text in shown if not command.startswith("$")]


def masked(text):
    """Lines without what differs between machines: figures, but for whole numbers that are counted."""
    return [re.sub(r"\d+\.\d+(e[+-]\d+)?|(?<=up to )\S+(?=,)", "#", line) for line in text.splitlines() if line.strip()]


def write_configs(page):
    """Writes each config of a page under the name in its first line."""
    for config in blocks(page, "toml"):
        Path(config.split()[1]).write_text(config)


def check(command, shown, capsys):
    """Runs a command and looks for the lines that are shown, in order; "..." stands for any."""
    words = [
        str(found) for word in shlex.split(command) for found in (sorted(Path().glob(word)) if "*" in word else [word])
    ]
    main(words)
    printed = capsys.readouterr()
    rest = iter(masked(printed.out + printed.err))
    for line in masked(shown):
        assert line == "..." or line in rest, f"$ densefn {command}\n{printed.out}{printed.err}"


@pytest.mark.parametrize(
    "pages",
    [("README.md", "docs/explain.md"), ("docs/training.md",), ("docs/data.md", "docs/export.md")],
    ids=["explain", "train", "data and export"],
)
def test_commands_print_what_is_shown(pages, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for page in pages:
        write_configs(page)
    if "docs/data.md" in pages:
        exec(blocks("docs/data.md", "python")[0], {})  # noqa: S102
    assert sessions(*pages)
    for command, shown in sessions(*pages):
        check(command, shown, capsys)


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?:)(.+?)\)", prose):
        path, _, heading = target.partition("#")
        found = (page.parent / path) if path else page
        assert found.is_file() if page.is_relative_to(ROOT / "docs") else found.exists(), target
        headings = re.findall("^#+ (.+)$", found.read_text(), flags=re.MULTILINE) if heading else []
        assert heading in ["", *(re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings)], target


def test_every_page_is_on_the_website():
    listed = re.findall("^[a-z][a-z/*-]+$", (ROOT / "docs/index.md").read_text(), flags=re.MULTILINE)
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert pages == {path.stem for name in listed for path in (ROOT / "docs").glob(f"{name}.md")} - {"index"}


def test_the_citation_names_this_version():
    assert f"\nversion: {densefn.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_a_wrong_row_is_refused_as_shown(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_configs("docs/data.md")
    Path("houses.csv").write_text("id,area,price\n" + "1,2,3\n" * 7 + "2,n.a.,4\n")
    assert main(["train", "houses.toml"]) == 2
    assert capsys.readouterr().err == blocks("docs/data.md", "text")[0]


def values(key):
    """The code spans in the last column of the row of a key, in the table of keys."""
    [row] = [
        row for row in (ROOT / "docs/training.md").read_text().splitlines() if re.search(rf"^\|.* \| `{key}`", row)
    ]
    return re.findall("`(.+?)`", row.rsplit(" | ", 1)[1])


def test_every_value_in_the_table_of_keys_is_accepted():
    *losses, table = values("loss")
    metrics = values("metrics")
    rows = "\n".join(values(key)[0] for key in ("early_stopping", "keep", "ema"))

    def prepared(data, loss, metrics, outputs):
        config = f"""
            loss = {loss}
            data = {{ name = "{data}" }}
            model = {{ layers = [{{ units = {outputs} }}] }}
            optimizer = {{ name = "adamw", learning_rate = 0.1, clip_norm = 1, accumulate = 2, {values("mask")[0]} }}
            [train]
            epochs = 1
            loss_scale = {values("loss_scale")[0]}
            evaluate_every = 2
            metrics = [{", ".join(metrics)}]
            {rows}
        """
        return list(prepare(tomllib.loads(config)).metrics)

    of_classes, of_numbers = metrics[:7], metrics[7:]
    for loss in (losses[0], table):
        assert prepared("digits", loss, of_classes, 10) == [f"val_{name[1:-1]}" for name in of_classes]
    assert prepared("breast_cancer", losses[1], of_classes[:2], 1)
    for loss in losses[2:]:
        assert prepared("diabetes", loss, of_numbers, 1) == [f"val_{name[1:-1]}" for name in of_numbers]
