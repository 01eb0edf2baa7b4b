"""The base of all sources that are files."""

from dataclasses import KW_ONLY, replace
from pathlib import Path
from typing import Annotated

from densefn import _checks
from densefn.data import files
from densefn.data.preparation import Preparation
from densefn.data.source import Source
from densefn.data.table import Table


class FileSource(Source):
    """Base of the sources that are files.

    Args:
      path: the file. A relative path starts at the config's folder; in `--set` and in Python, at the current folder.
      validation: a file of rows to hold out, with the same format and columns. None holds out a fraction of `path`.
      task: "classification" or "regression"; None is a classification if the target is text, true and false, or a
        few whole numbers (two, or up to 20 with five rows of each on average).
    """

    path: Annotated[str, _checks.text]
    _: KW_ONLY
    validation: Annotated[str | None, _checks.optional(_checks.text)] = None
    task: Annotated[str | None, _checks.optional(_checks.choice("classification", "regression"))] = None

    @property
    def title(self) -> str:
        return Path(self.path).name

    def read(self) -> Table:
        return files.read(self.path)

    def read_validation(self) -> Table | None:
        return None if self.validation is None else files.read(self.validation)

    def resolved(self, preparation: Preparation) -> Source:
        return replace(self, task="classification" if preparation.classes else "regression")
