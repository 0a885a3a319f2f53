"""Why somebody may not, in words that he can act upon, and whom he can ask. Pure: no storage, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flows.access.compiling import Compiled
from flows.access.model import Object, Snapshot
from flows.access.permissions import PERMISSIONS
from flows.access.predicate import Allow, Predicate, Region, least
from flows.access.words import HIGHEST

MOST_ASKED = 5
"""names that a denied person is given"""

TEXTS: dict[str, tuple[str, str]] = {
    "allowed": ("Дозволено.", "Allowed."),
    "unknown_person": ("Такої людини немає.", "There is no such person."),
    "blocked": ("Обліковий запис заблоковано.", "The account is blocked."),
    "left": ("Людину звільнено.", "The person has left."),
    "expired": ("Строк дії облікового запису минув.", "The account has expired."),
    "unknown_permission": ("Такого права не існує.", "There is no such permission."),
    "forbidden_by_rule": ("Це заборонено правилом: {rule}.", "A rule forbids it: {rule}."),
    "factor_too_old": (
        "Підтвердьте вхід другим фактором ще раз: {rule}.",
        "Confirm your sign-in with the second factor again: {rule}.",
    ),
    "separation_of_duties": (
        "Це не поєднується з іншою дією чи правом цієї людини: {rule}.",
        "It does not go together with another right or action of the same person: {rule}.",
    ),
    "waits_for_approval": (
        "Право надано, але його ще має затвердити друга людина.",
        "The right is granted, and a second person has to approve it yet.",
    ),
    "no_right": ("Жодна з наданих ролей не дає цього права.", "None of the roles given has this permission."),
    "out_of_scope": (
        "Право надано, але не для цієї компанії, підрозділу чи власника.",
        "The permission was given, but not for this company, unit or owner.",
    ),
    "wrong_tag": ("Право надано лише для інших позначок.", "The permission was given for other tags only."),
    "wrong_state": ("У цьому стані надане право не діє.", "The permission that was given does not hold in this state."),
    "level_too_low": (
        "Потрібен рівень доступу {needed}, надано {level}.",
        "Level {needed} is needed, level {level} was given.",
    ),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole story of one decision."""

    allowed: bool
    reason: str
    """a key of TEXTS"""
    uk: str
    en: str
    permission: str
    grants: tuple[str, ...] = ()
    """that allow it, or would if nothing stood against it"""
    against: tuple[str, ...] = ()
    """forbids and separations that stand against it"""
    missing: tuple[str, ...] = ()
    """roles that have the permission"""
    ask: tuple[str, ...] = ()
    """names of people who can give it"""


def why_not(
    compiled: Compiled,
    person: str,
    permission: str,
    thing: Object | None,
    now: float,
    factor_age: float | None = None,
) -> Explanation:
    """Why the person may or may not. Agrees with the decision: it is the same predicate, read step by step."""
    rights = compiled.of(person, now)
    snapshot = compiled.snapshot
    if permission not in PERMISSIONS:
        return _told("unknown_permission", permission)
    if rights.shut_out is not None:
        reason = "unknown_person" if rights.shut_out == "unknown" else rights.shut_out
        return _told(reason, permission, ask=to_ask(compiled, Object(), now, "person.block", person))
    predicate = rights.predicate(permission)
    missing = tuple(sorted(role for role, names in snapshot.permissions_of.items() if permission in names))
    about = thing if thing is not None else Object()
    allowed = predicate.decides(thing, factor_age) if thing is not None else predicate.possible(factor_age)
    fitting = tuple(sorted({each for allow in _fitting(predicate, about) for each in allow.grants}))
    if allowed:
        grants = fitting or tuple(sorted({each for allow in predicate.allows for each in allow.grants}))
        return _told("allowed", permission, grants=grants)
    ask = to_ask(compiled, about, now, "grant.give", person)
    if any(permission in snapshot.permissions_of[grant.role] for grant in rights.waiting) and not fitting:
        ask = to_ask(compiled, about, now, "grant.approve", person)
        return _told("waits_for_approval", permission, ask=ask, missing=missing)
    if not predicate.allows:
        return _told("no_right", permission, missing=missing, ask=ask)
    level = HIGHEST if about.level is None else about.level
    if thing is not None and not fitting:
        reason, most = _furthest(predicate, thing)
        words = {"needed": level, "level": most}
        return _told(reason, permission, words, missing=missing, ask=ask)
    if thing is None:
        about = next(least(predicate.allows[0].region, person))
        fitting = predicate.allows[0].grants
    return _against(snapshot, predicate, about, fitting, factor_age, permission, ask)


