"""Sets a message aside now and then, for whoever learns how messages look. The traffic pays a look at a dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pipe.contract import Blob

MOST_HELD = 64
"""messages that are set aside at a time; what is more is not looked at"""
UNWATCHED_S = 60.0
"""until the next look whether messages of a kind are wanted now"""
_TO = " > "


def message_of(route: str) -> str:
    """How the messages of a route's source are called among the samples of its connection."""
    return route


def answer_in(route: str, key: str) -> str:
    """How the answers to a target, or to `enrich INTO`, of a route are called among the samples of its connection."""
    return f"{route}{_TO}{key}"


def parts_of(sample: str) -> tuple[str, str]:
    """The route of a sample, and what it answers there; empty where it is a message of the route's source."""
    route, _, key = sample.partition(_TO)
    return route, key


class Sampling:
    """One of the engine. Nothing is set aside unless somebody looks."""

    def __init__(self, monotonic: Callable[[], float], pause: Callable[[str], float | None]) -> None:
        """`pause` says how many seconds a connection wants between two messages of a kind; None: it wants none."""
        self._now, self._pause = monotonic, pause
        self.looked_at = False
        """whether somebody takes what is set aside"""
        self.keep: Callable[[], Awaitable[None]] = _nothing
        """writes down what was learned so far"""
        self.accepted: set[str] = set()
        """connections whose shape a person has just made the known one"""
        self.there = asyncio.Event()
        """something is set aside"""
        self._due: dict[tuple[str, str], float] = {}
        self._held: dict[tuple[str, str], Any] = {}

    def offer(self, connection: str | None, sample: str, body: Any) -> None:
        """A message passed. Its body is held until somebody takes it, at most one of a kind."""
        if not self.looked_at or connection is None:
            return
        at, now = (connection, sample), self._now()
        if now < self._due.get(at, 0.0):
            return
        pause = self._pause(connection)
        self._due[at] = now + (UNWATCHED_S if pause is None else pause)
        if pause is not None and len(self._held) < MOST_HELD and not isinstance(body, (bytes, str, Blob, type(None))):
            self._held[at] = body
            self.there.set()

    def take(self) -> dict[tuple[str, str], Any]:
        """What was set aside, by connection and sample; it is held no longer."""
        held, self._held = self._held, {}
        self.there.clear()
        if len(self._due) > 100 * MOST_HELD:
            self._due.clear()
        return held


async def _nothing() -> None:
    """Nobody learns."""
