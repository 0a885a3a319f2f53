"""Roles, grants, forbids, separations and fields: what there is, and its changes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from flows.access import grants, roles, rules
from flows.access.changes import Actor
from flows.access.operations.frame import act, holder_of, holder_told, opened, scope_of
from flows.access.permissions import CATALOGUE
from pipe.operations.host import Host


async def permissions(_: Host) -> list[dict[str, Any]]:
    """Everything that can be allowed, in both languages."""
    return [asdict(each) for each in CATALOGUE]


async def list_roles(host: Host) -> list[dict[str, Any]]:
    """Roles with all that they allow, what they include, and how often they are granted."""
    snapshot = (await opened(host)).snapshot
    return [
        {
            "id": role.id,
            "name_uk": role.name_uk,
            "name_en": role.name_en,
            "about": role.about,
            "emergency": role.emergency,
            "permissions": sorted(role.permissions),
            "includes": sorted(role.includes),
            "all_permissions": sorted(snapshot.permissions_of[role.id]),
            "grants": sum(grant.role == role.id for grant in snapshot.grant.values()),
        }
        for role in sorted(snapshot.role.values(), key=lambda role: role.id)
    ]


async def put_role(
    host: Host,
    id: str,
    uk: str | None = None,
    en: str = "",
    permissions: list[str] | None = None,
    includes: list[str] | None = None,
    about: str | None = None,
    emergency: bool | None = None,
    rehearse: bool = False,
) -> dict[str, Any]:
    """Makes a role, or changes one: what is given takes the place of what was."""
    by, known = Actor(host.actor), id in (await opened(host)).snapshot.role
    names = None if uk is None else {"uk": uk, "en": en}
    if not known:
        return await act(
            host,
            lambda tx: roles.create(
                tx,
                by,
                id,
                names or {},
                permissions or [],
                includes=includes or [],
                about=about or "",
                emergency=bool(emergency),
            ),
            rehearse=rehearse,
        )
    return await act(
        host,
        lambda tx: roles.change(
            tx, by, id, names=names, permissions=permissions, includes=includes, about=about, emergency=emergency
        ),
        rehearse=rehearse,
    )


async def remove_role(host: Host, id: str, reason: str) -> dict[str, Any]:
    """Takes a role away that nobody was given."""
    by = Actor(host.actor)
    return await act(host, lambda tx: roles.remove(tx, by, id, reason), rehearse=False)


async def list_grants(
    host: Host, to: str | None = None, role: str | None = None, waiting: bool = False
) -> list[dict[str, Any]]:
    """Grants to somebody, of a role, or those that a second person has to approve."""
    access = await opened(host)
    snapshot, wanted = access.snapshot, holder_of(access, to) if to is not None else None
    found = [
        grant
        for grant in snapshot.grant.values()
        if (wanted is None or (grant.to_kind, grant.to_id) == wanted)
        and (role is None or grant.role == role)
        and (not waiting or grant.waits)
    ]
    found.sort(key=lambda grant: (grant.granted_at, grant.id))
    return [{**grants.told(each), "to": holder_told(snapshot, each.to_kind, each.to_id)} for each in found]


async def give(
    host: Host,
    role: str,
    to: str,
    reason: str,
    scope: str = "all",
    level: int = 1,
    tags: list[str] | None = None,
    states: list[str] | None = None,
    valid_from: float | None = None,
    valid_until: float | None = None,
    rehearse: bool = False,
) -> dict[str, Any]:
    """Gives a role to `person:LOGIN`, `position:ID`, `title:WORD[@UNIT]`, `unit:ID` or `group:ID`."""
    by = Actor(host.actor)
    kind, name = holder_of(await opened(host), to)
    reach, reach_id = scope_of(scope)
    return await act(
        host,
        lambda tx: grants.give(
            tx,
            by,
            role,
            kind,
            name,
            scope=reach,
            scope_id=reach_id,
            level=level,
            tags=tags or (),
            states=states or (),
            valid_from=valid_from,
            valid_until=valid_until,
            reason=reason,
        ),
        rehearse=rehearse,
    )


async def approve(host: Host, id: str, rehearse: bool = False) -> dict[str, Any]:
    """The second person's word on a grant of level 3."""
    by = Actor(host.actor)
    return await act(host, lambda tx: grants.approve(tx, by, id), rehearse=rehearse)


async def revoke(host: Host, id: str, reason: str, rehearse: bool = False) -> dict[str, Any]:
    """Takes a grant back, at once."""
    by = Actor(host.actor)
    return await act(host, lambda tx: grants.revoke(tx, by, id, reason), rehearse=rehearse)


async def list_rules(host: Host) -> dict[str, Any]:
    """Forbids, separations, and the rules of fields."""
    snapshot = (await opened(host)).snapshot
    sets = ("permissions", "tags", "states")
    return {
        "forbids": [
            {
                **asdict(each),
                **{name: sorted(getattr(each, name)) for name in sets},
                "to": holder_told(snapshot, each.to_kind, each.to_id),
            }
            for each in snapshot.forbid.values()
        ],
        "separations": [asdict(each) for each in snapshot.separation.values()],
        "fields": [asdict(each) for each in snapshot.field.values()],
    }


async def forbid(
    host: Host,
    id: str,
    permissions: list[str],
    reason: str,
    to: str = "everyone",
    scope: str = "all",
    level: int = 0,
    tags: list[str] | None = None,
    states: list[str] | None = None,
    factor_within: float | None = None,
    valid_until: float | None = None,
    rehearse: bool = False,
) -> dict[str, Any]:
    """Forbids permissions to everyone, `role:ID`, or whom a grant can be given to."""
    by = Actor(host.actor)
    kind, name = ("everyone", None) if to == "everyone" else ("", "")
    if to.startswith("role:"):
        kind, name = "role", to.removeprefix("role:")
    elif to != "everyone":
        kind, name = holder_of(await opened(host), to)
    reach, reach_id = scope_of(scope)
    return await act(
        host,
        lambda tx: rules.forbid(
            tx,
            by,
            id,
            permissions,
            kind,
            name,
            scope=reach,
            scope_id=reach_id,
            level=level,
            tags=tags or (),
            states=states or (),
            factor_within=factor_within,
            valid_until=valid_until,
            reason=reason,
        ),
        rehearse=rehearse,
    )


async def separate(
    host: Host,
    id: str,
    kind: Literal["static", "same_object"],
    first: str,
    second: str,
    reason: str,
    rehearse: bool = False,
) -> dict[str, Any]:
    """Two permissions that do not go together."""
    by = Actor(host.actor)
    return await act(host, lambda tx: rules.separate(tx, by, id, kind, first, second, reason), rehearse=rehearse)


async def lift(
    host: Host, what: Literal["forbid", "separation", "field"], id: str, reason: str, rehearse: bool = False
) -> dict[str, Any]:
    """Takes a forbid, a separation or the rule of a field back."""
    by = Actor(host.actor)
    if what == "forbid":
        return await act(host, lambda tx: rules.lift(tx, by, id, reason), rehearse=rehearse)
    if what == "separation":
        return await act(host, lambda tx: rules.join(tx, by, id, reason), rehearse=rehearse)
    kind, _, name = id.partition("/")
    return await act(host, lambda tx: rules.show_always(tx, by, kind, name, reason), rehearse=rehearse)


async def rule_field(host: Host, kind: str, name: str, level: int, below: Literal["mask", "hide"]) -> dict[str, Any]:
    """From which level on a field is shown, and what is shown below it."""
    by = Actor(host.actor)
    return await act(host, lambda tx: rules.show_from(tx, by, kind, name, level, below), rehearse=False)
