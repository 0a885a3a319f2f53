"""One gateway for each data folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipe.errors import StoreLocked, StoreUnavailable


@contextmanager
def usable(data: Path) -> Iterator[None]:
    """What the system says against working in the data folder becomes a sentence that names it."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"the data folder {data} cannot be used: {error.strerror or error}") from error


class FolderLock:
    """Held as long as the process lives: the kernel lets go of it, even on kill -9."""

    def __init__(self, data: Path) -> None:
        self._path = data / "lock"
        self._file = -1

    def acquire(self) -> None:
        """Raises StoreLocked with the pid of the holder, StoreUnavailable where the folder cannot be written."""
        with usable(self._path.parent):
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            self._file = -1
            raise StoreLocked(f"the data folder {self._path.parent} is in use by process {holder}") from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Safe twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
