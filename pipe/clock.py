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
_SIGN_OF_BYTE = _CROCKFORD.encode() * 8
_CHANCE = 16
"""signs of chance in an id, five bits each"""


class _Ids(threading.local):
    """What a thread has at hand for its next ids: signs of chance for 400, as asking the system for each is dear."""

    millisecond, prefix = -1, ""
    chance, at = "", 0


_ids = _Ids()


def new_id() -> str:
    """A message id: 26 signs, sortable by time (48 bits of milliseconds), 80 bits of chance. Safe in any thread."""
    ids, now, at = _ids, time.time_ns() // 1_000_000, _ids.at
    if now != ids.millisecond:
        ids.millisecond = now
        ids.prefix = "".join([_PAIRS[now >> shift & 1023] for shift in (40, 30, 20, 10, 0)])
    if at >= len(ids.chance):
        ids.chance, at = os.urandom(_CHANCE * 400).translate(_SIGN_OF_BYTE).decode(), 0
    ids.at = at + _CHANCE
    return ids.prefix + ids.chance[at : at + _CHANCE]
