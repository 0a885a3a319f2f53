"""Who stands outside: a source that clients hand in by, and partners that answer by mood and seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Literal

import orjson

from pipe.contract import Arrival, ConnectionConfig, Door, Doors, Health, Options, Outgoing, Receipt
from pipe.errors import (
    Busy,
    NoAnswer,
    NotAuthorised,
    PeerBroke,
    PeerFailed,
    PipeError,
    Refused,
    ReplyTooLarge,
    Unreachable,
)
from pipe.testing import FakeServices
from pipe.testing.memory import MemorySubscription
from tests.simulator.loop import VirtualClock

LATENCY_S = 0.02
HANGS_S = 30.0
ASKED_S = 2.0
"""longest time that a partner takes to be dialled, or to say how it is"""

MOODS: dict[str, dict[str, int]] = {
    "well": {"ok": 1},
    "flaky": {"ok": 5, "failed": 3, "slow": 1, "busy": 1, "unreachable": 1},
    "refusing": {"ok": 1, "refused": 2},
    "nasty": {"ok": 3, "silent": 2, "silent, done": 2, "broke": 1, "broke, done": 1, "large, done": 1, "hangs": 1,
              "hangs, done": 1, "failed": 1, "refused": 1},
    "down": {"unreachable": 1},
    "failing": {"failed": 1},
    "locked": {"locked": 1},
}  # fmt: skip
"""what a partner in that mood does, and how often"""
DOWN = frozenset({"down", "locked"})


@dataclass(slots=True)
class Row:
    """One request as the partner saw it."""

    partner: str
    target: str
    """route and target, as `put:` says"""
    id: str
    body: Any
    attempt: int
    life: int
    at: float
    done: bool
    """it took effect"""
    heard: bool = False
    """the gateway got the answer"""
    what: str = ""

    @property
    def answered(self) -> bool:
        """The gateway heard that it took effect."""
        return self.heard and self.what in ("ok", "slow")


@dataclass
class Outside:
    """Everything beyond the gateway; outlives its crashes."""

    seed: int
    clock: VirtualClock
    rows: list[Row] = field(default_factory=list)
    moods: dict[str, str] = field(default_factory=dict)
    life: int = 0
    asked: dict[tuple[str, str], int] = field(default_factory=dict)
    trace: Callable[[str], None] = lambda text: None
    watch: Callable[[Outgoing], None] = lambda outgoing: None
    """sees each request before it counts"""

    def decision(self, partner: str, outgoing: Outgoing) -> tuple[str, Random]:
        """What the partner does with this request: told by the seed and what it is, not by what happened elsewhere."""
        about = (partner, outgoing.id)
        self.asked[about] = n = self.asked.get(about, 0) + 1
        chance = Random(f"{self.seed}/{partner}/{outgoing.id}/{n}")
        mood = MOODS[self.moods.get(partner, "well")]
        return chance.choices(list(mood), list(mood.values()))[0], chance

    def done(self, target: str, id: str) -> bool:
        """Whether the partner did what the gateway asked for."""
        return any(row.done for row in self.rows if row.target == target and row.id == id)


class Services(FakeServices):
    """Knows the outside."""

    def __init__(self, outside: Outside) -> None:
        super().__init__(outside.clock)
        self.outside = outside


class SinkConfig(ConnectionConfig):
    """A simulated partner."""

    type: Literal["simulated"] = "simulated"


class Put(Options):
    """Names the target."""

    put: str


class SimulatedSink:
    """One connection to a simulated partner."""

    Config: ClassVar[type[ConnectionConfig]] = SinkConfig
    Target: ClassVar[type[Options]] = Put
    takes: ClassVar[Literal["bytes", "values"]] = "bytes"
    answers: ClassVar[Literal[True]] = True

    def __init__(self, name: str, config: Any, services: Services) -> None:
        self.name, self._outside = name, services.outside
        self._asked = 0

    async def open(self) -> None:
        """Needs a partner that is there; takes its time like a check."""
        await asyncio.sleep(self._pause())
        if self._outside.moods.get(self.name) == "down":
            raise Unreachable(f"{self.name} is down")

    async def close(self) -> None:
        """Holds nothing."""

    async def check(self) -> Health:
        """By the mood; takes its time, in which what was under way may fail."""
        await asyncio.sleep(self._pause())
        down = self._outside.moods.get(self.name) in DOWN
        return Health("down", "told to be down") if down else Health("up")

    def _pause(self) -> float:
        self._asked += 1
        return Random(f"{self._outside.seed}/{self.name}/asked {self._asked}").random() * ASKED_S

    def natural(self, target: Any) -> bool:
        """Two requests are two."""
        return False

    async def send(self, outgoing: Outgoing) -> Receipt:
        """What the mood says."""
        outside = self._outside
        what, chance = outside.decision(self.name, outgoing)
        await asyncio.sleep(chance.random() * LATENCY_S)
        if what == "unreachable":
            raise Unreachable(f"{self.name} is down")
        if what == "locked":
            raise NotAuthorised(f"{self.name} does not know us")
        if outgoing.id.endswith(".confirm"):
            return self._confirmed(outgoing, what)
        outside.watch(outgoing)
        done = what in ("ok", "slow") or what.endswith("done")
        body = _read(bytes(outgoing.message.body))
        row = Row(
            self.name, outgoing.target.put, outgoing.message.id, body, outgoing.attempt, outside.life,
            outside.clock.monotonic(), done, what=what,
        )  # fmt: skip
        outside.rows.append(row)
        outside.trace(f"{row.target} {row.id} {row.attempt} {what}")
        await asyncio.sleep(
            HANGS_S if what.startswith("hangs") else chance.random() * (1.5 if what == "slow" else LATENCY_S)
        )
        row.heard = True
        return _answer(what, chance, body)

    def _confirmed(self, outgoing: Outgoing, what: str) -> Receipt:
        if what not in ("ok", "slow"):
            raise NoAnswer("nobody answered the question")
        return Receipt(200 if self._outside.done(outgoing.target.put, outgoing.message.id) else 404)


def _read(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"broken": body.decode(errors="replace")}


def _answer(what: str, chance: Random, body: Any) -> Receipt:
    error = _error(what, chance)
    if error is not None:
        raise error
    return Receipt(200, body={"echo": body["n"] if isinstance(body, dict) and "n" in body else None})


def _error(what: str, chance: Random) -> PipeError | None:
    word = what.partition(",")[0]
    if word == "busy":
        return Busy("later", retry_after=chance.choice([None, 0.5, 3.0]))
    kinds: dict[str, type[PipeError]] = {
        "failed": PeerFailed, "refused": Refused, "silent": NoAnswer, "broke": PeerBroke, "large": ReplyTooLarge,
    }  # fmt: skip
    return kinds[word](what) if word in kinds else None


class SourceConfig(ConnectionConfig):
    """Where simulated clients hand in."""

    type: Literal["clients"] = "clients"


class SimulatedSource:
    """The doors, for whoever wants to hand something in."""

    Config: ClassVar[type[ConnectionConfig]] = SourceConfig
    Subscription: ClassVar[type[Options]] = MemorySubscription
    refusable: ClassVar[bool] = True

    def __init__(self, name: str, config: Any, services: Services) -> None:
        self.name = name
        self.doors: Iterable[Door] = ()

    async def open(self) -> None:
        """Needs nothing."""

    async def close(self) -> None:
        """Lets nobody in any more."""
        self.doors = ()

    async def check(self) -> Health:
        """Always there."""
        return Health("up")

    async def run(self, doors: Doors) -> None:
        """Until cancelled."""
        self.doors = doors
        try:
            await asyncio.Event().wait()
        finally:
            self.doors = ()

    async def accept(self, topic: str, arrival: Arrival) -> Any:
        """What a client is told. Raises PipeError."""
        for door in self.doors:
            if door.options.topic == topic:
                return await door.accept(arrival)
        raise Unreachable("nobody listens there now")


ADAPTERS: tuple[Any, ...] = (SimulatedSource, SimulatedSink)
