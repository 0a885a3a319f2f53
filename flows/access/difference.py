"""What a change does to people: who gains what, who loses what. Pure: two snapshots are compared.

Rights are taken apart into the smallest pieces (one company or unit, one tag, one state), so that a piece is covered by
one part of the other side or by none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flows.access.compiling import Compiled
from flows.access.explaining import candidates, holders
from flows.access.model import Snapshot
from flows.access.predicate import NONE, Allow, Predicate, Region

Touched = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Change:
    """What is different for one person in one permission."""

    person: str
    permission: str
    gains: tuple[Allow, ...]
    """pieces that he has afterwards and had not"""
    loses: tuple[Allow, ...]
    lifted: tuple[str, ...]
    """forbids and separations that no longer stand against it"""
    barred: tuple[str, ...]
    """those that do now"""

    @property
    def more(self) -> bool:
        """Whether anything is allowed that was not."""
        return bool(self.gains or self.lifted)

    @property
    def less(self) -> bool:
        """Whether anything is allowed no longer."""
        return bool(self.loses or self.barred)


def differences(before: Compiled, after: Compiled, touched: Touched, now: float) -> list[Change]:
    """Everybody for whom something is different, in order of names and permissions."""
    people = sorted(affected(before.snapshot, touched) | affected(after.snapshot, touched))
    return [change for person in people for change in of_person(before, after, person, now)]


def of_person(before: Compiled, after: Compiled, person: str, now: float) -> list[Change]:
    """What is different for one person."""
    old, new = before.of(person, now).predicates, after.of(person, now).predicates
    found = []
    for permission in sorted(old.keys() | new.keys()):
        was, will = old.get(permission, Predicate(person)), new.get(permission, Predicate(person))
        if was == will:
            continue
        change = Change(
            person,
            permission,
            _uncovered(will.allows, was.allows),
            _uncovered(was.allows, will.allows),
            _gone(was, will) if will.allows else (),
            _gone(will, was) if was.allows else (),
        )
        if change.more or change.less:
            found.append(change)
    return found


def affected(snapshot: Snapshot, touched: Touched) -> set[str]:
    """People whose rights may depend on one of these things."""
    found: set[str] = set()
    for table, name in touched:
        if table == "person":
            found.add(name)
        elif table == "role":
            roles = _including(snapshot, name)
            grants = [grant for grant in snapshot.grant.values() if grant.role in roles]
            found |= holders(snapshot, {(grant.to_kind, grant.to_id) for grant in grants})
        elif table == "grant" and (grant_ := snapshot.grant.get(name)):
            found |= holders(snapshot, [(grant_.to_kind, grant_.to_id)])
        elif table == "forbid" and (forbid := snapshot.forbid.get(name)):
            if forbid.to_kind == "role":
                found |= affected(snapshot, [("role", forbid.to_id or "")])
            else:
                found |= holders(snapshot, [(forbid.to_kind, forbid.to_id or "")])
        elif table == "separation" and (rule := snapshot.separation.get(name)):
            found |= set(candidates(snapshot, rule.first)) & set(candidates(snapshot, rule.second))
        elif table in {"unit", "position", "group"}:
            # A unit that moves also changes who may reach its objects, so everybody may be concerned.
            found |= snapshot.person.keys() if table == "unit" else holders(snapshot, [(table, name)])
    return found


def _including(snapshot: Snapshot, role: str) -> set[str]:
    """A role and all that include it, at whatever depth."""
    found = {role}
    while True:
        more = {each.id for each in snapshot.role.values() if each.includes & found} - found
        if not more:
            return found
        found |= more


def pieces(allow: Allow) -> Iterator[Allow]:
    """The smallest parts of what is allowed."""
    region = allow.region
    companies = [None] if region.companies is None else [frozenset({each}) for each in sorted(region.companies)]
    units = [None] if region.units is None else [frozenset({each}) for each in sorted(region.units)]
    tags = [frozenset({tag}) for tag in sorted(region.tags)] or [NONE]
    states = [frozenset({state}) for state in sorted(region.states)] or [NONE]
    for company in companies:
        for unit in units:
            for tag in tags:
                for state in states:
                    yield Allow(Region(company, unit, region.own, tag, state), allow.level, allow.grants)


def _uncovered(allows: Iterable[Allow], by: Iterable[Allow]) -> tuple[Allow, ...]:
    others = list(by)
    return tuple(
        piece for allow in allows for piece in pieces(allow) if not any(other.covers(piece) for other in others)
    )


def _gone(was: Predicate, will: Predicate) -> tuple[str, ...]:
    """What stood against it and does so no longer, or not so wide."""
    bars = {bar.id for bar in was.bars if bar not in will.bars}
    return tuple(sorted(bars | {rule for other, rule in was.after if (other, rule) not in will.after}))


def anywhere(snapshot: Snapshot, permission: str, now: float, compiled: Compiled) -> list[str]:
    """People who have a permission everywhere and at the highest level of theirs: administrators of it."""
    return [
        person
        for person in candidates(snapshot, permission)
        if any(
            allow.region == Region()
            for allow in compiled.of(person, now).predicate(permission).allows
            if compiled.of(person, now).may(permission)
        )
    ]


def holding_both(snapshot: Snapshot, first: str, second: str, compiled: Compiled, now: float) -> set[str]:
    """People who were given both of two permissions."""
    both = set(candidates(snapshot, first)) & set(candidates(snapshot, second))
    return {person for person in both if {first, second} <= compiled.of(person, now).predicates.keys()}
