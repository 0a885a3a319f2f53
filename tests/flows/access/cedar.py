"""The same world as Cedar policies, written down from grants and rules directly: a second opinion on every decision.

Hierarchies are Cedar's own (people in positions in units, permissions in roles), nothing of the gateway's is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import cedarpy

from flows.access.model import Forbid, Grant, Membership, Object, Snapshot


class Cedar:
    """A world, translated once."""

    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self._world, self._now = snapshot, now
        self.policies = cedarpy.PolicySet.from_str("\n".join(self._policies()))
        self._entities = list(self._organisation())

    def allows(self, requests: Iterable[tuple[str, str, Object, float | None]]) -> list[bool]:
        """Its decisions on (person, permission, object, age of the second factor)."""
        asked, things = [], []
        for number, (person, permission, thing, factor_age) in enumerate(requests):
            things.append(_thing(f"t{number}", thing))
            asked.append(
                {
                    "principal": _uid("Person", person),
                    "action": _uid("Action", permission),
                    "resource": _uid("Thing", f"t{number}"),
                    "context": {} if factor_age is None else {"factor_age": int(factor_age)},
                }
            )
        results = cedarpy.is_authorized_batch(asked, self.policies, [*self._entities, *things])
        assert not [result.diagnostics.errors for result in results if result.diagnostics.errors]
        return [result.allowed for result in results]

    # --- who and what there is ---

    def _organisation(self) -> Iterator[dict[str, Any]]:
        world = self._world
        for unit in world.unit.values():
            yield _entity("Unit", unit.id, parents=[("Unit", unit.parent)] if unit.parent else [])
        for position in world.position.values():
            titles = [("Title", position.title), *(("Title", f"{position.title}@{u}") for u in self._up(position.unit))]
            yield _entity("Position", position.id, parents=[("Unit", position.unit), *titles])
        for person in world.person.values():
            places = [place for place in person.memberships if self._holds(place)]
            parents = [(place.kind.capitalize(), place.of) for place in places]
            parents += [("Direct", place.of) for place in places if place.kind == "unit"]
            active = person.state == "active" and (person.valid_until is None or self._now < person.valid_until)
            attributes: dict[str, Any] = {"level": person.level, "active": active}
            if person.company is not None:
                attributes["company"] = person.company
            yield _entity("Person", person.id, attributes, parents)
        names = {name for role in world.role.values() for name in role.permissions}
        for name in names:
            holding = [("Action", f"role:{role.id}") for role in world.role.values() if name in role.permissions]
            yield _entity("Action", name, parents=holding)
        for role in world.role.values():
            outer = [("Action", f"role:{each.id}") for each in world.role.values() if role.id in each.includes]
            yield _entity("Action", f"role:{role.id}", parents=outer)

    def _holds(self, place: Membership) -> bool:
        return _during(place.valid_from, place.valid_until, self._now)

    def _up(self, unit: str | None) -> Iterator[str]:
        while unit is not None:
            yield unit
            unit = self._world.unit[unit].parent

    def _down(self, unit: str) -> list[str]:
        return [each for each in self._world.unit if unit in self._up(each)]

    # --- what is allowed and forbidden ---

    def _policies(self) -> Iterator[str]:
        world = self._world
        grants = [grant for grant in world.grant.values() if self._counts(grant)]
        for grant in grants:
            terms = f"{_terms(grant)} && resource.level <= {grant.level} && resource.level <= principal.level"
            action = f'action in Action::"role:{grant.role}"'
            for who, where in self._places(grant):
                when = f"principal.active && {who} && {where} && {terms}"
                yield f"permit(principal, {action}, resource) when {{ {when} }};"
        for forbid in world.forbid.values():
            if not _during(forbid.valid_from, forbid.valid_until, self._now):
                continue
            terms = f"{_terms(forbid)} && resource.level >= {forbid.level}"
            if forbid.factor_within is not None:
                terms += f" && !(context has factor_age && context.factor_age <= {int(forbid.factor_within)})"
            what = " || ".join(self._meant(forbid))
            for who, where in self._places(forbid, grants):
                yield f"forbid(principal, action, resource) when {{ ({what}) && {who} && {where} && {terms} }};"
        yield from self._apart(grants)

    def _apart(self, grants: list[Grant]) -> Iterator[str]:
        for rule in self._world.separation.values():
            for one, other in ((rule.first, rule.second), (rule.second, rule.first)):
                action = f'action == Action::"{one}"'
                if rule.kind == "same_object":
                    did = f'resource.did has "{other}" && resource.did["{other}"] == principal'
                    yield f"forbid(principal, {action}, resource) when {{ {did} }};"
                    continue
                for first in self._giving(grants, one):
                    for second in self._giving(grants, other):
                        for who, _ in self._places(first):
                            for also, _ in self._places(second):
                                yield f"forbid(principal, {action}, resource) when {{ {who} && {also} }};"

    def _giving(self, grants: list[Grant], permission: str) -> list[Grant]:
        return [grant for grant in grants if permission in self._within(grant.role)]

    def _within(self, role: str) -> set[str]:
        found = set(self._world.role[role].permissions)
        for each in self._world.role[role].includes:
            found |= self._within(each)
        return found

    def _included(self, role: str) -> set[str]:
        return {role}.union(*(self._included(each) for each in self._world.role[role].includes))

    def _counts(self, grant: Grant) -> bool:
        waits = grant.level == 3 and grant.approved_by is None and grant.source != "emergency"
        return _during(grant.valid_from, grant.valid_until, self._now) and not waits

    def _meant(self, forbid: Forbid) -> list[str]:
        names = {name for role in self._world.role.values() for name in role.permissions}
        meant = [
            name
            for name in sorted(names)
            for pattern in forbid.permissions
            if pattern in {"*", name} or (pattern.endswith("*") and name.startswith(pattern[:-1]))
        ]
        return [f'action == Action::"{name}"' for name in meant] or ["false"]

    def _places(self, thing: Grant | Forbid, grants: list[Grant] | None = None) -> Iterator[tuple[str, str]]:
        """(whom it is about, which objects) in Cedar's words, one for each way of holding it."""
        for who in self._holders(thing, grants or []):
            if thing.scope == "all":
                yield who, "true"
            elif thing.scope == "own":
                yield who, "resource has owner && resource.owner == principal"
            elif thing.scope_id is not None:
                yield who, self._inside(thing.scope, thing.scope_id)
            else:
                yield from self._at_home(who, thing)

    def _holders(self, thing: Grant | Forbid, grants: list[Grant]) -> list[str]:
        kind, name = thing.to_kind, thing.to_id
        if kind == "everyone":
            return ["true"]
        if kind == "role":
            giving = [grant for grant in grants if str(name) in self._included(grant.role)]
            return [f"({who})" for grant in giving for who in self._holders(grant, [])]
        if kind == "person":
            return [f'principal == Person::"{name}"']
        return [f'principal in {kind.capitalize()}::"{name}"']

    def _at_home(self, who: str, thing: Grant | Forbid) -> Iterator[tuple[str, str]]:
        """Of the holder's own company or unit, by the place through which he holds it."""
        world, kind, name = self._world, thing.to_kind, str(thing.to_id)
        if kind == "group":
            company = world.group[name].company
            if company is not None and thing.scope == "company":
                yield who, self._inside("company", company)
            return
        everywhere = kind in {"person", "everyone", "role"}
        if everywhere and thing.scope == "company":
            yield f"{who} && principal has company", "resource has company && resource.company == principal.company"
        if everywhere and thing.scope == "company" and kind != "person":
            for group in world.group.values():
                if group.company is not None:
                    yield f'{who} && principal in Group::"{group.id}"', self._inside("company", group.company)
        title, _, within = name.partition("@")
        for position in world.position.values():
            fits = (
                everywhere
                or (kind == "position" and position.id == name)
                or (kind == "unit" and position.unit in self._down(name))
                or (kind == "title" and position.title == title and (not within or position.unit in self._down(within)))
            )
            if fits:
                unit = world.unit[position.unit]
                home = unit.id if thing.scope == "unit" else unit.company
                yield f'{who} && principal in Position::"{position.id}"', self._inside(thing.scope, home)
        for unit in world.unit.values():
            if everywhere or (kind == "unit" and unit.id in self._down(name)):
                home = unit.id if thing.scope == "unit" else unit.company
                yield f'{who} && principal in Direct::"{unit.id}"', self._inside(thing.scope, home)

    def _inside(self, scope: str, name: str) -> str:
        if scope == "company":
            return f'resource has company && resource.company == "{name}"'
        company = self._world.unit[name].company
        return f'resource in Unit::"{name}" && resource has company && resource.company == "{company}"'


