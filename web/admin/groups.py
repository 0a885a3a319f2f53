"""`/admin/groups`: people who have something in common beside their units."""

from __future__ import annotations

from pydantic import BaseModel, Field

from flows.access import organisation
from flows.access.engine import Need
from flows.access.model import Object
from pipe.errors import NotFound
from web.admin import told
from web.admin.changing import Effects, carried_out
from web.admin.companies import FOR_SLUG, SLUG, Member, Named, members
from web.admin.grants import Reason
from web.pages.call import Call
from web.pages.listing import Listing, Query, paged
from web.pages.results import Done, Show
from web.pages.router import Area, Nav

AREA = Area("groups")


class GroupRow(BaseModel):
    """One group."""

    id: str = Field(description="Its short name.")
    name_uk: str = Field(description="Name in Ukrainian.")
    name_en: str = Field(description="Name in English.")
    company: str | None = Field(description="Its company; nothing: of none in particular.")
    people: list[Member] = Field(description="Who is in it.")
    can: list[str] = Field(description="What you may do with it: `group.edit`.")


class Groups(BaseModel):
    """The list and how it was asked for."""

    groups: Listing[GroupRow] = Field(description="This page of the list.")
    ask: Query = Field(description="What was asked.")
    companies: list[tuple[str, str]] = Field(description="Companies: id and name.")


class NewGroup(Named):
    """A new group."""

    id: str = Field(pattern=SLUG, description=FOR_SLUG)
    company: str | None = Field(default=None, max_length=64, description="Its company; nothing: of none in particular.")


@AREA.page(
    "/admin/groups", "admin/groups.html", permission="group.read", api="GET /groups",
    nav=Nav("nav.manage", "groups.title", "tree", 12),
)  # fmt: skip
async def groups(call: Call, ask: Query) -> Groups:
    """Groups: people who have something in common beside their units."""
    snapshot = call.site.access.snapshot
    seen = (each for each in snapshot.group.values() if call.may("group.read", Object(company=each.company)))
    rows = (
        GroupRow(
            id=each.id,
            name_uk=each.name_uk,
            name_en=each.name_en,
            company=each.company,
            people=members(call, "group", each.id),
            can=["group.edit"] if call.may("group.edit", Object(company=each.company)) else [],
        )
        for each in seen
    )
    found = paged(
        rows, ask, {"name": call.words.name_of, "people": lambda row: len(row.people)},
        sort="name", text=lambda row: f"{row.id} {row.name_uk} {row.name_en}",
    )  # fmt: skip
    return Groups(groups=found, ask=ask, companies=told.companies(call, "group.edit"))


@AREA.action("/admin/groups", permission="group.edit", on=groups, api="POST /groups", result=Effects)
async def add_group(call: Call, form: NewGroup) -> Done | Show:
    """Adds a group."""
    names = {"uk": form.uk, "en": form.en}
    return await carried_out(
        call, form, lambda tx: organisation.add_group(tx, call.by, form.id, names, form.company),
        Need("group.edit", Object(company=form.company)),
        to="/admin/groups", toast="rights.changed",
    )  # fmt: skip


@AREA.action(
    "/admin/groups/{id}/remove", permission="group.edit", on=groups, api="POST /groups/{id}/remove", result=Effects
)
async def remove_group(call: Call, form: Reason) -> Done | Show:
    """Takes an empty group away."""
    group = call.site.access.snapshot.group.get(call.params["id"])
    if group is None or not call.may("group.read", Object(company=group.company)):
        raise NotFound("there is no such group")
    return await carried_out(
        call, form, lambda tx: organisation.remove_group(tx, call.by, group.id, form.reason),
        Need("group.edit", Object(company=group.company)),
        to="/admin/groups", toast="rights.changed",
    )  # fmt: skip
