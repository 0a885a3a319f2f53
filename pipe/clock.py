"""Time and ids as arguments: production reads the machine, tests hold them in their hands."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Where the engine asks for time and waits for it."""

    def now(self) -> float:
        """Wall clock, seconds since 1970."""

    def monotonic(self) -> float:
        """A clock that never steps, seconds since some moment."""

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` of the monotonic clock."""


class SystemClock:
    """The machine's own clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds`."""
        await asyncio.sleep(seconds)


_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _CROCKFORD for b in _CROCKFORD]
_CHANCE = 10
"""bytes of chance in an id"""


class _Chance:
    """Random bytes of the system, for 400 ids at once: a system call for each is a twentieth of a message's cost."""

    def __init__(self) -> None:
        self._left = b""
        self._at = 0

    def take(self) -> int:
        if self._at >= len(self._left):
            self._left, self._at = os.urandom(_CHANCE * 400), 0
        self._at += _CHANCE
        return int.from_bytes(self._left[self._at - _CHANCE : self._at], "big")


_chance = threading.local()


def new_id() -> str:
    """A message id: 26 signs, sortable by time (48 bits of milliseconds), 80 bits of chance. Safe in any thread."""
    chance: _Chance | None = getattr(_chance, "pool", None)
    if chance is None:
        chance = _chance.pool = _Chance()
    number = (time.time_ns() // 1_000_000) << 80 | chance.take()
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