def _during(begin: float | None, end: float | None, now: float) -> bool:
    return not (begin is not None and now < begin) and not (end is not None and now >= end)


def _terms(thing: Grant | Forbid) -> str:
    parts = ["true"]
    if thing.tags:
        parts.append(f"resource.tags.containsAny({json.dumps(sorted(thing.tags))})")
    if thing.states:
        parts.append(f"resource has state && {json.dumps(sorted(thing.states))}.contains(resource.state)")
    return " && ".join(parts)


def _uid(kind: str, name: str) -> str:
    return f'{kind}::"{name}"'


def _entity(
    kind: str, name: str, attributes: dict[str, Any] | None = None, parents: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    return {
        "uid": {"type": kind, "id": name},
        "attrs": attributes or {},
        "parents": [{"type": each, "id": within} for each, within in parents],
    }


def _thing(name: str, thing: Object) -> dict[str, Any]:
    def person(id: str) -> dict[str, Any]:
        return {"__entity": {"type": "Person", "id": id}}

    attributes: dict[str, Any] = {
        "level": 3 if thing.level is None else thing.level,
        "tags": sorted(thing.tags),
        "did": {permission: person(who) for permission, who in thing.did.items()},
    }
    for each in ("company", "state"):
        if (value := getattr(thing, each)) is not None:
            attributes[each] = value
    if thing.owner is not None:
        attributes["owner"] = person(thing.owner)
    return _entity("Thing", name, attributes, [("Unit", thing.unit)] if thing.unit else [])
