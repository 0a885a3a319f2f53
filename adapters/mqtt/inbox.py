"""What the broker handed over and has not been told is safe, in the order in which it came."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt.client import MQTTMessage

MOST_UNASKED = 10_000
"""messages of qos 0 that may wait; the broker does not wait for us with these"""
MOST_BYTES = 64 << 20
"""bytes that they may have together"""
Mark = tuple[int, bytes]


@dataclass(slots=True)
class Entry:
    """One message under way."""

    message: MQTTMessage
    identity: str | None
    """what it is called in the journal; None with qos 0"""
    safe: bool = False


class Inbox:
    """Filled by the thread of the network, emptied by the event loop."""

    def __init__(self, stir: Callable[[], None]) -> None:
        """`stir` is called in the event loop when something came."""
        self._loop = asyncio.get_running_loop()
        self._stir, self._stirred = stir, False
        self._fresh: deque[MQTTMessage] = deque()
        # Each pair has one writer: the thread of the network counts up, the event loop what has left.
        self._unasked = self._unasked_bytes = self._left = self._left_bytes = 0
        self._name, self._count = secrets.token_hex(8), 0
        self.entries: deque[Entry] = deque()
        self.dropped = 0
        self._told: dict[Mark, str] = {}
        """identities of what was made safe on the link before, when the broker could no longer be told"""
        self._untold: dict[Mark, str] = {}
        """the same of this link, for the next one"""

    def put(self, message: MQTTMessage) -> None:
        """Takes a message; called in the thread of the network."""
        if message.qos == 0:
            size = len(message.payload)
            if self._unasked - self._left >= MOST_UNASKED or self._unasked_bytes - self._left_bytes + size > MOST_BYTES:
                self.dropped += 1
                return
            self._unasked, self._unasked_bytes = self._unasked + 1, self._unasked_bytes + size
        self._fresh.append(message)
        if not self._stirred:
            self._stirred = True
            self._loop.call_soon_threadsafe(self._stir)

    def waiting(self, most: int) -> list[Entry]:
        """The oldest entries that are not safe yet."""
        self._stirred = False
        while self._fresh:
            self.entries.append(self._entry(self._fresh.popleft()))
        found: list[Entry] = []
        for entry in self.entries:
            if not entry.safe:
                found.append(entry)
                if len(found) == most:
                    break
        return found

    def done(self) -> list[Entry]:
        """The entries that are safe, up to the oldest that is not; they leave the inbox."""
        done: list[Entry] = []
        while self.entries and self.entries[0].safe:
            entry = self.entries.popleft()
            if entry.message.qos == 0:
                self._left, self._left_bytes = self._left + 1, self._left_bytes + len(entry.message.payload)
            done.append(entry)
        return done

    def untold(self, entries: list[Entry]) -> None:
        """The broker does not know that these are safe: it will send them again."""
        for entry in entries:
            if entry.identity is not None:
                self._untold[_mark(entry.message)] = entry.identity

    def turn_over(self, *, resumed: bool) -> None:
        """Another link begins; `resumed` says that the broker goes on with the session."""
        self._told, self._untold = (self._untold if resumed else {}), {}

    def _entry(self, message: MQTTMessage) -> Entry:
        if message.qos == 0:
            return Entry(message, None)
        if message.dup and self._told and (known := self._told.pop(_mark(message), None)) is not None:
            # The broker may use a packet identifier again only after our acknowledgement, and it never had one.
            return Entry(message, known)
        self._count += 1
        return Entry(message, f"{self._name}:{self._count}")


def _mark(message: MQTTMessage) -> Mark:
    digest = hashlib.sha256(message._topic)  # noqa: SLF001  as bytes: it need not be UTF-8
    digest.update(b"\0")
    digest.update(message.payload)
    return message.mid, digest.digest()
