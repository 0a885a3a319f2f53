"""What all operations on rights share: the engine, whoever is meant, a change and what it does to people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from flows.access.changes import Actor, Unit
from flows.access.difference import Change
from flows.access.engine import Access
from flows.access.model import Object, Snapshot
from flows.access.predicate import Allow, Region
from pipe.errors import BadRequest, NotFound
from pipe.operations.host import Host
from pipe.refusing import refused

T = TypeVar("T")


async def opened(host: Host) -> Access:
    """The engine, as everything is at this moment."""
    return await Access(host.store, host.clock).open()


async def act(host: Host, unit: Callable[[Unit], T], *, rehearse: bool) -> dict[str, Any]:
    """Makes a change, or only says what it would do: `done`, `result`, and who gains and loses what."""
    access, by = await opened(host), Actor(host.actor)
    changes = await access.rehearse(by, unit)
    made = None if rehearse else await access.change(by, unit)
    return {"done": not rehearse, "result": made, "changes": told(access.snapshot, changes)}


def told(snapshot: Snapshot, changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Changes of rights as plain values."""
    return [
        {
            "login": snapshot.person[change.person].login if change.person in snapshot.person else change.person,
            "permission": change.permission,
            "gains": [where(piece) for piece in change.gains],
            "loses": [where(piece) for piece in change.loses],
            "lifted": list(change.lifted),
            "barred": list(change.barred),
        }
        for change in changes
    ]


def where(allow: Allow) -> str:
    """Which objects, in words: `company ukc, up to level 2`."""
    return f"{_region(allow.region)}, up to level {allow.level}"


def _region(region: Region) -> str:
    parts = []
    if region.units is not None:
        parts.append(f"unit {' '.join(sorted(region.units))}")
    elif region.companies is not None:
        parts.append(f"company {' '.join(sorted(region.companies))}")
    if region.own:
        parts.append("one's own")
    if region.tags:
        parts.append(f"tagged {' or '.join(sorted(region.tags))}")
    if region.states:
        parts.append(f"in state {' or '.join(sorted(region.states))}")
    return ", ".join(parts) or "everywhere"


def person_of(access: Access, login: str) -> str:
    """The id of the person of a login. Raises NotFound."""
    wanted = login.strip().casefold()
    for person in access.snapshot.person.values():
        if person.login == wanted:
            return person.id
    raise refused(NotFound, "nobody_of_login", login=login)


def holder_of(access: Access, text: str) -> tuple[str, str]:
    """`person:olena`, `title:operator@hall` … as a grant keeps it: a person by his id. Raises BadRequest, NotFound."""
    kind, colon, name = text.partition(":")
    if not colon or not name:
        raise refused(BadRequest, "names_nobody", text=text)
    return (kind, person_of(access, name)) if kind == "person" else (kind, name)


def holder_told(snapshot: Snapshot, kind: str, name: str | None) -> str:
    """The other way round."""
    if kind == "person" and name is not None and name in snapshot.person:
        return f"person:{snapshot.person[name].login}"
    return f"{kind}:{name}" if name else kind


def scope_of(text: str) -> tuple[str, str | None]:
    """`all`, `own`, `company:ukc`, or `company` and `unit` alone: the holder's own."""
    scope, _, name = text.partition(":")
    return scope, name or None


def object_of(
    access: Access,
    company: str | None,
    unit: str | None,
    owner: str | None,
    level: int,
    tags: Iterable[str],
    state: str | None,
) -> Object | None:
    """What is asked about; None where nothing was said of it. A unit's company need not be told."""
    if company is None and unit is None and owner is None and not level and not tags and state is None:
        return None
    if unit is not None and company is None and unit in access.snapshot.unit:
        company = access.snapshot.unit[unit].company
    by = person_of(access, owner) if owner is not None else None
    return Object(company, unit, by, level, frozenset(tags), state)
