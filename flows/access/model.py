"""All that rights are decided from, as plain frozen values. No storage, no clock: the moment comes as an argument."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from types import MappingProxyType
from typing import Any, NamedTuple

from flows.access.words import HIGHEST

_NOBODY: Mapping[str, str] = MappingProxyType({})


class Object(NamedTuple):
    """What somebody wants to do something with, as far as rights ask."""

    company: str | None = None
    unit: str | None = None
    owner: str | None = None
    """the id of a person"""
    level: int | None = 0
    """None: nobody knows, so the highest is taken"""
    tags: frozenset[str] = frozenset()
    state: str | None = None
    did: Mapping[str, str] = _NOBODY
    """permission → the person who used it on this object, as far as separations ask for it"""


@dataclass(frozen=True, slots=True)
class Company:
    """A company (a direction of the centre) whose matters are kept apart from those of others."""

    id: str
    section: str
    name_uk: str
    name_en: str
    state: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of a company; units below it belong to it."""

    id: str
    company: str
    parent: str | None
    name_uk: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a unit that people are appointed to."""

    id: str
    unit: str
    title: str
    name_uk: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Group:
    """People who have something in common beside their units."""

    id: str
    company: str | None
    name_uk: str
    name_en: str


class Membership(NamedTuple):
    """A person's place, for a time."""

    kind: str
    of: str
    valid_from: float | None = None
    valid_until: float | None = None
    source: str = "manual"


