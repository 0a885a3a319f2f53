"""Who can do what, what can he do, and why not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flows.access.compiling import Rights
from flows.access.explaining import candidates
from flows.access.model import Object, Snapshot
from flows.access.operations.frame import holder_told, object_of, opened, person_of, where
from flows.access.permissions import PERMISSIONS, permission
from flows.access.predicate import Predicate
from pipe.operations.host import Host


async def who_can(
    host: Host,
    name: str,
    company: str | None = None,
    unit: str | None = None,
    owner: str | None = None,
    level: int = 0,
    tags: list[str] | None = None,
    state: str | None = None,
) -> list[dict[str, Any]]:
    """Everybody who may, and through which grants; on this object, or on any where none is described."""
    permission(name)
    access = await opened(host)
    thing = object_of(access, company, unit, owner, level, tags or (), state)
    found = []
    for person in candidates(access.snapshot, name):
        rights = access.rights(person)
        if rights.may(name, thing) and rights.person is not None:
            found.append(
                {
                    "login": rights.person.login,
                    "name": rights.person.name,
                    "company": rights.person.company,
                    "through": _through(access.snapshot, rights.predicate(name), thing),
                }
            )
    return sorted(found, key=lambda row: str(row["login"]))


async def what_can(host: Host, login: str) -> dict[str, Any]:
    """All permissions of a person, where, through which grants, and what stands against them."""
    access = await opened(host)
    rights: Rights = access.rights(person_of(access, login))
    return {
        "login": login,
        "shut_out": rights.shut_out,
        "level": rights.person.level if rights.person is not None else 0,
        "permissions": [
            {
                "permission": name,
                "uk": PERMISSIONS[name].uk,
                "en": PERMISSIONS[name].en,
                "of_use": predicate.possible(),
                "where": [where(allow) for allow in predicate.allows],
                "through": _through(access.snapshot, predicate, None),
                "against": sorted({bar.id for bar in predicate.bars} | {rule for _, rule in predicate.after}),
            }
            for name, predicate in sorted(rights.predicates.items())
        ],
        "waiting": [grant.id for grant in rights.waiting],
    }


async def why_not(
    host: Host,
    login: str,
    name: str,
    company: str | None = None,
    unit: str | None = None,
    owner: str | None = None,
    level: int = 0,
    tags: list[str] | None = None,
    state: str | None = None,
) -> dict[str, Any]:
    """Why somebody may or may not, what would help, and whom to ask."""
    access = await opened(host)
    thing = object_of(access, company, unit, owner, level, tags or (), state)
    return asdict(access.why_not(person_of(access, login), name, thing))


def _through(snapshot: Snapshot, predicate: Predicate, thing: Object | None) -> list[str]:
    """The grants in words: `operator ← position:op-1`."""
    ids = {
        grant
        for allow in predicate.allows
        for grant in allow.grants
        if thing is None or ((thing.level or 0) <= allow.level and allow.region.holds(thing, predicate.person))
    }
    grants = [snapshot.grant[each] for each in ids]
    return sorted(f"{grant.role} ← {holder_told(snapshot, grant.to_kind, grant.to_id)}" for grant in grants)
