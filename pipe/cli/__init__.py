"""The command line. The only package that prints or exits."""

from __future__ import annotations

import sys

from pipe.cli.root import app
from pipe.errors import PipeError

__all__ = ["main"]

COULD_NOT_RUN = 2


def main() -> None:
    """Runs the command of `sys.argv`; exit codes: 0 good, 1 found something wrong, 2 could not run."""
    try:
        app(prog_name="pipe")
    except PipeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(COULD_NOT_RUN)
