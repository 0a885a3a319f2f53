"""`/admin/sessions`: who is signed in now, from where; any session can be ended at once."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, Row, select

from flows.access import words
from flows.access.tables import person, session
from flows.signin import sessions
from pipe.errors import NotFound
from pipe.store.transaction import Tx
from web.admin.people import THEIRS
from web.pages.call import Call
from web.pages.listing import Column, Listing, Query, listed
from web.pages.live import ends
from web.pages.results import Done
from web.pages.router import Area, Nav

AREA = Area("sessions")


class SessionRow(BaseModel):
    """One open session."""

    id: str = Field(description="Names it; opens nothing.")
    person: str = Field(description="Whose it is.")
    login: str = Field(description="That person's login.")
    name: str = Field(description="That person's name.")
    address: str = Field(description="Where it is used from.")
    agent: str = Field(description="What the browser says it is.")
    factors: list[str] = Field(description="How the person showed who they are.")
    created_at: float = Field(description="When it began, seconds since 1970.")
    seen_at: float = Field(description="When it was last used.")


class Sessions(BaseModel):
    """The list and how it was asked for."""

    sessions: Listing[SessionRow] = Field(description="This page of the list.")
    ask: Query = Field(description="What was asked.")
    after: int = Field(description="Number of the last event that this page knows of.")
    here: str = Field(description="The session that asks.")


@AREA.page(
    "/admin/sessions", "admin/sessions.html", permission="session.read", api="GET /sessions",
    nav=Nav("nav.watch", "sessions.title", "screen", 30),
)  # fmt: skip
async def open_now(call: Call, ask: Query) -> Sessions:
    """Sessions that are open now."""
    seen = call.rows("session.read", THEIRS)
    return await call.read(lambda connection: _listed(connection, ask, seen, call))


@AREA.action("/admin/sessions/{id}/end", permission="session.end", on=open_now, api="POST /sessions/{id}/end")
async def end(call: Call) -> Done:
    """Ends a session: its pages and streams close at once."""
    mine = call.rows("session.end", THEIRS)
    if not await call.write(lambda tx: _end(tx, call, call.params["id"], mine)):
        raise NotFound("there is no such session, or it has ended")
    return Done("/admin/sessions", "session.ended")


def _listed(connection: Connection, ask: Query, seen: ColumnElement[bool], call: Call) -> Sessions:
    now = call.now
    _, newest = ends(connection)  # before the rows: what changes meanwhile is told again rather than missed
    query = (
        select(session, person.c.login, person.c.name)
        .join(person, person.c.id == session.c.person)
        .where(
            session.c.ended_at.is_(None),
            session.c.expires_at > now,
            session.c.seen_at > now - call.site.settings().idle,
            seen,
        )
    )
    columns = (
        Column("name", person.c.name, search=True, words=True),
        Column("login", person.c.login, search=True),
        Column("address", session.c.address, search=True),
        Column("created_at", session.c.created_at),
        Column("seen_at", session.c.seen_at),
    )
    found = listed(connection, query, ask, columns, _row, sort="-seen_at", last=session.c.id)
    return Sessions(sessions=found, ask=ask, after=newest, here=call.session.id if call.session else "")


def _row(row: Row[Any]) -> SessionRow:
    values = {name: getattr(row, name) for name in SessionRow.model_fields}
    return SessionRow(**{**values, "factors": sorted(words.parted(row.factors))})


def _end(tx: Tx, call: Call, id_of: str, mine: ColumnElement[bool]) -> bool:
    query = select(person.c.login).join(session, session.c.person == person.c.id).where(session.c.id == id_of, mine)
    login = tx.execute(query).scalar()
    if login is None or not sessions.end(tx, [id_of], call.actor):
        return False
    tx.audit("session.ended", target=login, after={"session": id_of[:12], "address": call.address})
    return True
