"""What several open pages ask for at the same moment is made once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pipe.clock import Clock
from web.pages.turns import Timed

T = TypeVar("T")


class Kept:
    """Answers that hold for a moment; only for what does not depend on who asks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lasting: dict[str, Any] = {}
        self._known: dict[str, tuple[float, int, asyncio.Future[Any]]] = {}

    async def get(self, name: str, mark: int, for_s: float, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` gave at most `for_s` seconds ago, or gives now. Raises what it raises; that is not kept.

        `mark` is the number of the last event that must be in it: what was made before that event is made again.
        """
        now = self._clock.monotonic()
        at, known, answer = self._known.get(name, (float("-inf"), -1, None))
        broken = answer is not None and answer.done() and (answer.cancelled() or answer.exception())
        if answer is None or known < mark or now - at >= for_s or broken:
            answer = asyncio.ensure_future(_counted(make()))
            self._known[name] = now, mark, answer
        # Whoever goes away takes it from nobody else.
        result: T = await asyncio.shield(answer)
        return result

    def drop(self, name: str) -> None:
        """It is not asked for any more."""
        self._known.pop(name, None)

    def lasting(self, name: str, make: Callable[[], T]) -> T:
        """One thing for as long as the pages are served; made when it is first asked for."""
        if name not in self._lasting:
            self._lasting[name] = make()
        found: T = self._lasting[name]
        return found


async def _counted(work: Awaitable[T]) -> T:
    """What one had made for all is on the account of that one."""
    return await Timed(work)
