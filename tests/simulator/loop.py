"""An event loop whose time jumps to whatever is next, and which dies on command between any two callbacks."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

THREAD_S = 0.004
"""longest time that the work of a thread waits before it begins, and again before its result is heard"""
MOST_STEPS = 400_000
"""callbacks in one life; more is a loop that turns without end"""


class Crash(SystemExit):
    """The process is killed. A SystemExit, as those pass through tasks and callbacks and out of the loop."""


class Endless(Exception):
    """The loop turns and turns while no time passes, or it waits for something that never comes."""


@dataclass(slots=True)
class Time:
    """Outlives the loops: a killed process takes no time with it."""

    monotonic: float = 1000.0
    wall: float = 1_768_471_200.0
    """2026-01-15 10:00 UTC at the beginning, in seconds since 1970"""

    def move(self, to: float) -> None:
        """Both clocks go on."""
        self.wall += to - self.monotonic
        self.monotonic = to


@dataclass(slots=True)
class VirtualClock:
    """See `pipe.clock.Clock`."""

    time: Time

    def now(self) -> float:
        """Wall clock, seconds since 1970."""
        return self.time.wall

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self.time.monotonic

    async def sleep(self, seconds: float) -> None:
        """Returns after `seconds` of the loop's time."""
        await asyncio.sleep(max(0.0, seconds))


@dataclass(slots=True)
class Names:
    """Ids that are counted, as long as real ones and sorted like them."""

    last: int = field(default=0)

    def __call__(self) -> str:
        """The next one."""
        self.last += 1
        return f"{self.last:026d}"


class VirtualLoop(asyncio.BaseEventLoop):
    """One life of the process. Callbacks run in the order that asyncio promises; only time and threads are not real."""

    def __init__(self, time: Time, chance: Random) -> None:
        super().__init__()
        self._time, self._chance = time, chance
        self._steps = 0
        self._dies_at = MOST_STEPS
        self.trace: Callable[[str], None] = lambda text: None
        self.unhandled: list[str] = []
        """what nobody caught: each is a defect of the gateway"""
        self.set_exception_handler(self._note)

    def dies_in(self, steps: int) -> None:
        """The process is killed after so many more callbacks."""
        self._dies_at = self._steps + steps

    def lives(self) -> None:
        """Takes `dies_in` back."""
        self._steps, self._dies_at = 0, MOST_STEPS

    def time(self) -> float:
        """Virtual seconds."""
        return self._time.monotonic

    def wait(self, seconds: float) -> float:
        """A time between nothing and `seconds`, by chance."""
        return self._chance.random() * seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """A thread's work: it begins later, happens in one moment, and its result is heard later still."""
        heard: asyncio.Future[Any] = self.create_future()
        self.call_later(self.wait(THREAD_S), self._work, func, args, heard)
        return heard

    def _work(self, func: Callable[..., Any], args: tuple[Any, ...], heard: asyncio.Future[Any]) -> None:
        try:
            told, result = heard.set_result, func(*args)
        except Exception as error:  # boundary: as a thread's own
            told, result = heard.set_exception, error
        self.call_later(self.wait(THREAD_S), lambda: None if heard.done() else told(result))

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """There are no threads."""
        return self.call_soon(callback, *args, context=context)

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            self._pass_time()
        self._steps += 1
        if self._steps >= self._dies_at:
            if self._dies_at == MOST_STEPS:
                raise Endless(f"{MOST_STEPS} callbacks were not enough")
            raise Crash("killed between two callbacks")
        handle = self._ready.popleft()  # type: ignore[attr-defined]
        if not handle._cancelled:
            handle._run()

    def _pass_time(self) -> None:
        """Moves to the next timer, and readies all that are due then."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False  # type: ignore[attr-defined]
        if not timers:
            raise Endless("everybody waits, and nobody will ever come")
        due = timers[0].when()
        if due > self._time.monotonic:
            self._time.move(due)
        while timers and timers[0].when() <= due:
            handle = heapq.heappop(timers)
            handle._scheduled = False  # type: ignore[attr-defined]
            self._ready.append(handle)  # type: ignore[attr-defined]

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.unhandled.append(f"{context.get('message')}: {error!r}")

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who could be woken."""
