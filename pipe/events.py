"""What the engine tells whoever watches: monitoring subscribes, the engine knows nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipe.contract import Message


class Attempted(NamedTuple):
    """One attempt at a station ended."""

    route: str
    station: str
    connection: str | None
    outcome: str
    code: str | None
    seconds: float
    message: str
    attempt: int = 1
    """counted from 1, as the partner was told"""
    of: Message | None = None
    """the message itself, as it was accepted"""


class Arrived(NamedTuple):
    """A door decided: accepted, replayed, or refused with a code."""

    route: str
    outcome: str
    code: str | None
    seconds: float
    message: str | None = None
    """its id, where it was accepted"""
    headers: Mapping[str, str] | None = None
    """with which it came"""


class Turned(NamedTuple):
    """A connection changed its state."""

    connection: str
    state: str
    reason: str
    before: str
    code: str = ""
    """see `pipe.contract.Health`"""


Event = Attempted | Arrived | Turned


class Events:
    """Subscribers are called on the loop, at once; they must be quick and must not raise."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Calls `subscriber` with every event from now on."""
        self._subscribers.append(subscriber)

    def tell(self, event: Event) -> None:
        """Hands an event to all subscribers."""
        for subscriber in self._subscribers:
            subscriber(event)
