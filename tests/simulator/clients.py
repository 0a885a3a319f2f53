"""Who hands messages in, and what they were told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from pipe.contract import Accepted, Arrival
from pipe.errors import PipeError
from pipe.steps.pipeline import LARGE

KEYED = ("keyed", "ordered", "ask")
ORDERED = ("ordered", "wary")
UNKNOWN = ("PIPE-4001",)
"""errors after which nobody knows whether it was stored"""

LARGE_ONE_IN = 6
"""one letter of so many is worked on in threads, and not kept in memory"""


@dataclass(slots=True)
class Letter:
    """One thing that a client wants to hand in, however often it tries."""

    n: int
    route: str
    body: dict[str, Any]
    order: str = ""


@dataclass(slots=True)
class Try:
    """One try of it."""

    letter: Letter
    begun: int
    """its place in the order of all that clients did and heard"""
    forged: bool = False
    """the same key with another body"""
    ended: int = 0
    outcome: Literal["accepted", "refused", "unknown", ""] = ""
    id: str | None = None
    code: str | None = None
    reply: Any = None
    replayed: bool = False


@dataclass
class Clients:
    """All of them; they outlive the gateway's crashes."""

    trace: Callable[[str], None] = lambda text: None
    letters: list[Letter] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    _moment: int = 0

    def write(self, route: str, **parts: Any) -> Letter:
        """A new letter."""
        n = len(self.letters)
        if n % LARGE_ONE_IN == LARGE_ONE_IN - 1:
            parts["more"] = "x" * LARGE
        letter = Letter(n, route, {"n": n, **parts}, f"{route} {parts['o']}" if route in ORDERED else "")
        self.letters.append(letter)
        return letter

    def begin(self, letter: Letter, *, forged: bool = False) -> tuple[Try, Arrival]:
        """What goes to the gateway."""
        self._moment += 1
        attempt = Try(letter, self._moment, forged)
        self.tries.append(attempt)
        body = {**letter.body, "forged": True} if forged else letter.body
        headers: Mapping[str, str] = {"k": f"key {letter.n}"} if letter.route in KEYED else {}
        return attempt, Arrival(orjson.dumps(body), headers, fingerprint=letter.route, content_type="application/json")

    async def hand_in(self, attempt: Try, arrival: Arrival, accept: Callable[[str, Arrival], Any]) -> None:
        """One try, to its end."""
        try:
            accepted: Accepted = await accept(attempt.letter.route, arrival)
        except asyncio.CancelledError:
            self._hear(attempt, "unknown")
            raise
        except PipeError as error:
            attempt.code, attempt.id = error.code, error.facts.get("message")
            self._hear(attempt, "unknown" if error.code in UNKNOWN else "refused")
        else:
            attempt.id, attempt.replayed = accepted.id, accepted.replayed
            if accepted.reply is not None:
                attempt.reply = orjson.loads(accepted.reply.body) if accepted.reply.body else None
            self._hear(attempt, "accepted")

    def _hear(self, attempt: Try, outcome: Literal["accepted", "refused", "unknown"]) -> None:
        self._moment += 1
        attempt.ended, attempt.outcome = self._moment, outcome
        self.trace(f"{attempt.letter.route} {attempt.letter.n} {outcome} {attempt.id} {attempt.code}")
