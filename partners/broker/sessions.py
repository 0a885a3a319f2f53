"""What the broker keeps of each client: its subscriptions, and the messages that it has not acknowledged."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

MOST = 100_000
"""messages that a session keeps"""


@dataclass(frozen=True, slots=True)
class Message:
    """One published message."""

    topic: str
    body: bytes
    qos: int = 0
    retain: bool = False
    properties: dict[str, Any] = field(default_factory=dict)
    """of 5.0, by paho's names"""
    subscriptions: tuple[int, ...] = ()
    """identifiers of the subscriptions that it came by"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic that a client listens to."""

    filter: str
    qos: int
    no_local: bool = False
    as_published: bool = False
    identifier: int | None = None

    @property
    def group(self) -> str | None:
        """The group that shares it."""
        return self.filter.split("/", 2)[1] if self.filter.startswith("$share/") else None

    @property
    def topic(self) -> str:
        """The filter without its group."""
        return self.filter.split("/", 2)[2] if self.filter.startswith("$share/") else self.filter


@dataclass(slots=True)
class Session:
    """One client's, connected or not."""

    client_id: str
    expiry: float = 0.0
    """seconds that it outlives its connection"""
    gone_at: float | None = None
    window: int = 65_535
    """messages that may be under way without an acknowledgement"""
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    waiting: deque[Message] = field(default_factory=deque)
    under_way: dict[int, Message] = field(default_factory=dict)
    released: set[int] = field(default_factory=set)
    """identifiers of quality 2 whose PUBREL is out"""
    incoming: set[int] = field(default_factory=set)
    """identifiers of quality 2 that the client has not released yet"""
    _last: int = 0

    def next(self) -> tuple[int, Message] | None:
        """The next message that may go out, with its identifier (0 with quality 0)."""
        if not self.waiting:
            return None
        if self.waiting[0].qos == 0:
            return 0, self.waiting.popleft()
        if len(self.under_way) + len(self.released) >= self.window:
            return None
        message = self.waiting.popleft()
        while True:
            self._last = self._last % 65_535 + 1
            if self._last not in self.under_way and self._last not in self.released:
                break
        self.under_way[self._last] = message
        return self._last, message

    def keep(self, message: Message, *, connected: bool) -> None:
        """Takes a message for this client; one of quality 0 only while it is there."""
        if (message.qos or connected) and len(self.waiting) < MOST:
            self.waiting.append(message)


def wrong_filter(text: str) -> bool:
    """Whether it is no topic filter."""
    if text.startswith("$share/"):
        parts = text.split("/", 2)
        return len(parts) < 3 or not parts[1] or bool(re.search(r"[+#]", parts[1])) or wrong_filter(parts[2])
    levels = text.split("/")
    return not text or any(
        ("#" in level and (level != "#" or at + 1 < len(levels))) or ("+" in level and level != "+")
        for at, level in enumerate(levels)
    )


@lru_cache(maxsize=4096)
def _pattern(wanted: str) -> re.Pattern[str]:
    levels = wanted.split("/")
    parts = ["[^/]*" if level == "+" else re.escape(level) for level in levels if level != "#"]
    tail = ("(?:/.*)?" if parts else ".*") if levels[-1] == "#" else ""
    return re.compile(("(?!\\$)" if wanted[0] in "+#" else "") + "/".join(parts) + tail, re.DOTALL)


def fits(wanted: str, topic: str) -> bool:
    """Whether a topic is meant by a filter."""
    return _pattern(wanted).fullmatch(topic) is not None


def meant(sessions: Iterator[Session], topic: str) -> Iterator[tuple[Session, Subscription]]:
    """Who listens to a topic, each subscription apart."""
    for session in sessions:
        for subscription in session.subscriptions.values():
            if fits(subscription.topic, topic):
                yield session, subscription


def copy_for(message: Message, subscription: Subscription) -> Message:
    """The message as this subscription gets it."""
    identifiers = () if subscription.identifier is None else (subscription.identifier,)
    return replace(
        message,
        qos=min(message.qos, subscription.qos),
        retain=message.retain and subscription.as_published,
        subscriptions=identifiers,
    )
