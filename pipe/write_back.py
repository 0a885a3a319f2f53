"""Has the disk begin with a large file before all of it is there, so that syncing it at the end does not take long."""

from __future__ import annotations

import os

BEGUN = 4 << 20
"""bytes that the disk begins to write at once"""


class WriteBack:
    """What one writer tells of its progress. It promises nothing: the file is synced at its end all the same."""

    def __init__(self, file: int) -> None:
        """`file` is the descriptor of a file that is written from its beginning to its end."""
        self._file = file
        self._written = self._begun = 0

    def wrote(self, size: int) -> None:
        """So many bytes more are with the operating system."""
        self._written += size
        waits = self._written - self._begun
        if waits >= BEGUN and hasattr(os, "posix_fadvise"):
            # Linux begins to write what is dirty in such a range, does not wait for it, and keeps it in memory.
            os.posix_fadvise(self._file, self._begun, waits, os.POSIX_FADV_DONTNEED)
            self._begun = self._written