def _fitting(predicate: Predicate, thing: Object) -> Iterator[Allow]:
    level = HIGHEST if thing.level is None else thing.level
    return (a for a in predicate.allows if level <= a.level and a.region.holds(thing, predicate.person))


def _furthest(predicate: Predicate, thing: Object) -> tuple[str, int]:
    """What the grant that comes nearest lacks, and the highest level that fits the rest."""
    found, most = "out_of_scope", -1
    order = ["out_of_scope", "wrong_tag", "wrong_state", "level_too_low"]
    for allow in predicate.allows:
        region = allow.region
        if not Region(region.companies, region.units, region.own).holds(thing, predicate.person):
            reason = "out_of_scope"
        elif region.tags and region.tags.isdisjoint(thing.tags):
            reason = "wrong_tag"
        elif region.states and thing.state not in region.states:
            reason = "wrong_state"
        else:
            reason, most = "level_too_low", max(most, allow.level)
        if order.index(reason) > order.index(found):
            found = reason
    return found, most


def _against(
    snapshot: Snapshot,
    predicate: Predicate,
    thing: Object,
    grants: tuple[str, ...],
    factor_age: float | None,
    permission: str,
    ask: tuple[str, ...],
) -> Explanation:
    level = HIGHEST if thing.level is None else thing.level
    person = predicate.person
    stops = [bar for bar in predicate.bars if bar.stops(thing, person, level, factor_age)]
    apart = [rule for other, rule in predicate.after if thing.did.get(other) == person]
    against = tuple(sorted({bar.id for bar in stops} | set(apart)))
    rules = [bar for bar in stops if bar.id in snapshot.forbid]
    if rules and all(bar.factor_within is not None for bar in stops):
        words = {"rule": snapshot.forbid[rules[0].id].reason}
        return _told("factor_too_old", permission, words, grants=grants, against=against)
    if rules:
        hard = next((bar for bar in rules if bar.factor_within is None), rules[0])
        words = {"rule": snapshot.forbid[hard.id].reason}
        ask = tuple(sorted({snapshot.forbid[bar.id].made_by for bar in rules}))
        return _told("forbidden_by_rule", permission, words, grants=grants, against=against, ask=ask)
    named = [snapshot.separation[each].reason for each in against if each in snapshot.separation]
    words = {"rule": named[0] if named else ""}
    return _told("separation_of_duties", permission, words, grants=grants, against=against, ask=ask)


def _told(
    reason: str,
    permission: str,
    words: Mapping[str, object] | None = None,
    *,
    grants: tuple[str, ...] = (),
    against: tuple[str, ...] = (),
    missing: tuple[str, ...] = (),
    ask: tuple[str, ...] = (),
) -> Explanation:
    uk, en = (text.format(**(words or {})) for text in TEXTS[reason])
    return Explanation(reason == "allowed", reason, uk, en, permission, grants, against, missing, ask)


def to_ask(compiled: Compiled, thing: Object, now: float, permission: str, besides: str) -> tuple[str, ...]:
    """People who can help with this object: those of its company first."""
    able = [each for each in candidates(compiled.snapshot, permission) if each != besides]
    near = [each for each in able if compiled.of(each, now).may(permission, thing._replace(level=0))]
    people = [compiled.snapshot.person[each] for each in near]
    people.sort(key=lambda person: (person.company != thing.company, person.name))
    return tuple(person.name or person.login for person in people[:MOST_ASKED])


def candidates(snapshot: Snapshot, permission: str) -> list[str]:
    """People to whom some grant may give a permission; all who have it are among them."""
    roles = {role for role, names in snapshot.permissions_of.items() if permission in names}
    grants = [grant for grant in snapshot.grant.values() if grant.role in roles]
    return sorted(holders(snapshot, {(grant.to_kind, grant.to_id) for grant in grants}))


def holders(snapshot: Snapshot, to: Iterable[tuple[str, str]]) -> set[str]:
    """People who are in any of these, at whatever time."""
    found: set[str] = set()
    for kind, name in to:
        if kind == "person":
            found |= {name} & snapshot.person.keys()
        elif kind == "everyone":
            found |= snapshot.person.keys()
        else:
            found |= snapshot.people_in.get((kind, name), frozenset())
    return found
