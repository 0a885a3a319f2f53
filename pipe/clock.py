"""Time and ids as arguments: production reads the machine, tests hold them in their hands."""

from __future__ import annotations

import asyncio
import os
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
        await asyncio.sleep(seconds)


_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id() -> str:
    """A message id: 26 signs, sortable by time (48 bits of milliseconds), 80 bits of chance."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join([_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5)])
