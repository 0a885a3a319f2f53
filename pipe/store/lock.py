"""One gateway for each data folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pipe.errors import StoreLocked


class FolderLock:
    """Held as long as the process lives: the kernel lets go of it, even on kill -9."""

    def __init__(self, data: Path) -> None:
        self._path = data / "lock"
        self._file = -1

    def acquire(self) -> None:
        """Raises StoreLocked with the pid of the holder."""
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