@dataclass(frozen=True, slots=True)
class Subject:
    """A person as far as rights ask."""

    id: str
    login: str
    kind: str
    name: str
    company: str | None
    level: int
    state: str
    valid_until: float | None = None
    moved_at: float | None = None
    memberships: tuple[Membership, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions; what it includes belongs to it."""

    id: str
    name_uk: str
    name_en: str
    about: str = ""
    emergency: bool = False
    permissions: frozenset[str] = frozenset()
    includes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for somebody, on some objects, for a time."""

    id: str
    role: str
    to_kind: str
    to_id: str
    scope: str
    scope_id: str | None = None
    level: int = 1
    tags: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    valid_from: float | None = None
    valid_until: float | None = None
    reason: str = ""
    source: str = "manual"
    granted_by: str = ""
    granted_at: float = 0.0
    approved_by: str | None = None

    @property
    def waits(self) -> bool:
        """Whether a second person has to approve it first. An emergency does not wait: it is looked at afterwards."""
        return self.level >= HIGHEST and self.approved_by is None and self.source != "emergency"


@dataclass(frozen=True, slots=True)
class Forbid:
    """What somebody may not do on some objects, whatever was granted."""

    id: str
    permissions: frozenset[str]
    to_kind: str
    to_id: str | None
    scope: str
    scope_id: str | None = None
    level: int = 0
    tags: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    factor_within: float | None = None
    valid_from: float | None = None
    valid_until: float | None = None
    reason: str = ""
    made_by: str = ""


@dataclass(frozen=True, slots=True)
class Separation:
    """Two permissions that do not go together: for one person (static), or for one person on one object."""

    id: str
    kind: str
    first: str
    second: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FieldRule:
    """From which level on a field is shown as it is, and what is shown below it."""

    kind: str
    name: str
    level: int
    below: str

    @property
    def id(self) -> str:
        """As changes name it."""
        return f"{self.kind}/{self.name}"


def in_force(valid_from: float | None, valid_until: float | None, now: float) -> bool:
    """From its first moment until the last is over."""
    return (valid_from is None or valid_from <= now) and (valid_until is None or now < valid_until)


@dataclass(frozen=True)
class Snapshot:
    """Everything at one revision; never changed, only replaced."""

    revision: int = 0
    company: Mapping[str, Company] = field(default_factory=dict)
    unit: Mapping[str, Unit] = field(default_factory=dict)
    position: Mapping[str, Position] = field(default_factory=dict)
    group: Mapping[str, Group] = field(default_factory=dict)
    person: Mapping[str, Subject] = field(default_factory=dict)
    role: Mapping[str, Role] = field(default_factory=dict)
    grant: Mapping[str, Grant] = field(default_factory=dict)
    forbid: Mapping[str, Forbid] = field(default_factory=dict)
    separation: Mapping[str, Separation] = field(default_factory=dict)
    field: Mapping[str, FieldRule] = field(default_factory=dict)

    def but(self, revision: int, changes: Mapping[str, Mapping[str, Any]]) -> Snapshot:
        """The same with some things replaced; None in place of a thing: it is gone."""
        fresh: dict[str, dict[str, Any]] = {}
        for table, things in changes.items():
            kept = {**getattr(self, table), **things}
            fresh[table] = {key: thing for key, thing in kept.items() if thing is not None}
        return replace(self, revision=revision, **fresh)

    # --- ways through it, each made when first needed ---

    @cached_property
    def above(self) -> dict[str, tuple[str, ...]]:
        """A unit and all that it belongs to, from itself upwards."""
        found: dict[str, tuple[str, ...]] = {}
        for unit in self.unit:
            line: list[str] = []
            at: str | None = unit
            while at is not None and at in self.unit and at not in line:
                line.append(at)
                at = self.unit[at].parent
            found[unit] = tuple(line)
        return found

    @cached_property
    def below(self) -> dict[str, frozenset[str]]:
        """A unit and all that belongs to it."""
        found: dict[str, set[str]] = defaultdict(set)
        for unit, line in self.above.items():
            for each in line:
                found[each].add(unit)
        return {unit: frozenset(units) for unit, units in found.items()}

    @cached_property
    def people_in(self) -> dict[tuple[str, str], frozenset[str]]:
        """Who is in a position, title, unit or group, also where it is over or has not begun."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for person in self.person.values():
            for place in person.memberships:
                for key in self.keys_of(place):
                    found[key].add(person.id)
        return {key: frozenset(people) for key, people in found.items()}

    def keys_of(self, place: Membership) -> list[tuple[str, str]]:
        """All that a grant can be given to and who has this place is in; nothing where the place is gone."""
        if place.kind == "group":
            return [("group", place.of)] if place.of in self.group else []
        position = self.position.get(place.of) if place.kind == "position" else None
        unit = place.of if place.kind == "unit" else position.unit if position is not None else ""
        above = self.above.get(unit, ())
        found = [("unit", each) for each in above]
        if position is not None and above:
            found += [("position", position.id), ("title", position.title)]
            found += [("title", f"{position.title}@{each}") for each in above]
        return found

    @cached_property
    def permissions_of(self) -> dict[str, frozenset[str]]:
        """All permissions of a role, with those of what it includes."""
        found: dict[str, frozenset[str]] = {}
        for name in self.role:
            seen, ahead = {name}, [name]
            gathered: set[str] = set()
            while ahead:
                role = self.role[ahead.pop()]
                gathered |= role.permissions
                fresh = {each for each in role.includes if each in self.role} - seen
                seen |= fresh
                ahead += fresh
            found[name] = frozenset(gathered)
        return found

    @cached_property
    def grants_to(self) -> dict[tuple[str, str], tuple[Grant, ...]]:
        """What was given to a person, position, title, unit or group."""
        return _by(self.grant.values())

    @cached_property
    def forbids_to(self) -> dict[tuple[str, str], tuple[Forbid, ...]]:
        """What is forbidden to them; `("everyone", "")` for all."""
        return _by(self.forbid.values())

    @cached_property
    def boundaries(self) -> tuple[float, ...]:
        """Every moment at which time alone changes something, in order."""
        things: Iterable[Any] = (*self.grant.values(), *self.forbid.values())
        moments = {moment for each in things for moment in (each.valid_from, each.valid_until)}
        for person in self.person.values():
            moments.add(person.valid_until)
            for place in person.memberships:
                moments |= {place.valid_from, place.valid_until}
        return tuple(sorted(moment for moment in moments if moment is not None))

    def next_boundary(self, now: float) -> float:
        """The next of them after this moment; infinity where there is none."""
        at = bisect_right(self.boundaries, now)
        return self.boundaries[at] if at < len(self.boundaries) else inf


def _by(things: Iterable[Any]) -> dict[tuple[str, str], tuple[Any, ...]]:
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for thing in things:
        found[thing.to_kind, thing.to_id or ""].append(thing)
    return {to: tuple(each) for to, each in found.items()}
