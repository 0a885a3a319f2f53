"""People: who there is, and what becomes of them."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection, select

from flows.access import organisation, people
from flows.access import tables as t
from flows.access.changes import Actor
from flows.access.operations.frame import act, holder_told, opened, person_of
from flows.access.rows import plain
from flows.access.words import Kind
from flows.signin import factors
from pipe.errors import BadRequest
from pipe.operations.host import Host

SHOWN = 200
Place = Literal["position", "unit", "group"]


async def find(
    host: Host, text: str = "", company: str | None = None, state: str | None = None, limit: int = SHOWN
) -> list[dict[str, Any]]:
    """People by a part of login or name, by company, by state; in order of logins."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        query = select(t.person).order_by(t.person.c.login)
        if company is not None:
            query = query.where(t.person.c.company == company)
        if state is not None:
            query = query.where(t.person.c.state == state)
        wanted = text.casefold()
        rows = [_told(plain(row)) for row in connection.execute(query).mappings()]
        return [row for row in rows if wanted in f"{row['login']} {row['name']}".casefold()][:limit]

    return await host.store.read(read)


async def show(host: Host, login: str) -> dict[str, Any]:
    """One person with places, grants and how he can sign in; nothing that is secret."""
    access = await opened(host)
    person = person_of(access, login)
    rights = access.rights(person)

    def read(connection: Connection) -> dict[str, Any]:
        row = _told(plain(connection.execute(select(t.person).where(t.person.c.id == person)).mappings().one()))
        sessions = select(t.session.c.id).where(t.session.c.person == person, t.session.c.ended_at.is_(None))
        keys = select(t.key.c.id).where(t.key.c.person == person, t.key.c.revoked_at.is_(None))
        row["sessions"] = len(connection.execute(sessions).all())
        row["keys"] = len(connection.execute(keys).all())
        has_password = connection.execute(select(t.password.c.person).where(t.password.c.person == person)).first()
        row["factors"] = [*(["password"] if has_password is not None else []), *factors.of(connection, person)]
        return row

    found = await host.store.read(read)
    snapshot = access.snapshot
    found["places"] = [f"{place.kind}:{place.of}" for place in snapshot.person[person].memberships]
    found["grants"] = [
        {
            "grant": grant.id,
            "role": grant.role,
            "through": holder_told(snapshot, grant.to_kind, grant.to_id),
            "waits": grant.waits,
        }
        for grant in (*rights.grants, *rights.waiting)
    ]
    found["shut_out"] = rights.shut_out
    return found


async def add(
    host: Host,
    login: str,
    name: str,
    kind: Kind = "person",
    email: str | None = None,
    phone: str | None = None,
    company: str | None = None,
    level: int = 1,
    language: str = "uk",
    valid_until: float | None = None,
) -> dict[str, Any]:
    """Somebody new, without any right."""
    by = Actor(host.actor)
    made = await host.store.write(
        lambda tx: people.create(
            tx,
            by,
            login,
            name,
            kind=kind,
            email=email,
            phone=phone,
            company=company,
            level=level,
            language=language,
            valid_until=valid_until,
        )
    )
    return {"id": made.id, "login": made.login}


async def change(
    host: Host,
    login: str,
    name: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    company: str | None = None,
    level: int | None = None,
    language: str | None = None,
    valid_until: float | None = None,
    rehearse: bool = False,
) -> dict[str, Any]:
    """Other data of a person; what is not given stays."""
    by, person = Actor(host.actor), person_of(await opened(host), login)
    given = {
        "name": name,
        "email": email,
        "phone": phone,
        "company": company,
        "level": level,
        "language": language,
        "valid_until": valid_until,
    }
    fields = {key: value for key, value in given.items() if value is not None}
    if not fields:
        raise BadRequest("say what is to be changed")
    return await act(host, lambda tx: people.change(tx, by, person, **fields).login, rehearse=rehearse)


_MOVES = {"block": people.block, "admit": people.admit, "dismiss": people.dismiss, "forget": people.forget}


async def move(
    host: Host, login: str, to: Literal["block", "admit", "dismiss", "forget"], reason: str, rehearse: bool = False
) -> dict[str, Any]:
    """Blocks, admits, dismisses or forgets a person."""
    by, person = Actor(host.actor), person_of(await opened(host), login)
    return await act(host, lambda tx: _MOVES[to](tx, by, person, reason).state, rehearse=rehearse)


async def appoint(
    host: Host,
    login: str,
    kind: Place,
    of: str,
    valid_from: float | None = None,
    valid_until: float | None = None,
    rehearse: bool = False,
) -> dict[str, Any]:
    """Puts a person into a position, unit or group."""
    by, person = Actor(host.actor), person_of(await opened(host), login)
    return await act(
        host,
        lambda tx: organisation.appoint(tx, by, person, kind, of, valid_from=valid_from, valid_until=valid_until),
        rehearse=rehearse,
    )


async def withdraw(host: Host, login: str, kind: Place, of: str, rehearse: bool = False) -> dict[str, Any]:
    """Takes a person out of a position, unit or group."""
    by, person = Actor(host.actor), person_of(await opened(host), login)
    return await act(host, lambda tx: organisation.withdraw(tx, by, person, kind, of), rehearse=rehearse)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    row.pop("salt")
    return row
