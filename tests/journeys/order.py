"""Orders a process from a nursery: `python -IS order.py SOCKET ARGUMENTS…` is what `python -m pipe ARGUMENTS…` is."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence

MAIN = "pipe.cli:main"
NUMBER = 8
"""bytes of each number that goes over the line"""


def order(
    nursery: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    *,
    streams: Sequence[int] = (0, 1, 2),
    held: bool = False,
    main: str = MAIN,
) -> tuple[int, int]:
    """The number of a process that calls `main` with these arguments, and the line on which its end is told.

    `streams` become its standard ones; `held`: it takes no step before SIGCONT.
    """
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(nursery)
        words = {"arguments": arguments, "environment": dict(environment), "folder": folder, "held": held, "main": main}
        text = json.dumps(words).encode()
        socket.send_fds(line, [len(text).to_bytes(NUMBER, "big")], streams)
        line.sendall(text)
        process = told(line.fileno())
        return process, line.detach()


def told(line: int) -> int:
    """The next number on a line; waits for it. Raises ConnectionResetError where the nursery is gone."""
    number = b""
    while len(number) < NUMBER:
        more = os.read(line, NUMBER - len(number))
        if not more:
            raise ConnectionResetError("the nursery is gone")
        number += more
    return int.from_bytes(number, "big", signed=True)


def main() -> int:
    """The exit code of the process that was ordered, as a shell tells it."""
    code = told(order(sys.argv[1], sys.argv[2:], os.environ, os.getcwd())[1])  # noqa: PTH109 — pathlib takes time
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
