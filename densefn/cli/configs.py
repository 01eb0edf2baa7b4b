"""densefn configs: lists the configs that come with the package, or prints one."""

import argparse
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import densefn
from densefn._values import find
from densefn.cli.console import add_output, fail, write_text

_PACKAGE = Path(densefn.__file__).parent


def shipped() -> dict[str, Path]:
    """The paths of the configs, by name: in the package if it is installed, beside it in a clone."""
    folder = next(folder / "configs" for folder in (_PACKAGE, _PACKAGE.parent) if (folder / "configs").is_dir())
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def config_path(given: str) -> Path:
    """The path of a config: the given file or, if there is none, the shipped config of that name."""
    return Path(given) if Path(given).exists() else shipped().get(given, Path(given))


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "configs",
        help="list the configs that come with densefn",
        description="List the configs that come with densefn, each with what it shows and what it reaches; or print "
        "one of them, to start from.",
        epilog="example: densefn configs digits -o mine.toml",
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="print this config instead of the list")
    add_output(parser)
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.name is None:
        return write_text("\n".join(map(_entry, shipped().values())), arguments.output)
    try:
        path = find(shipped(), arguments.name, "config")
    except ValueError as error:
        return fail(str(error))
    return write_text(path.read_text(encoding="utf-8"), arguments.output)


def _entry(path: Path) -> str:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    shows = textwrap.fill(table["shows"], width=80, initial_indent="  ", subsequent_indent="  ")
    return f"{path.stem}\n{shows}\n  Reaches {table['expect']}.\n"
