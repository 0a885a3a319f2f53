"""What happens in one schedule: written by a seed, carried out step by step, looked at after each."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulator.partners import MOODS
from tests.simulator.revisions import HOUSES, NAMES

INTERNAL = ("copies", "reminders", "failures")
PARTNERS = ("a", "b", "c", "s", "asker")
KINDS = {
    "submit": 40, "mood": 14, "crash": 9, "full": 3, "repeat": 8, "replay": 6, "discard": 2, "resolve": 4,
    "pause": 3, "drain": 1, "resume": 5, "reload": 4, "pass": 7,
}  # fmt: skip
THEN_S = (0.0, 0.0, 0.003, 0.01, 0.03, 0.1, 0.5, 1.0, 3.0)
CRASHES = ("steps", "steps", "now", "killed before", "killed after", "broken before", "broken after")


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: something is begun, then time passes."""

    kind: str
    then: float = 0.0
    """seconds"""
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        said = " ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.kind} {said} then {self.then:g} s".replace("  ", " ")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A whole run."""

    seed: int
    house: str
    operations: tuple[Operation, ...]

    def without(self, begin: int, end: int) -> Schedule:
        """The same with some operations left out."""
        return Schedule(self.seed, self.house, self.operations[:begin] + self.operations[end:])

    def with_(self, at: int, operation: Operation) -> Schedule:
        """The same with another operation at that place."""
        return Schedule(self.seed, self.house, (*self.operations[:at], operation, *self.operations[at + 1 :]))


def written(seed: int) -> Schedule:
    """The schedule of a seed."""
    chance = Random(f"{seed}/schedule")
    house = chance.choice([*[name for name in HOUSES if name != "all"] * 5, "all"])
    count = chance.randint(6, 15)
    return Schedule(seed, house, tuple(_operation(chance, house) for _ in range(count)))


def _operation(chance: Random, house: str) -> Operation:
    kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
    then = chance.choice(THEN_S)
    if kind == "pass":
        return Operation(kind, chance.choice((5.0, 10.0, 25.0)))
    return Operation(kind, then, _FACTS[kind](chance, house))


def letter(chance: Random, house: str) -> dict[str, Any]:
    """What a client hands in."""
    route = chance.choice([name for name in HOUSES[house] if name not in INTERNAL])
    facts: dict[str, Any] = {"route": route, "o": chance.randrange(2)}
    if route == "two":
        facts["w"] = chance.random() < 0.7
    if route == "parts":
        facts["items"] = [{"n": n} for n in range(chance.randrange(5))]
    if route == "remind":
        facts["in"], facts["cancels"] = chance.choice((0.5, 3.0, 9.0)), chance.choice((None, None, 0, 1))
    return facts


def _submit(chance: Random, house: str) -> dict[str, Any]:
    return {"letters": [letter(chance, house) for _ in range(chance.choice((1, 1, 2, 3, 6)))]}


def _mood(chance: Random, house: str) -> dict[str, Any]:
    return {"partner": chance.choice(PARTNERS), "mood": chance.choice(list(MOODS))}


def _crash(chance: Random, house: str) -> dict[str, Any]:
    return {"how": chance.choice(CRASHES), "steps": int(2 ** (chance.random() * 9))}


def _which(chance: Random, house: str) -> dict[str, Any]:
    return {"pick": chance.randrange(1000)}


def _repeat(chance: Random, house: str) -> dict[str, Any]:
    return {"pick": chance.randrange(1000), "forged": chance.random() < 0.2, "times": chance.choice((1, 1, 2, 3))}


def _named(chance: Random, house: str) -> dict[str, Any]:
    return {"name": chance.choice([*HOUSES[house], *PARTNERS[:4]])}


def _route(chance: Random, house: str) -> dict[str, Any]:
    return {"name": chance.choice(HOUSES[house])}


def _reload(chance: Random, house: str) -> dict[str, Any]:
    return {"to": chance.choice(NAMES), "orphans": chance.choice(("keep", "dead"))}


_FACTS = {
    "submit": _submit, "mood": _mood, "crash": _crash, "full": lambda chance, house: {"on": chance.random() < 0.6},
    "repeat": _repeat, "replay": _which, "discard": _which, "resolve": _which, "pause": _named, "drain": _route,
    "resume": _named, "reload": _reload,
}  # fmt: skip
