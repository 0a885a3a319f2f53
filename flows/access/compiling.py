"""Makes of all that is granted and forbidden what one person may do at one moment. Pure: no storage, no clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from flows.access.model import Forbid, Grant, Membership, Object, Snapshot, Subject, in_force
from flows.access.permissions import PERMISSIONS
from flows.access.predicate import NONE, NOTHING, Allow, Bar, Predicate, Region
from flows.access.words import covers

EVERYWHERE = Region()


@dataclass(frozen=True, slots=True)
class Home:
    """Where a person is by one of his places; empty parts: nowhere in particular."""

    company: str | None
    unit: str | None


@dataclass(frozen=True, slots=True)
class Rights:
    """What one person may do, good from `since` until `until`."""

    person: Subject | None
    predicates: Mapping[str, Predicate]
    shut_out: str | None
    """why the person has no right at all: unknown, blocked, left, expired"""
    since: float
    until: float
    """the moment at which time alone changes something"""
    grants: tuple[Grant, ...] = ()
    """what all of this comes from"""
    waiting: tuple[Grant, ...] = ()
    """what a second person has to approve yet"""

    def may(self, permission: str, thing: Object | None = None, factor_age: float | None = None) -> bool:
        """Whether the person may; without an object: whether there may be any on which he may."""
        predicate = self.predicates.get(permission)
        if predicate is None:
            return False
        return predicate.possible(factor_age) if thing is None else predicate.decides(thing, factor_age)

    def predicate(self, permission: str) -> Predicate:
        """The predicate of a permission; that of who may nothing where there is none."""
        return self.predicates.get(permission, NOTHING)

    def limited(self, patterns: Iterable[str]) -> Rights:
        """No more than these permissions of it: what an API key has of its holder's rights. Empty: all of them."""
        wanted = list(patterns)
        if not wanted:
            return self
        kept = {name: each for name, each in self.predicates.items() if any(covers(one, name) for one in wanted)}
        return Rights(self.person, kept, self.shut_out, self.since, self.until, self.grants, self.waiting)


def shut_out(person: Subject | None, now: float) -> str | None:
    """Why somebody has no right at all; None where nothing stands against it."""
    if person is None:
        return "unknown"
    if person.state != "active":
        return person.state
    return "expired" if person.valid_until is not None and person.valid_until <= now else None


def places(snapshot: Snapshot, person: Subject, now: float) -> dict[tuple[str, str], set[Home]]:
    """Whatever a grant may be given to and this person is in now, and where he is by it."""
    found: dict[tuple[str, str], set[Home]] = defaultdict(set)
    itself = found["person", person.id]
    if person.company is not None:
        itself.add(Home(person.company, None))
    for place in person.memberships:
        if not in_force(place.valid_from, place.valid_until, now):
            continue
        home = _home(snapshot, place)
        if place.kind != "group" and home is not None:
            itself.add(home)
        for key in snapshot.keys_of(place):
            if home is not None:
                found[key].add(home)
    return found


def _home(snapshot: Snapshot, place: Membership) -> Home | None:
    """Where a place is; None where it is gone."""
    if place.kind == "group":
        group = snapshot.group.get(place.of)
        return Home(group.company, None) if group is not None else None
    position = snapshot.position.get(place.of) if place.kind == "position" else None
    unit = snapshot.unit.get(place.of if place.kind == "unit" else position.unit if position is not None else "")
    return Home(unit.company, unit.id) if unit is not None else None


def compiled(snapshot: Snapshot, person_id: str, now: float) -> Rights:
    """What the person may do at this moment."""
    person = snapshot.person.get(person_id)
    until = snapshot.next_boundary(now)
    why = shut_out(person, now)
    if person is None or why is not None:
        return Rights(person, {}, why, now, until)
    at = places(snapshot, person, now)
    grants, waiting = [], []
    gathered: dict[str, dict[tuple[Region, int], list[str]]] = defaultdict(dict)
    roles: set[str] = set()
    for key, homes in at.items():
        for grant in snapshot.grants_to.get(key, ()):
            if not in_force(grant.valid_from, grant.valid_until, now) or grant.role not in snapshot.role:
                continue
            if grant.waits:
                waiting.append(grant)
                continue
            grants.append(grant)
            roles |= _roles(snapshot, grant.role)
            level = min(grant.level, person.level)
            for region in regions(snapshot, grant, homes):
                for name in snapshot.permissions_of[grant.role]:
                    gathered[name].setdefault((region, level), []).append(grant.id)
    bars = list(_bars(snapshot, at, roles, now))
    predicates = {
        name: Predicate(person_id, _merged(allows), tuple(bar for patterns, bar in bars if _any(patterns, name)))
        for name, allows in gathered.items()
        if name in PERMISSIONS
    }
    return Rights(person, _separated(snapshot, predicates), None, now, until, tuple(grants), tuple(waiting))


