"""Holders, scopes and reaches of rights in words, as pages and the API tell them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from flows.access.model import Forbid, Grant, Object, Snapshot
from flows.access.permissions import PERMISSIONS
from flows.access.predicate import Allow, Region
from web.pages.call import Call
from web.pages.words import Words, alphabetical


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """It."""


Choices = list[tuple[str, str]]
"""value and label of each"""


def holder(words: Words, snapshot: Snapshot, kind: str, name: str | None) -> str:
    """Who has it: a person by name, else what stands for whoever is in it."""
    text = name or ""
    if kind == "person":
        person = snapshot.person.get(text)
        return (person.name or person.login) if person is not None else text
    if kind == "title":
        title, _, unit = text.partition("@")
        return (
            words("holder.title_in", name=title, unit=_name(words, snapshot.unit, unit))
            if unit
            else words("holder.title", name=title)
        )
    things = {"position": snapshot.position, "unit": snapshot.unit, "group": snapshot.group, "role": snapshot.role}
    return words("holder.everyone") if kind == "everyone" else _name(words, things[kind], text)


def written(snapshot: Snapshot, kind: str, name: str | None) -> str:
    """The same as forms, commands and the API write it: `person:LOGIN`, `unit:hall`."""
    if kind == "person" and name is not None and name in snapshot.person:
        return f"person:{snapshot.person[name].login}"
    return f"{kind}:{name}" if name else kind


def scope(words: Words, snapshot: Snapshot, kind: str, name: str | None) -> str:
    """Where it holds."""
    if name is None:
        return words(f"scope.{kind}")
    things = snapshot.company if kind == "company" else snapshot.unit
    return words(f"scope.{kind}_named", name=_name(words, things, name))


def terms(words: Words, snapshot: Snapshot, grant: Grant | Forbid) -> str:
    """Where a grant or forbid holds, with its tags and states."""
    return "; ".join([scope(words, snapshot, grant.scope, grant.scope_id), *_narrower(words, grant.tags, grant.states)])


def reach(words: Words, snapshot: Snapshot, allow: Allow) -> str:
    """Which objects, up to which level."""
    return f"{'; '.join(_region(words, snapshot, allow.region))}; {words('level.up_to', n=allow.level)}"


def _region(words: Words, snapshot: Snapshot, region: Region) -> Iterator[str]:
    if region.units is not None:
        names = [_name(words, snapshot.unit, each) for each in sorted(region.units)]
        yield words("scope.unit_named", name=", ".join(names))
    elif region.companies is not None:
        names = [_name(words, snapshot.company, each) for each in sorted(region.companies)]
        yield words("scope.company_named", name=", ".join(names))
    elif not region.own:
        yield words("scope.all")
    if region.own:
        yield words("scope.own")
    yield from _narrower(words, region.tags, region.states)


def _narrower(words: Words, tags: Iterable[str], states: Iterable[str]) -> Iterator[str]:
    if tags:
        yield words("scope.tags", tags=", ".join(sorted(tags)))
    if states:
        yield words("scope.states", states=", ".join(sorted(states)))


def permission(words: Words, name: str) -> str:
    """What a permission allows."""
    known = PERMISSIONS.get(name)
    return name if known is None else known.uk if words.language == "uk" else known.en


def _name(words: Words, things: object, name: str) -> str:
    found = things.get(name) if hasattr(things, "get") else None
    return words.name_of(found) if found is not None else name


# --- choices of forms ---------------------------------------------------------------------------------------------


def roles(words: Words, snapshot: Snapshot) -> Choices:
    """Every role."""
    return sorted(((each.id, words.name_of(each)) for each in snapshot.role.values()), key=by_label)


def companies(call: Call, permission: str) -> Choices:
    """Every company that is not closed and in which this is allowed."""
    found = (
        each
        for each in call.site.access.snapshot.company.values()
        if each.state == "active" and call.may(permission, Object(company=each.id))
    )
    return sorted(((each.id, call.words.name_of(each)) for each in found), key=by_label)


def scopes(call: Call, permission: str) -> Choices:
    """Where this is allowed: everywhere, by the holder's own place, then each company and unit by name."""
    words, snapshot = call.words, call.site.access.snapshot
    units = [
        (f"unit:{each.id}", f"{words.name_of(snapshot.company[each.company])} / {words.name_of(each)}")
        for each in snapshot.unit.values()
        if each.company in snapshot.company and call.may(permission, Object(company=each.company, unit=each.id))
    ]
    return [
        *([("all", words("scope.all"))] if call.may(permission, Object()) else []),
        *((kind, words(f"scope.{kind}")) for kind in ("company", "unit", "own")),
        *((f"company:{name}", words("scope.company_named", name=label)) for name, label in companies(call, permission)),
        *((value, words("scope.unit_named", name=label)) for value, label in sorted(units, key=by_label)),
    ]


def places(call: Call, permission: str) -> Choices:
    """Everything that people can be in and to which this is allowed: positions, units, groups."""
    words, snapshot = call.words, call.site.access.snapshot
    found = [
        (f"{kind}:{each.id}", words("holder.of_kind", kind=words(f"holder.{kind}"), name=words.name_of(each)))
        for kind, things in (("position", snapshot.position), ("unit", snapshot.unit), ("group", snapshot.group))
        for each in things.values()
        if (thing := place(snapshot, kind, each.id)) is not None and call.may(permission, thing)
    ]
    return sorted(found, key=by_label)


def place(snapshot: Snapshot, kind: str, of: str) -> Object | None:
    """A position, unit or group as what rights are about; None where there is none."""
    if kind == "position" and of in snapshot.position:
        kind, of = "unit", snapshot.position[of].unit
    if kind == "unit" and of in snapshot.unit:
        return Object(company=snapshot.unit[of].company, unit=of)
    if kind == "group" and of in snapshot.group:
        return Object(company=snapshot.group[of].company)
    return None


def levels(words: Words) -> Choices:
    """The levels of confidentiality."""
    return [(str(n), words(f"level.{n}")) for n in range(4)]


def permissions(words: Words) -> Choices:
    """Everything that can be allowed."""
    return [(name, f"{words(f'area.{each.area}')}: {permission(words, name)}") for name, each in PERMISSIONS.items()]


def by_label(choice: tuple[str, str]) -> str:
    """To sort choices by."""
    return alphabetical(choice[1])


def by_name(thing: Named) -> str:
    """To sort people by."""
    return alphabetical(thing.name)
