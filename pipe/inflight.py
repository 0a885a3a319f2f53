"""Which deliveries were being worked on when the process died: a mapped file that survives kill -9 at no cost.

Nothing is synced: after a power failure the file says nothing, and a power failure is no message's fault.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from pipe.store.lock import usable

SLOTS = 4096
_WIDTH = 8


class InFlight:
    """Slots of eight bytes; a number other than zero is a delivery in work."""

    def __init__(self, path: Path) -> None:
        size = SLOTS * _WIDTH
        with usable(path.parent):
            if not path.exists() or path.stat().st_size != size:
                path.write_bytes(bytes(size))
            with path.open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), size)
        self.left_over = sorted({*struct.unpack(f"<{SLOTS}Q", self._map)} - {0})
        """deliveries that were in work when the process before this one ended"""
        self._map[:] = bytes(size)
        self._free = list(range(SLOTS - 1, -1, -1))

    def enter(self, delivery: int) -> int:
        """Marks a delivery; returns the slot to leave, or -1 where all are taken."""
        if not self._free:
            return -1
        slot = self._free.pop()
        self._map[slot * _WIDTH : slot * _WIDTH + _WIDTH] = delivery.to_bytes(_WIDTH, "little")
        return slot

    def leave(self, slot: int) -> None:
        """Frees a slot."""
        if slot >= 0:
            self._map[slot * _WIDTH : slot * _WIDTH + _WIDTH] = bytes(_WIDTH)
            self._free.append(slot)

    def close(self) -> None:
        """A clean end: nothing was in work."""
        self._map[:] = bytes(len(self._map))
        self._map.close()