def regions(snapshot: Snapshot, thing: Grant | Forbid, homes: Iterable[Home]) -> Iterator[Region]:
    """Which objects a grant or forbid is about, for a holder who is at these homes by what it was given to."""
    if thing.scope in {"all", "own"}:
        yield Region(None, None, thing.scope == "own", thing.tags, thing.states)
        return
    if thing.scope == "company":
        named = {thing.scope_id} if thing.scope_id is not None else {home.company for home in homes}
        for company in named - {None}:
            yield Region(frozenset({str(company)}), None, False, thing.tags, thing.states)
        return
    units = {thing.scope_id} if thing.scope_id is not None else {home.unit for home in homes}
    for each in units - {None}:
        unit = snapshot.unit.get(str(each))
        if unit is not None:
            within = snapshot.below[unit.id]
            yield Region(frozenset({unit.company}), within, False, thing.tags, thing.states)


def _roles(snapshot: Snapshot, role: str) -> set[str]:
    """A role and what it includes."""
    seen, ahead = {role}, [role]
    while ahead:
        fresh = {each for each in snapshot.role[ahead.pop()].includes if each in snapshot.role} - seen
        seen |= fresh
        ahead += fresh
    return seen


def _bars(
    snapshot: Snapshot, at: Mapping[tuple[str, str], set[Home]], roles: Iterable[str], now: float
) -> Iterator[tuple[frozenset[str], Bar]]:
    everywhere = {home for homes in at.values() for home in homes}
    holders: dict[tuple[str, str], set[Home]] = {
        **at,
        ("everyone", ""): everywhere,
        **{("role", role): everywhere for role in roles},
    }
    for key, homes in holders.items():
        for forbid in snapshot.forbids_to.get(key, ()):
            if in_force(forbid.valid_from, forbid.valid_until, now):
                for region in regions(snapshot, forbid, homes):
                    yield forbid.permissions, Bar(region, forbid.level, forbid.id, forbid.factor_within)


def _any(patterns: Iterable[str], name: str) -> bool:
    return any(covers(pattern, name) for pattern in patterns)


def _merged(allows: Mapping[tuple[Region, int], list[str]]) -> tuple[Allow, ...]:
    """As few parts as can be: companies of the same terms are one part, what another part covers is none."""
    joined: dict[tuple[Region, int], tuple[set[str], list[str]]] = {}
    for (region, level), ids in allows.items():
        simple = region.companies is not None and region.units is None
        key = (region._replace(companies=NONE) if simple else region, level)
        companies, grants = joined.setdefault(key, (set(), []))
        companies |= region.companies or NONE
        grants += ids
    parts = [
        Allow(
            region._replace(companies=frozenset(companies)) if region.companies == NONE else region,
            level,
            tuple(sorted(set(grants))),
        )
        for (region, level), (companies, grants) in joined.items()
    ]
    parts.sort(key=lambda part: (part.region.companies is not None, part.region.units is not None, -part.level))
    kept: list[Allow] = []
    for part in parts:
        if not any(other.covers(part) for other in kept):
            kept.append(part)
    return tuple(kept)


def _separated(snapshot: Snapshot, predicates: dict[str, Predicate]) -> dict[str, Predicate]:
    """Who has both halves of a static separation has neither; of the halves of one object nobody uses the second."""
    static = [rule for rule in snapshot.separation.values() if rule.kind == "static"]
    held = [rule for rule in static if {rule.first, rule.second} <= predicates.keys()]
    for rule in held:
        for name in (rule.first, rule.second):
            before = predicates[name]
            bars = (*before.bars, Bar(EVERYWHERE, 0, rule.id))
            predicates[name] = Predicate(before.person, before.allows, bars, before.after)
    for rule in snapshot.separation.values():
        for name, other in ((rule.first, rule.second), (rule.second, rule.first)):
            # Also for who has the other half no longer: what he did with it he did.
            if rule.kind == "same_object" and name in predicates:
                before = predicates[name]
                after = (*before.after, (other, rule.id))
                predicates[name] = Predicate(before.person, before.allows, before.bars, after)
    return predicates


@dataclass(slots=True)
class Compiled:
    """The rights of everybody at one revision, each made when first asked for."""

    snapshot: Snapshot
    _rights: dict[str, Rights] = field(default_factory=dict)

    def of(self, person: str, now: float) -> Rights:
        """Today's rights of a person."""
        found = self._rights.get(person)
        if found is None or not found.since <= now < found.until:
            found = compiled(self.snapshot, person, now)
            self._rights[person] = found
        return found
