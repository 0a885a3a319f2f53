"""`/admin/people/import`: people from a CSV table, with a preview that says of each line what it would do; and back."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, Field

from flows.access import spreadsheet
from flows.access.engine import OPEN, Need
from flows.access.model import Object
from flows.access.spreadsheet import Line
from pipe.errors import BadRequest
from web.pages.call import Call
from web.pages.forms import Input, Invalid
from web.pages.results import Done, Show
from web.pages.router import Area
from web.pages.words import Words

AREA = Area("importing")
LONGEST = 1_000_000
"""signs of one table"""
NEEDS = tuple(Need(name, OPEN) for name in ("person.create", "person.edit", "person.move"))
"""a table may make, change and appoint anybody"""


class Table(Input):
    """A table of people."""

    text: str = Field(
        min_length=3, max_length=LONGEST, description="CSV with `,` or `;`; its first line names columns."
    )
    apply: bool = Field(default=False, description="Do it, unless a line is wrong; else only tell.")


class LineRow(BaseModel):
    """One line and what it would do."""

    line: int = Field(description="Its number.")
    login: str = Field(description="Whom it is about.")
    state: str = Field(description="`new`, `changed`, `same` or `wrong`.")
    error: str = Field(description="What is wrong with it.")
    fields: list[str] = Field(description="What is different.")
    appoint: list[str] = Field(description="Places that the person comes into.")
    withdraw: list[str] = Field(description="Places that the person goes out of.")


class Preview(BaseModel):
    """What a table would do, or did."""

    lines: list[LineRow] = Field(description="Line by line.")
    new: int = Field(description="People who are not there yet.")
    changed: int = Field(description="People who would be different.")
    same: int = Field(description="People who stay as they are.")
    wrong: int = Field(description="Lines that cannot be done; then none is.")
    applied: int = Field(description="Lines that were done.")
    text: str = Field(default="", exclude=True)


class Blank(BaseModel):
    """What the form says."""

    columns: list[str]
    needed: list[str]


@AREA.page("/admin/people/import", "admin/people_import.html", permission="person.create")
async def blank(_: Call) -> Blank:
    """The form for a table of people."""
    return Blank(columns=list(spreadsheet.COLUMNS), needed=list(spreadsheet.NEEDED))


@AREA.action("/admin/people/import", permission="person.create", on=blank, api="POST /people/import", result=Preview)
async def take(call: Call, form: Table) -> Done | Show:
    """Tells line by line what a table of people would do; with `apply`, does it."""
    for need in NEEDS:
        call.require(need.permission, need.thing)
    try:
        table = await spreadsheet.read(call.site.access, form.text)
        done = 0
        if form.apply and not table.count("wrong"):
            done = await spreadsheet.apply(call.site.access, call.by, table, *NEEDS)
    except BadRequest as error:
        raise Invalid("text", "form.error.refused", why=call.words.refusal(error)) from None
    counts = {state: table.count(state) for state in ("new", "changed", "same", "wrong")}
    preview = Preview(lines=[_row(line, call.words) for line in table.lines], **counts, applied=done, text=form.text)
    if form.apply and not preview.wrong:
        return Done("/admin/people", "people.imported", {"n": done}, result=preview)
    return Show("admin/people_preview.html", preview)


def _row(line: Line, words: Words) -> LineRow:
    return LineRow(
        line=line.number,
        login=line.login,
        state=line.state,
        error=words.refusal(line.refusal) if line.refusal is not None else "",
        fields=sorted(line.fields) if line.person is not None else [],
        appoint=[f"{kind}:{of}" for kind, of in line.appoint],
        withdraw=[f"{kind}:{of}" for kind, of in line.withdraw],
    )


@AREA.raw("/admin/people.csv", permission="person.export", api="GET /people.csv", media="text/csv")
async def export(call: Call) -> web.Response:
    """The people whom one may export, as the table that the import reads."""
    count, text = await spreadsheet.table_of(
        call.site.access,
        lambda person: call.may("person.export", Object(company=person.company, owner=person.id)),
    )
    await call.write(lambda tx: tx.audit("people.exported", after={"people": count, "address": call.address}))
    headers = {"Content-Disposition": 'attachment; filename="people.csv"'}
    # A spreadsheet takes UTF-8 for something else unless it begins with its mark.
    return web.Response(body=f"\ufeff{text}".encode(), content_type="text/csv", charset="utf-8", headers=headers)
