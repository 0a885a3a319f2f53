"""What nobody may do with rights, whatever rights he has. Pure: the state before a change is held against that after.

Nobody gives himself more than he has. Nobody gives what reaches further than his own right to give, nor hands on what
rights, keys and the audit are governed with, unless he has it himself. Who appoints people lets them have by it no more
than his right to appoint reaches. Nobody comes to have both halves of a separation. The last one who can give rights
everywhere stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from flows.access.changes import Actor
from flows.access.compiling import Compiled, Rights, regions
from flows.access.difference import Touched, anywhere, differences, holding_both, of_person
from flows.access.explaining import to_ask
from flows.access.model import Grant, Object, Snapshot
from flows.access.permissions import PERMISSIONS
from flows.access.predicate import Allow, Region
from pipe.errors import BadRequest, Denied
from pipe.refusing import Term, refused

GIVE = "grant.give"
MOVE = "person.move"
EMERGENCY = "access.emergency"
PLACES = {"person", "position", "unit", "group"}
KEEPERS = (GIVE, "role.edit")
"""what at least one person must be able to do everywhere, once somebody could"""


def guard(by: Actor, before: Compiled, after: Compiled, touched: Touched, now: float) -> None:
    """Raises Denied or BadRequest where the change may not be. At the console the machine's own rights count."""
    rows = list(touched)
    if by.person is not None:
        who = _Asker(by.person, before, now)
        _not_for_himself(who, before, after, now)
        for table, name in rows:
            if table == "grant":
                _not_beyond(who, before.snapshot.grant.get(name), after.snapshot.grant.get(name), after.snapshot)
            elif table == "role":
                _no_foreign_permissions(who, before.snapshot, after.snapshot, name)
        _no_further_than_he_appoints(who, before, after, rows, now)
    _not_both(before, after, now)
    _somebody_stays(before, after, now)


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who makes the change, and whom he can ask instead."""

    id: str
    before: Compiled
    now: float

    @property
    def rights(self) -> Rights:
        """What he may."""
        return self.before.of(self.id, self.now)

    def ask(self, permission: str, region: Region | None = None) -> str | Term:
        """Names of others who have the permission: there, where a place of one company is meant."""
        return asked(self.before, permission, self.now, self.id, region)


def asked(compiled: Compiled, permission: str, now: float, besides: str, region: Region | None = None) -> str | Term:
    """Names of people who have a permission, but for one; the word for whoever it is where there is nobody."""
    companies = region.companies if region is not None else None
    thing = Object(company=min(companies)) if companies else Object()
    return ", ".join(to_ask(compiled, thing, now, permission, besides)) or Term("somebody")


def _not_for_himself(who: _Asker, before: Compiled, after: Compiled, now: float) -> None:
    """But an emergency of his own, which has its own permission, end and reason."""
    fresh = after.snapshot.grant.keys() - before.snapshot.grant.keys()
    urgent = {each for each in fresh if after.snapshot.grant[each].source == "emergency"}
    gains = [
        change.permission
        for change in of_person(before, after, who.id, now)
        if change.lifted or any(urgent.isdisjoint(piece.grants) for piece in change.gains)
    ]
    if gains:
        raise refused(Denied, "own_gain", permissions=", ".join(gains[:5]), ask=who.ask(GIVE))


def _no_further_than_he_appoints(who: _Asker, before: Compiled, after: Compiled, rows: Touched, now: float) -> None:
    """What people come to have by their places and levels lies within the right to appoint, or to give."""
    mine = who.rights
    for change in differences(before, after, [row for row in rows if row[0] in PLACES], now):
        for piece in change.gains:
            bare = Allow(piece.region, piece.level)
            if not _covered(mine, MOVE, bare) and not _covered(mine, GIVE, bare):
                login, ask = after.snapshot.person[change.person].login, who.ask(MOVE, piece.region)
                raise refused(Denied, "beyond_appointing", who=login, permission=change.permission, ask=ask)


def _not_beyond(who: _Asker, old: Grant | None, grant: Grant | None, snapshot: Snapshot) -> None:
    """A grant that is new or another than before lies within what the giver may give."""
    if grant is None or grant == old:
        return
    # Who approves what another has given vouches for it; that it may be given was looked at then.
    if old is not None and replace(grant, approved_by=old.approved_by) == old:
        return
    urgent, mine = grant.source == "emergency", who.rights
    for region in _reach(snapshot, grant):
        piece = Allow(region, grant.level)
        needs = EMERGENCY if urgent else GIVE
        if not _covered(mine, needs, piece):
            where = f"{grant.scope} {grant.scope_id}" if grant.scope_id else Term(grant.scope)
            ask = who.ask(needs, region)
            raise refused(Denied, "beyond_giving", where=where, level=grant.level, needs=needs, ask=ask)
        if urgent:
            continue
        for name in sorted(snapshot.permissions_of.get(grant.role, ())):
            if name in PERMISSIONS and PERMISSIONS[name].guarded and not _covered(mine, name, piece):
                raise refused(Denied, "foreign_in_role", role=grant.role, permission=name, ask=who.ask(name, region))


def about(snapshot: Snapshot, grant: Grant) -> Object:
    """The object that stands for a grant itself: of the one company or unit that it reaches into, else of none."""
    if grant.scope == "unit" and grant.scope_id is not None and grant.scope_id in snapshot.unit:
        return Object(company=snapshot.unit[grant.scope_id].company, unit=grant.scope_id)
    companies = [region.companies for region in _reach(snapshot, grant)]
    if len(companies) == 1 and companies[0] is not None and len(companies[0]) == 1:
        return Object(company=next(iter(companies[0])))
    return Object()


def _reach(snapshot: Snapshot, grant: Grant) -> Iterable[Region]:
    """Which objects it can come to be about, whoever comes to hold it; everything where nobody can say."""
    if grant.scope_id is not None or grant.scope == "all":
        return list(regions(snapshot, grant, ()))
    kind, _, within = grant.to_kind, *grant.to_id.partition("@")[1:]
    company: str | None = None
    if kind == "position" and grant.to_id in snapshot.position:
        company = snapshot.unit[snapshot.position[grant.to_id].unit].company
    elif kind in {"unit", "title"}:
        unit = snapshot.unit.get(grant.to_id if kind == "unit" else within)
        company = unit.company if unit is not None else None
    elif kind == "group" and grant.to_id in snapshot.group:
        company = snapshot.group[grant.to_id].company
    elif kind == "person" and grant.scope == "own" and grant.to_id in snapshot.person:
        company = snapshot.person[grant.to_id].company
    return [Region(frozenset({company}) if company is not None else None, tags=grant.tags, states=grant.states)]


def not_over(mine: Rights, theirs: Rights, ask: Callable[[str], str]) -> None:
    """Raises Denied where somebody who could act as another would govern rights that are not his to govern.

    Who resets a password holds the new one in his hand, and who issues a key can use it himself.
    """
    for name, predicate in sorted(theirs.predicates.items()):
        if PERMISSIONS[name].guarded and not all(_covered(mine, name, Allow(*allow[:2])) for allow in predicate.allows):
            raise refused(Denied, "over_you", facts={"permission": name}, permission=name, ask=ask(name))


def _covered(rights: Rights, permission: str, piece: Allow) -> bool:
    """Whether somebody has a permission for all of a piece, and nothing stands against it there."""
    predicate = rights.predicate(permission)
    return any(allow.covers(piece) for allow in predicate.allows) and not any(
        bar.level <= piece.level and _meet(bar.region, piece.region) for bar in predicate.bars
    )


def _meet(one: Region, other: Region) -> bool:
    """Whether there may be an object in both."""
    return all(
        a is None or b is None or not a.isdisjoint(b)
        for a, b in ((one.companies, other.companies), (one.units, other.units))
    )


def _no_foreign_permissions(who: _Asker, before: Snapshot, after: Snapshot, role: str) -> None:
    """Who edits a role puts nothing into it that governs rights and that he does not have everywhere himself."""
    fresh = after.permissions_of.get(role, frozenset()) - before.permissions_of.get(role, frozenset())
    for name in sorted(fresh):
        if PERMISSIONS[name].guarded and not _covered(who.rights, name, Allow(Region(), 0)):
            raise refused(Denied, "foreign_permission", permission=name, ask=who.ask(name))


def _not_both(before: Compiled, after: Compiled, now: float) -> None:
    for rule in after.snapshot.separation.values():
        if rule.kind != "static":
            continue
        both = holding_both(after.snapshot, rule.first, rule.second, after, now)
        if rule.id in before.snapshot.separation:
            both -= holding_both(before.snapshot, rule.first, rule.second, before, now)
        if both:
            names = sorted(after.snapshot.person[each].login for each in both)
            raise refused(
                BadRequest, "both_halves", who=", ".join(names[:5]),
                first=rule.first, second=rule.second, reason=rule.reason, rule=rule.id,
            )  # fmt: skip


def _somebody_stays(before: Compiled, after: Compiled, now: float) -> None:
    for permission in KEEPERS:
        if anywhere(before.snapshot, permission, now, before) and not anywhere(after.snapshot, permission, now, after):
            raise refused(BadRequest, "nobody_left", permission=permission)
