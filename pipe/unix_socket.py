"""Paths of Unix sockets that are longer than such paths may be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reachable(socket: Path) -> Iterator[str]:
    """The socket's path, through a descriptor of its folder: such paths may have 107 bytes only."""
    folder = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{socket.name}"
    finally:
        os.close(folder)
