"""What takes longer than an answer may: it goes on by itself, and pages show how far it has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

from monitoring.pulse import TOPIC
from pipe.clock import Clock
from pipe.errors import GatewayDefect, NotFound, PipeError
from pipe.store.store import Store

KEPT_S = 3600.0
"""how long one that is over is still shown"""
AT_ONCE = 4
MOST = 50
TOLD_EVERY_S = 0.5
"""pages hear of progress no more often"""


@dataclass(slots=True)
class Work:
    """One piece of work."""

    id: str
    verb: str
    actor: str
    began_at: float
    total: int
    done: int = 0
    ended_at: float | None = None
    stopped: bool = False
    """a person wants no more of it; what is done stays done"""
    failed: str = ""
    """why it broke off"""
    code: str = ""
    """of that error"""
    facts: dict[str, Any] = field(default_factory=dict)
    """what came of it, as its maker keeps it"""
    told_at: float = float("-inf")
    task: asyncio.Task[None] | None = None

    @property
    def runs(self) -> bool:
        """Whether it is not over."""
        return self.ended_at is None


class Works:
    """Those of a running gateway, in memory: what they did stands in the store, how far they came does not."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._works: dict[str, Work] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    def begin(
        self, verb: str, actor: str, total: int, run: Callable[[Work], Coroutine[Any, Any, None]], **facts: Any
    ) -> Work:
        """Begins one; `run` does it and says with `told` how far it is."""
        work = Work(self._store.new_id(), verb, actor, self._clock.now(), total, facts=facts)
        self._forget()
        self._works[work.id] = work
        work.task = asyncio.create_task(self._run(work, run), name=f"{verb} {work.id}")
        return work

    async def _run(self, work: Work, run: Callable[[Work], Coroutine[Any, Any, None]]) -> None:
        try:
            async with self._places:
                await run(work)
        except PipeError as error:
            work.failed, work.code = error.text, error.code
        except Exception as error:  # boundary: whoever began it must see that it broke off
            logger.bind(action="work", verb=work.verb).opt(exception=error).error("a piece of work has a defect")
            work.failed, work.code = type(error).__name__, GatewayDefect.code
        finally:
            work.ended_at = self._clock.now()
        await self.told(work, at_once=True)

    async def told(self, work: Work, *, at_once: bool = False) -> None:
        """Tells open pages, now and then."""
        now = self._clock.monotonic()
        if at_once or now - work.told_at >= TOLD_EVERY_S:
            work.told_at = now
            await self._store.write(lambda tx: tx.publish(TOPIC, {}))

    def all(self) -> list[Work]:
        """Those that run, and those that are over since a little while; the newest first."""
        self._forget()
        return sorted(self._works.values(), key=lambda work: -work.began_at)

    def one(self, id: str) -> Work:
        """Raises NotFound."""
        work = self._works.get(id)
        if work is None:
            raise NotFound("this piece of work is over and forgotten: what it did stands in the audit")
        return work

    def drop(self, id: str) -> None:
        """Nobody wants to see it any more. One that runs stays."""
        if not self.one(id).runs:
            del self._works[id]

    def _forget(self) -> None:
        now = self._clock.now()
        over = [work for work in self._works.values() if not work.runs]
        late = [work for work in over if now - (work.ended_at or now) > KEPT_S]
        for work in {id(each): each for each in (*late, *over[: max(0, len(self._works) - MOST)])}.values():
            del self._works[work.id]

    async def stop(self) -> None:
        """Breaks them off between two groups; what is done stays done."""
        tasks = [work.task for work in self._works.values() if work.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
