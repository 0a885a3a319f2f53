"""`/admin/audit`: who did what, as the chained rows of the audit tell it. Reading it is itself written down."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, Row, Select, select

from flows.access.engine import OPEN
from flows.access.filtering import Protected
from pipe.spreadsheet import csv_text
from pipe.store import checkpoints, schema
from pipe.store.audit_verify import verify as verify_chain
from pipe.store.checkpoints import Signer
from web.pages.call import Call
from web.pages.forms import Day
from web.pages.listing import Column, Listing, Query, listed, sought
from web.pages.router import Area, Nav
from web.pages.words import KYIV

AREA = Area("audit")
MOST_EXPORTED = 100_000
PATIENCE_S = 120.0
"""how long reading all of it may take"""
audit = schema.audit
ALL = Protected()
"""its rows are of no company: who may read it for one company only reads none of it"""


class AuditQuery(Query):
    """Which rows."""

    event: str = Field(default="", max_length=60, description="Only events whose name begins so: `signin.`")
    actor: str = Field(default="", max_length=200, description="Only what this one did: `person/LOGIN`.")
    since: float | None = Field(default=None, description="Not before, seconds since 1970.")
    until: float | None = Field(default=None, description="Not after, seconds since 1970.")
    first: Day = Field(default=None, description="Not before this day, in Kyiv.")
    last: Day = Field(default=None, description="Not after this day, in Kyiv.")


class AuditRow(BaseModel):
    """One row."""

    seq: int = Field(description="Its number.")
    at: float = Field(description="When, seconds since 1970.")
    actor: str = Field(description="Who.")
    event: str = Field(description="What.")
    target: str = Field(description="To whom or what.")
    before: Any = Field(description="What was before.")
    after: Any = Field(description="What is now.")
    hash: str = Field(description="Chains the row to the one before.")


class Audit(BaseModel):
    """The list and how it was asked for."""

    rows: Listing[AuditRow] = Field(description="This page of the list.")
    ask: AuditQuery = Field(description="What was asked.")
    areas: list[str] = Field(description="First words of the events there are.")


class Wrong(BaseModel):
    """One thing that is wrong."""

    kind: str = Field(description="What was done to it: `altered`, `deleted`, `truncated` …")
    seq: int = Field(description="Number of the row where it is.")
    text: str = Field(description="In words.")


class Verified(BaseModel):
    """Whether the chain holds, and agrees with its signed checkpoints."""

    whole: bool = Field(description="Whether nothing was found.")
    rows: int = Field(description="Rows that were read.")
    checkpoints: int = Field(description="Signed checkpoints that were compared.")
    wrong: list[Wrong] = Field(description="What was found.")


@AREA.page(
    "/admin/audit", "admin/audit.html", permission="audit.read", api="GET /audit",
    nav=Nav("nav.watch", "audit.title", "log", 40),
)  # fmt: skip
async def rows(call: Call, ask: AuditQuery) -> Audit:
    """Who did what."""
    seen = call.rows("audit.read", ALL)
    found = await call.read(lambda connection: _listed(connection, ask, seen))
    asked = ask.model_dump(mode="json", exclude_defaults=True)
    await call.write(lambda tx: tx.audit("audit.read", after={"asked": asked, "address": call.address}))
    return found


@AREA.page("/admin/audit/verify", "admin/audit_verified.html", permission="audit.verify", api="GET /audit/verify")
async def verify(call: Call) -> Verified:
    """Whether anybody has altered, removed or cut off rows: the chain, held against the signed checkpoints."""
    call.require("audit.verify", OPEN)
    data = call.site.store.data
    files = [data / checkpoints.FILE] if (data / checkpoints.FILE).exists() else []
    private = data / "keys" / "audit.key"
    public = Signer(private).public if private.exists() else None
    found = await call.site.store.read(lambda connection: verify_chain(connection, files, public), PATIENCE_S)
    after = {"findings": len(found.findings), "address": call.address}
    await call.write(lambda tx: tx.audit("audit.verified", after=after))
    wrong = [Wrong(kind=each.kind, seq=each.seq, text=each.text) for each in found.findings]
    return Verified(whole=not wrong, rows=found.rows, checkpoints=found.checkpoints, wrong=wrong)


@AREA.raw("/admin/audit.csv", permission="audit.export", api="GET /audit.csv", media="text/csv")
async def export(call: Call, ask: AuditQuery) -> web.Response:
    """The rows as CSV; the newest hundred thousand at most."""
    seen = call.rows("audit.export", ALL)
    text = await call.read(lambda connection: _as_csv(connection, ask, seen))
    asked = ask.model_dump(mode="json", exclude_defaults=True)
    await call.write(lambda tx: tx.audit("audit.exported", after={"asked": asked, "address": call.address}))
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers)


def _where(ask: AuditQuery, seen: ColumnElement[bool]) -> Select[Any]:
    query = select(audit).where(seen)
    if ask.event:
        query = query.where(audit.c.event.startswith(ask.event, autoescape=True))
    if ask.actor:
        query = query.where(audit.c.actor == ask.actor)
    if ask.since is not None:
        query = query.where(audit.c.at >= ask.since)
    if ask.until is not None:
        query = query.where(audit.c.at <= ask.until)
    if ask.first is not None:
        query = query.where(audit.c.at >= datetime.combine(ask.first, time.min, KYIV).timestamp())
    if ask.last is not None:
        query = query.where(audit.c.at <= datetime.combine(ask.last, time.max, KYIV).timestamp())
    return query


_COLUMNS = (
    Column("seq", audit.c.seq),
    Column("actor", audit.c.actor, search=True),
    Column("event", audit.c.event, search=True),
    Column("target", audit.c.target, search=True),
    Column("after", audit.c.after, search=True),
)


def _listed(connection: Connection, ask: AuditQuery, seen: ColumnElement[bool]) -> Audit:
    events = connection.execute(select(audit.c.event).where(seen).distinct())
    areas = sorted({f"{row.event.partition('.')[0]}." for row in events})
    found = listed(connection, _where(ask, seen), ask, _COLUMNS, _row, sort="-seq", last=audit.c.seq.desc())
    return Audit(rows=found, ask=ask, areas=areas)


def _row(row: Row[Any]) -> AuditRow:
    values = {name: getattr(row, name) for name in AuditRow.model_fields}
    for name in ("before", "after"):
        values[name] = orjson.loads(values[name]) if values[name] else None
    return AuditRow(**values)


def _as_csv(connection: Connection, ask: AuditQuery, seen: ColumnElement[bool]) -> str:
    names = ("seq", "at", "actor", "event", "target", "before", "after", "prev", "hash")
    query = sought(_where(ask, seen), ask, _COLUMNS)
    rows = connection.execute(query.order_by(audit.c.seq.desc()).limit(MOST_EXPORTED))
    return csv_text([names, *([getattr(row, name) for name in names] for row in rows)])
