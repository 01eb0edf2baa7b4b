"""The command line, called in this process."""

import io
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from densefn.cli import main
from tests.faults.outcomes import Answer


def call(arguments: Sequence[Any], output: Path | None = None) -> Answer:
    """Runs `densefn` with the arguments.

    Args:
      arguments: of the command.
      output: a file that it is to write, which is taken away.
    """
    out, err = _terminal(), _terminal()
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as the process of the command does
        status = _status(list(map(str, arguments)))
    files = {}
    if output is not None:
        with suppress(FileNotFoundError):
            files[output.name] = output.read_bytes()
            output.unlink()
    return Answer(status, _text(out), _text(err), files)


def _status(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc(file=sys.stderr)
        return 1


def _terminal() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)


def _text(terminal: io.TextIOWrapper) -> str:
    return terminal.detach().getvalue().decode("utf-8", "replace")


def warm(cache: str) -> None:
    """Imports what the commands import, so that children need not, and keeps what they compile in a folder."""
    import jax

    import densefn.export.formats
    import densefn.report
    import densefn.training.exportable
    import densefn.training.runs
    import densefn.training.snapshot
    import densefn.training.trained  # noqa: F401

    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@contextmanager
def hardly_drawn() -> Iterator[None]:
    """Makes pictures of nothing: most of the time of a small run is theirs."""
    from matplotlib.figure import Figure

    drawn = Figure.savefig
    Figure.savefig = _draw_nothing
    try:
        yield
    finally:
        Figure.savefig = drawn


def _draw_nothing(figure: Any, file: io.BytesIO, **options: Any) -> None:
    file.write(_NOTHING[options["format"]])


_NOTHING = {"svg": b'<svg viewBox="0 0 1 1"></svg>', "png": b"\x89PNG\r\n\x1a\n"}
