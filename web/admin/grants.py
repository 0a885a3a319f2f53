"""`/admin/grants`: who was given which role, where and until when; giving, approving and taking back."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Literal

from pydantic import BaseModel, Field

from flows.access import grants
from flows.access.engine import Need
from flows.access.guarding import about
from flows.access.model import Grant, in_force
from flows.access.operations.frame import holder_of, scope_of
from pipe.errors import BadRequest, NotFound
from web.admin import told
from web.admin.changing import Effects, Rehearsable, carried_out
from web.admin.people import person_object
from web.pages.call import Call
from web.pages.forms import Day, Input, Invalid, Said
from web.pages.listing import Listing, Query, paged
from web.pages.results import Done, Show
from web.pages.router import Area, Nav
from web.pages.words import KYIV

AREA = Area("grants")
GIVE = Need("grant.give", None)
"""the guard looks how far a grant reaches"""
MOST_OFFERED = 500
"""people whose logins a form offers"""


class GrantQuery(Query):
    """Which grants."""

    role: str = Field(default="", max_length=64, description="Only of this role.")
    state: Literal["", "in_force", "waits", "over"] = Field(default="", description="Only those in this state.")


class GrantRow(BaseModel):
    """One grant."""

    id: str = Field(description="Names it.")
    role: str = Field(description="The role.")
    role_name: str = Field(description="Its name.")
    to: str = Field(description="`person:LOGIN`, `position:ID`, `title:WORD`, `unit:ID` or `group:ID`.")
    to_name: str = Field(description="Whom that means.")
    person: str | None = Field(description="Id of the person, where it is one.")
    where: str = Field(description="On which objects.")
    level: int = Field(description="Up to which level of confidentiality, 0 to 3.")
    state: str = Field(description="`in_force`, `waits` for a second person, or `over` (or not begun).")
    source: str = Field(description="`manual` or `emergency`.")
    valid_from: float | None = Field(description="From when on, seconds since 1970.")
    valid_until: float | None = Field(description="Until when.")
    reason: str = Field(description="Why.")
    granted_by: str = Field(description="By whom.")
    granted_at: float = Field(description="When.")
    approved_by: str | None = Field(description="Who approved it.")
    can: list[str] = Field(description="What you may do with it: `grant.approve`, `grant.revoke`.")


class Grants(BaseModel):
    """The list and how it was asked for."""

    grants: Listing[GrantRow] = Field(description="This page of the list.")
    ask: GrantQuery = Field(description="What was asked.")
    roles: list[tuple[str, str]] = Field(description="Roles: id and name.")


@AREA.page(
    "/admin/grants", "admin/grants.html", permission="grant.read", api="GET /grants",
    nav=Nav("nav.rights", "grants.title", "team", 21),
)  # fmt: skip
async def given(call: Call, ask: GrantQuery) -> Grants:
    """Who was given which role."""
    snapshot = call.site.access.snapshot
    rows = (
        _row(call, grant)
        for grant in snapshot.grant.values()
        if (not ask.role or grant.role == ask.role) and call.may("grant.read", about(snapshot, grant))
    )
    by = {
        "to": lambda row: row.to_name,
        "role": lambda row: row.role_name,
        "granted_at": lambda row: row.granted_at,
        "valid_until": lambda row: row.valid_until,
    }
    found = paged(
        (row for row in rows if not ask.state or row.state == ask.state),
        ask,
        by,
        sort="-granted_at",
        text=lambda row: f"{row.to} {row.to_name} {row.role_name} {row.reason} {row.id}",
    )
    return Grants(grants=found, ask=ask, roles=told.roles(call.words, snapshot))


def _row(call: Call, grant: Grant) -> GrantRow:
    snapshot, words = call.site.access.snapshot, call.words
    thing = about(snapshot, grant)
    good = in_force(grant.valid_from, grant.valid_until, call.now)
    acts = ("grant.approve", "grant.revoke") if grant.waits else ("grant.revoke",)
    return GrantRow(
        id=grant.id,
        role=grant.role,
        role_name=words.name_of(snapshot.role[grant.role]) if grant.role in snapshot.role else grant.role,
        to=told.written(snapshot, grant.to_kind, grant.to_id),
        to_name=told.holder(words, snapshot, grant.to_kind, grant.to_id),
        person=grant.to_id if grant.to_kind == "person" else None,
        where=told.terms(words, snapshot, grant),
        level=grant.level,
        state="over" if not good else "waits" if grant.waits else "in_force",
        source=grant.source,
        valid_from=grant.valid_from,
        valid_until=grant.valid_until,
        reason=grant.reason,
        granted_by=grant.granted_by,
        granted_at=grant.granted_at,
        approved_by=grant.approved_by,
        can=[act for act in acts if call.may(act, thing)],
    )


# --- giving -------------------------------------------------------------------------------------------------------


class NewGrant(Rehearsable):
    """A role for somebody."""

    to: str = Field(
        max_length=200, description="`person:LOGIN`, `position:ID`, `title:WORD[@UNIT]`, `unit:ID`, `group:ID`."
    )
    role: str = Field(max_length=64, description="The role.")
    scope: str = Field(
        default="all", max_length=80, description="`all`, `own`, `company`, `unit`, `company:ID`, `unit:ID`."
    )
    level: int = Field(default=1, ge=0, le=3, description="Up to which level of confidentiality.")
    tags: str = Field(default="", max_length=500, description="Only objects with one of these tags, apart by spaces.")
    states: str = Field(default="", max_length=500, description="Only objects in one of these states, apart by spaces.")
    until: Day = Field(default=None, description="The last day on which it holds, in Kyiv.")
    reason: Said = Field(min_length=3, max_length=500, description="Why; stands in the audit.")


class GiveAsk(Input):
    """What the form begins with."""

    to: str = Field(default="", max_length=200, description="To whom.")
    role: str = Field(default="", max_length=64, description="Which role.")


class GivePage(BaseModel):
    """What the form offers."""

    ask: GiveAsk
    roles: list[tuple[str, str]]
    holders: list[tuple[str, str]]
    scopes: list[tuple[str, str]]
    levels: list[tuple[str, str]]


@AREA.page("/admin/grants/new", "admin/grant_new.html", permission="grant.give")
async def blank(call: Call, ask: GiveAsk) -> GivePage:
    """The form of a new grant."""
    words, snapshot = call.words, call.site.access.snapshot
    people = [
        (f"person:{each.login}", each.name)
        for each in snapshot.person.values()
        if each.state == "active" and call.may("person.read", person_object(each.company, each.id))
    ]
    return GivePage(
        ask=ask,
        roles=told.roles(words, snapshot),
        holders=[
            *sorted(people, key=told.by_label)[:MOST_OFFERED],
            *told.places(call, "grant.give"),
        ],
        scopes=told.scopes(call, "grant.give"),
        levels=told.levels(words),
    )


@AREA.action("/admin/grants/new", permission="grant.give", on=blank, api="POST /grants", result=Effects)
async def give(call: Call, form: NewGrant) -> Done | Show:
    """Gives a role; of level 3 only once a second person has approved it."""
    try:
        kind, name = holder_of(call.site.access, form.to)
    except (BadRequest, NotFound) as error:
        raise Invalid("to", "form.error.refused", why=call.words.refusal(error)) from None
    scope, scope_id = scope_of(form.scope)
    return await carried_out(
        call,
        form,
        lambda tx: grants.give(
            tx, call.by, form.role, kind, name,
            scope=scope, scope_id=scope_id, level=form.level, tags=form.tags.split(), states=form.states.split(),
            valid_until=end_of(form.until), reason=form.reason,
        ),
        GIVE,
        to="/admin/grants",
        toast="grants.given_waits" if form.level > 2 else "grants.given",
    )  # fmt: skip


def end_of(day: date | None) -> float | None:
    """The last moment of a day in Kyiv."""
    return None if day is None else datetime.combine(day, time.max, KYIV).timestamp()


# --- one grant ----------------------------------------------------------------------------------------------------


class Reason(Rehearsable):
    """Why."""

    reason: Said = Field(min_length=3, max_length=500, description="Why; stands in the audit.")


@AREA.action(
    "/admin/grants/{id}/approve", permission="grant.approve", on=given, api="POST /grants/{id}/approve", result=Effects
)
async def approve(call: Call, form: Rehearsable) -> Done | Show:
    """The second person's word on a grant of level 3."""
    grant = _known(call, "grant.approve")
    need = Need("grant.approve", about(call.site.access.snapshot, grant))
    return await carried_out(
        call, form, lambda tx: grants.approve(tx, call.by, grant.id), need,
        to="/admin/grants", toast="grants.approved",
    )  # fmt: skip


@AREA.action(
    "/admin/grants/{id}/revoke", permission="grant.revoke", on=given, api="POST /grants/{id}/revoke", result=Effects
)
async def revoke(call: Call, form: Reason) -> Done | Show:
    """Takes a grant back, at once."""
    grant = _known(call, "grant.revoke")
    need = Need("grant.revoke", about(call.site.access.snapshot, grant))
    return await carried_out(
        call, form, lambda tx: grants.revoke(tx, call.by, grant.id, form.reason), need,
        to="/admin/grants", toast="grants.revoked",
    )  # fmt: skip


def _known(call: Call, permission: str) -> Grant:
    """The grant. Raises NotFound where there is none, or none that this person may know of."""
    snapshot = call.site.access.snapshot
    grant = snapshot.grant.get(call.params["id"])
    if grant is None or not any(call.may(each, about(snapshot, grant)) for each in ("grant.read", permission)):
        raise NotFound("there is no such grant")
    return grant
