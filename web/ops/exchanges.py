"""`/ops/exchanges`: what went to and fro, found by whatever is known of it, and taken out as a file."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from pipe.exchange_rows import cells, columns, line
from pipe.operations import exchanges
from pipe.operations.exchanges import Sought
from pipe.spreadsheet import csv_text
from pipe.words import asked
from web.pages.call import Call
from web.pages.forms import Day, Input
from web.pages.live import ends
from web.pages.permission import GATEWAY
from web.pages.router import Area, Nav
from web.pages.words import KYIV

AREA = Area("exchanges", whole=True)
READ, BODIES, EXPORT = "message.read", "message.read_body", "message.export"
SIZE = 50
AT_ONCE = 500
"""rows of an export that are read together"""
Outcome = Literal[
    "", "ok", "failed", "pending", "delivered", "consumed", "answered", "dead", "expired", "discarded", "ready",
    "retry", "held", "timer", "answering", "uncertain",
]  # fmt: skip


class ExchangeQuery(Input):
    """Which exchanges."""

    q: str = Field(default="", max_length=200, description='Words of the body, `"side by side"`, `beginning*`.')
    route: str = Field(default="", max_length=200, description="Only of this route.")
    connection: str = Field(default="", max_length=200, description="Only from this connection or to it.")
    outcome: Outcome = Field(default="", description="`ok`, `failed`, `pending`, or a state.")
    code: str = Field(default="", max_length=20, description="Only with this error code.")
    id: str = Field(default="", max_length=100, description="A message, and all that came of it.")
    key: str = Field(default="", max_length=500, description="Value of `order_by:`.")
    subject: str = Field(default="", max_length=500, description="Value of `subject:`.")
    since: float | None = Field(default=None, description="Not before, seconds since 1970.")
    until: float | None = Field(default=None, description="Before, seconds since 1970.")
    first: Day = Field(default=None, description="Not before this day, in Kyiv.")
    last: Day = Field(default=None, description="Not after this day, in Kyiv.")
    before: int | None = Field(
        default=None, ge=0, lt=1 << 63, description="What is older than this delivery: `next` of a page before."
    )

    def sought(self) -> Sought:
        """The same as operations know it."""
        first = None if self.first is None else datetime.combine(self.first, time.min, KYIV).timestamp()
        last = None if self.last is None else datetime.combine(self.last, time.max, KYIV).timestamp()
        names = ("route", "connection", "outcome", "code", "id", "key", "subject")
        return Sought(
            **{name: getattr(self, name).strip() or None for name in names},
            text=self.q if asked(self.q) else None,
            since=max((at for at in (first, self.since) if at is not None), default=None),
            until=min((at for at in (last, self.until) if at is not None), default=None),
        )


class ExportQuery(ExchangeQuery):
    """Which exchanges, and how much of them."""

    bodies: bool = Field(default=False, description="With masked bodies; needs the right to see them.")


class Exchange(BaseModel):
    """A message on its way to one target."""

    id: str = Field(description="The message's id.")
    delivery: int = Field(description="Number of the delivery.")
    route: str = Field(description="The route.")
    source: str | None = Field(description="Where it came from.")
    station: str = Field(description="Where it goes.")
    state: str = Field(description="What became of it so far.")
    received_at: float = Field(description="When it was accepted, seconds since 1970.")
    done_at: float | None = Field(description="When it ended.")
    seconds: float | None = Field(description="How long it took, in seconds.")
    attempts: int = Field(description="How often it was tried.")
    code: str | None = Field(description="Code of the error.")
    text: str | None = Field(description="What was said last.")
    caller: str | None = Field(description="Who brought it.")
    size: int = Field(description="Bytes of its body.")


class Exchanges(BaseModel):
    """A page of the log."""

    rows: list[Exchange] = Field(description="The newest first.")
    next: int | None = Field(description="What `before` is for those that follow; none where nothing does.")
    unseen: int | None = Field(description="Messages that the index of words does not hold yet.")
    ask: ExchangeQuery = Field(description="What was asked.")
    routes: list[str] = Field(description="Routes there are.")
    connections: list[str] = Field(description="Connections there are.")
    after: int = Field(description="Number of the last event of the feed that is in it.")

    @property
    def live(self) -> bool:
        """Whether it goes on by itself. Not a search for words: each is written down."""
        return self.ask.before is None and not self.ask.q


@AREA.page(
    "/ops/exchanges", "ops/exchanges.html", permission=READ, alike=True, api="GET /exchanges",
    nav=Nav("nav.ops", "exchanges.nav", "transfer", -17),
)  # fmt: skip
async def log(call: Call, ask: ExchangeQuery) -> Exchanges:
    """What was exchanged. Words of bodies are only for those who may see bodies."""
    if ask.q:
        call.require(BODIES, GATEWAY)
    _, after = await call.read(ends)
    host = call.host()
    found = await exchanges.find(host, ask.sought(), ask.before, SIZE)
    configuration = host.configuration()
    return Exchanges(
        rows=[_row(row) for row in found["exchanges"]], next=found["next"], unseen=found["unseen"], ask=ask,
        routes=sorted(configuration.routes), connections=sorted(configuration.connections), after=after,
    )  # fmt: skip


@AREA.raw("/ops/exchanges.csv", permission=EXPORT, api="GET /exchanges.csv", media="text/csv")
async def table(call: Call, ask: ExportQuery) -> web.StreamResponse:
    """All that fit, as CSV, the newest first; it is written down who took what out."""
    return await _export(call, ask, as_table=True)


@AREA.raw("/ops/exchanges.jsonl", permission=EXPORT, api="GET /exchanges.jsonl", media="application/jsonl")
async def lines(call: Call, ask: ExportQuery) -> web.StreamResponse:
    """The same as JSON lines."""
    return await _export(call, ask, as_table=False)


async def _export(call: Call, ask: ExportQuery, *, as_table: bool) -> web.StreamResponse:
    call.require(READ, GATEWAY)
    if ask.q or ask.bodies:
        call.require(BODIES, GATEWAY)
    host, sought = call.host(), ask.sought()
    page = await exchanges.find(host, sought, None, AT_ONCE, ask.bodies, "export")
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{'text/csv' if as_table else 'application/jsonl'}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="exchanges.{"csv" if as_table else "jsonl"}"',
        }
    )
    call.site.guard(call.request, response)
    await response.prepare(call.request)
    if as_table:
        await response.write(csv_text([columns(bodies=ask.bodies)]).encode())
    while True:
        rows = page["exchanges"]
        text = csv_text(cells(row, bodies=ask.bodies) for row in rows) if as_table else "".join(map(line, rows))
        await response.write(text.encode())
        if page["next"] is None:
            await response.write_eof()
            return response
        page = await exchanges.find(host, sought, page["next"], AT_ONCE, ask.bodies, "export")


def _row(row: dict[str, Any]) -> Exchange:
    return Exchange.model_validate({**row, "source": row["from"]})
