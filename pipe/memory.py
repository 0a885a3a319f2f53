"""How the process keeps its memory once everything is up."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's numbers for what of the heap's end it keeps, and for the size from which on memory is mapped by itself"""


def settle() -> None:
    """What is there now stays: the collector need not look at it again, nor after every few hundred new objects.

    Messages are freed by reference counts; left to itself the collector takes an eighth of a busy gateway's time.
    What is large is mapped by itself: it grows without a copy, and goes back to the system as soon as it is freed. Left
    to itself glibc stops doing so once a large body has been freed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    with suppress(AttributeError):  # not every C library has it
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, 1 << 20)
        # Told one of them it keeps 128 KiB, and each group of messages would take its memory from the system anew.
        library.mallopt(M_TRIM_THRESHOLD, 16 << 20)
