"""One predicate for each person and permission: what the grants allow, less what is forbidden.

It is data. This module reads it as a decision and as "is there anything at all"; `filtering` reads it as SQL,
`explaining` as words. No storage, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from flows.access.model import Object
from flows.access.words import HIGHEST

NONE: frozenset[str] = frozenset()
SOMEBODY = "\0somebody else"
FRESH = "\0a state that nothing names"


class Region(NamedTuple):
    """Some objects; every part that says something must hold."""

    companies: frozenset[str] | None = None
    """None: any, also none"""
    units: frozenset[str] | None = None
    own: bool = False
    """only what belongs to the person himself"""
    tags: frozenset[str] = NONE
    """one of them at least; empty: whatever tags"""
    states: frozenset[str] = NONE

    def holds(self, thing: Object, person: str) -> bool:
        """Whether the object is among them."""
        return (
            (self.companies is None or thing.company in self.companies)
            and (self.units is None or thing.unit in self.units)
            and (not self.own or thing.owner == person)
            and (not self.tags or not self.tags.isdisjoint(thing.tags))
            and (not self.states or thing.state in self.states)
        )

    def covers(self, other: Region) -> bool:
        """Whether all of the other's objects are among them."""
        return (
            (self.companies is None or (other.companies is not None and other.companies <= self.companies))
            and (self.units is None or (other.units is not None and other.units <= self.units))
            and (not self.own or other.own)
            and (not self.tags or (bool(other.tags) and other.tags <= self.tags))
            and (not self.states or (bool(other.states) and other.states <= self.states))
        )


class Allow(NamedTuple):
    """Objects of a region up to a level, and the grants that say so."""

    region: Region
    level: int
    grants: tuple[str, ...] = ()

    def covers(self, other: Allow) -> bool:
        """Whether it allows all that the other does."""
        return self.level >= other.level and self.region.covers(other.region)


class Bar(NamedTuple):
    """Objects of a region from a level on, and the forbid or separation that says so."""

    region: Region
    level: int
    id: str
    factor_within: float | None = None
    """seconds: who gave a second factor so recently is not held up"""

    def stops(self, thing: Object, person: str, level: int, factor_age: float | None) -> bool:
        """Whether it stands against this object now."""
        return (
            level >= self.level
            and self.region.holds(thing, person)
            and (self.factor_within is None or factor_age is None or factor_age > self.factor_within)
        )


@dataclass(frozen=True, slots=True)
class Predicate:
    """What one person may do of one kind."""

    person: str
    allows: tuple[Allow, ...] = ()
    bars: tuple[Bar, ...] = ()
    after: tuple[tuple[str, str], ...] = ()
    """(permission, separation): not on what the person has used that permission on"""

    def decides(self, thing: Object, factor_age: float | None = None) -> bool:
        """Whether the person may, on this object. `factor_age`: seconds since his second factor, None: never."""
        level = HIGHEST if thing.level is None else thing.level
        person = self.person
        for region, most, _ in self.allows:
            if level <= most and region.holds(thing, person):
                break
        else:
            return False
        for bar in self.bars:
            if bar.stops(thing, person, level, factor_age):
                return False
        return not self.after or all(thing.did.get(other) != person for other, _ in self.after)

    def possible(self, factor_age: float | None = None) -> bool:
        """Whether there may be an object at all on which he may: what menus and buttons ask."""
        return any(
            self.decides(thing, factor_age) for allow in self.allows for thing in least(allow.region, self.person)
        )

    def reach(self, thing: Object, factor_age: float | None = None) -> int:
        """The highest level at which he might have this object; -1: none. Fields of an object are shown by it."""
        levels = range(HIGHEST, -1, -1)
        return next((level for level in levels if self.decides(thing._replace(level=level), factor_age)), -1)


NOTHING = Predicate("")
"""of who may not, wherever"""


def least(region: Region, person: str) -> Iterator[Object]:
    """The objects of a region against which the least can stand: where none of them is allowed, nothing in it is.

    What forbids holds from a level upwards, and for what carries a tag, a state, a company or is one's own: so level 0,
    one tag at most, and nothing that is not demanded.
    """
    companies: tuple[str | None, ...] = (None,) if region.companies is None else tuple(region.companies)
    units: tuple[str | None, ...] = (None,) if region.units is None else tuple(region.units)
    owner = person if region.own else SOMEBODY
    for company in companies:
        for unit in units:
            for tag in region.tags or ("",):
                for state in region.states or (FRESH,):
                    yield Object(company, unit, owner, 0, frozenset({tag} - {""}), state)
