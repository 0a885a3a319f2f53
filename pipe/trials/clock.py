"""Time of a test run: it stands still, and jumps over pauses in which nothing else could happen."""

from __future__ import annotations

import asyncio

START = 1_768_471_200.0
"""2026-01-15 10:00 UTC: `now` and `date` are the same on every run"""
SHORT_S = 2.0
"""pauses up to this are part of one exchange and are jumped over at once"""


class TrialClock:
    """A Clock that moves only when it is told, or when somebody takes a short pause."""

    def __init__(self, now: float = START) -> None:
        self._now = now
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Wall clock, seconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """The same clock: it never steps back."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Returns when the clock has been moved so far; short pauses move it themselves."""
        if seconds <= SHORT_S:
            self.jump(max(0.0, seconds))
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, wake))
        await wake

    def jump(self, seconds: float) -> None:
        """Moves the clock; whoever is due wakes."""
        self._now += seconds
        due = [wake for until, wake in self._sleepers if until <= self._now]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._now and not sleeper[1].done()]
        for wake in due:
            if not wake.done():
                wake.set_result(None)
