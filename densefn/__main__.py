"""The process of the command `densefn`: sets up signals and streams before the imports that take long."""

import os
import sys
import warnings
from contextlib import suppress
from typing import TextIO

from densefn import _interrupted


def main() -> int:
    """Runs the command `densefn` with the arguments of the process.

    Returns:
      The exit status, as of `densefn.cli.main`. A status above 128 ends the process here.
    """
    _interrupted.heed()
    # Python has None for a closed stream. Opening the null device also takes its number, 1 or 2, which the next file to
    # be opened would get otherwise: error messages would be written into it.
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    if not sys.warnoptions:  # warnings of packages concern their code, not the user's; the commands print their own
        warnings.simplefilter("ignore")
    from densefn import cli

    status = cli.main()
    if status > 128:  # stopped by a signal: JAX may still compute in another thread, which crashes as Python shuts down
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
    return status


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123


if __name__ == "__main__":
    sys.exit(main())
