"""The same organisation for cedarpy, as its own guide would have it: a policy a role, people's scopes as attributes.

Policies and the entities of the organisation are parsed once; requests go in batches. Nothing faster was found.
"""

from __future__ import annotations

import json
from typing import Any

import cedarpy

from benchmarks.access_world import Question
from flows.access.model import Object, Snapshot

BATCH = 500
Ready = list[tuple[list[dict[str, Any]], Any]]


class Cedar:
    """Parsed once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._policies = cedarpy.PolicySet.from_str("\n".join(_policy(role) for role in snapshot.role))
        self._organisation = cedarpy.Entities.from_json_str(json.dumps(_organisation(snapshot)))

    def prepared(self, asked: list[Question]) -> Ready:
        """The requests, and the entities with the objects in question."""
        ready = []
        for at in range(0, len(asked), BATCH):
            piece = asked[at : at + BATCH]
            things = [_thing(f"o{number}", thing) for number, (_, _, thing) in enumerate(piece)]
            requests = [
                {
                    "principal": f'Person::"{person}"',
                    "action": f'Action::"{permission}"',
                    "resource": f'Thing::"o{number}"',
                    "context": {},
                }
                for number, (person, permission, _) in enumerate(piece)
            ]
            ready.append((requests, self._organisation.with_added_json_str(json.dumps(things))))
        return ready

    def answer(self, ready: Ready) -> list[bool]:
        """Its decisions."""
        return [
            result.allowed
            for requests, entities in ready
            for result in cedarpy.is_authorized_batch(requests, self._policies, entities)
        ]

    def decide(self, asked: list[Question]) -> list[bool]:
        """Both."""
        return self.answer(self.prepared(asked))


def _policy(role: str) -> str:
    where = (
        f"(principal has c_{role} && principal.c_{role}.contains(resource.company)) || "
        f"(principal has u_{role} && resource in principal.u_{role})"
    )
    level = f"resource.level <= principal.level && resource.level <= principal.l_{role}"
    action = f'action in Action::"{role}"'
    return f'permit(principal in Role::"{role}", {action}, resource) when {{ {level} && ({where}) }};'


def _organisation(snapshot: Snapshot) -> list[dict[str, Any]]:
    found = [
        _entity("Unit", each.id, {}, [("Unit", each.parent)] if each.parent else []) for each in snapshot.unit.values()
    ]
    names = {name for role in snapshot.role.values() for name in role.permissions}
    for name in names:
        holding = [("Action", role.id) for role in snapshot.role.values() if name in role.permissions]
        found.append(_entity("Action", name, {}, holding))
    by_name: dict[str, list[Any]] = {}
    by_title: dict[str, list[Any]] = {}
    for grant in snapshot.grant.values():
        (by_name if grant.to_kind == "person" else by_title).setdefault(grant.to_id, []).append(grant)
    for person in snapshot.person.values():
        position = snapshot.position[person.memberships[0].of]
        attributes: dict[str, Any] = {"level": person.level}
        roles = []
        for grant in by_name.get(person.id, ()):
            roles.append(grant.role)
            attributes |= {f"c_{grant.role}": [grant.scope_id], f"l_{grant.role}": grant.level}
        for grant in by_title.get(position.title, ()):
            roles.append(grant.role)
            home = [{"__entity": {"type": "Unit", "id": position.unit}}]
            attributes |= {f"u_{grant.role}": home, f"l_{grant.role}": grant.level}
        found.append(_entity("Person", person.id, attributes, [("Role", role) for role in roles]))
    return found


def _thing(name: str, thing: Object) -> dict[str, Any]:
    parents = [("Unit", thing.unit)] if thing.unit else []
    return _entity("Thing", name, {"company": thing.company, "level": thing.level}, parents)


def _entity(kind: str, name: str, attributes: dict[str, Any], parents: list[tuple[str, str]]) -> dict[str, Any]:
    above = [{"type": each, "id": parent} for each, parent in parents]
    return {"uid": {"type": kind, "id": name}, "attrs": attributes, "parents": above}
