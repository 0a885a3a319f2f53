"""`/admin/roles`: what each role allows, as a matrix of permissions, and the form that changes one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from pydantic import BaseModel, Field

from flows.access import roles
from flows.access.engine import OPEN, Need
from flows.access.model import Role, Snapshot
from flows.access.permissions import CATALOGUE
from pipe.errors import NotFound
from web.admin import told
from web.admin.changing import Effects, Rehearsable, carried_out
from web.pages.call import Call
from web.pages.forms import Said
from web.pages.listing import Listing, Query, paged
from web.pages.results import Done, Show
from web.pages.router import Area, Nav

AREA = Area("roles")
COLUMNS = 6
"""roles that stand side by side"""
EDIT = Need("role.edit", OPEN)
"""roles are of no company: who changes one changes it for all"""


class RoleRow(BaseModel):
    """A role."""

    id: str = Field(description="Its short name.")
    name_uk: str = Field(description="Name in Ukrainian.")
    name_en: str = Field(description="Name in English.")
    about: str = Field(description="What it is for.")
    emergency: bool = Field(description="Whether it may be taken for an hour with a reason.")
    permissions: list[str] = Field(description="What it allows by itself.")
    includes: list[str] = Field(description="Roles whose permissions belong to it.")
    all_permissions: list[str] = Field(description="What it allows with all that it includes.")
    grants: int = Field(description="How often it is granted.")


class Line(BaseModel):
    """One permission of the matrix."""

    permission: str = Field(description="`area.verb`.")
    said: str = Field(description="In words.")
    guarded: bool = Field(description="Whether only who has it can hand it on.")
    cells: list[str] = Field(description="For each role: `yes`, `own` (by what it includes) or `no`.")


class Group(BaseModel):
    """The permissions of one area."""

    area: str = Field(description="First word of the permissions.")
    lines: list[Line] = Field(description="One a permission.")


class Roles(BaseModel):
    """The matrix and how it was asked for."""

    roles: Listing[RoleRow] = Field(description="Its columns.")
    groups: list[Group] = Field(description="Its lines.")
    ask: Query = Field(description="What was asked.")


@AREA.page(
    "/admin/roles", "admin/roles.html", permission="role.read", api="GET /roles",
    nav=Nav("nav.rights", "roles.title", "shield", 20),
)  # fmt: skip
async def matrix(call: Call, ask: Query) -> Roles:
    """Roles and what each allows."""
    snapshot = call.site.access.snapshot
    found = paged(
        (_row(snapshot, each) for each in snapshot.role.values()),
        ask,
        {"name": call.words.name_of, "grants": lambda row: row.grants},
        sort="name",
        text=lambda row: f"{row.id} {row.name_uk} {row.name_en} {row.about}",
        size=COLUMNS,
    )
    return Roles(roles=found, groups=_groups(call, found.rows), ask=ask)


def _groups(call: Call, columns: Iterable[RoleRow]) -> list[Group]:
    shown = list(columns)

    def cell(row: RoleRow, name: str) -> str:
        return "yes" if name in row.permissions else "own" if name in row.all_permissions else "no"

    return [
        Group(
            area=area,
            lines=[
                Line(
                    permission=each.name,
                    said=told.permission(call.words, each.name),
                    guarded=each.guarded,
                    cells=[cell(row, each.name) for row in shown],
                )
                for each in within
            ],
        )
        for area, within in groupby(CATALOGUE, key=lambda each: each.area)
    ]


def _row(snapshot: Snapshot, role: Role) -> RoleRow:
    return RoleRow(
        id=role.id,
        name_uk=role.name_uk,
        name_en=role.name_en,
        about=role.about,
        emergency=role.emergency,
        permissions=sorted(role.permissions),
        includes=sorted(role.includes),
        all_permissions=sorted(snapshot.permissions_of[role.id]),
        grants=sum(grant.role == role.id for grant in snapshot.grant.values()),
    )


# --- one role -----------------------------------------------------------------------------------------------------


class Contents(Rehearsable):
    """All that a role is; it takes the place of what was."""

    uk: Said = Field(min_length=2, max_length=80, description="Name in Ukrainian.")
    en: str = Field(default="", max_length=80, description="Name in English.")
    about: str = Field(default="", max_length=500, description="What it is for.")
    emergency: bool = Field(default=False, description="Whether it may be taken for an hour with a reason.")
    includes: list[str] = Field(default=[], max_length=50, description="Roles whose permissions belong to it.")
    permissions: list[str] = Field(default=[], max_length=500, description="What it allows by itself.")


class NewRole(Contents):
    """A new role."""

    id: Said = Field(min_length=2, max_length=64, description="Short name: small Latin letters, digits, `-`.")


class Removal(Rehearsable):
    """Why a role goes."""

    reason: Said = Field(min_length=3, max_length=500, description="Why; stands in the audit.")


class RolePage(BaseModel):
    """One role, and what its form offers."""

    role: RoleRow | None = Field(description="The role; nothing: a new one.")
    others: list[tuple[str, str]] = Field(description="Roles that it can include: id and name.")
    groups: list[Group] = Field(description="All permissions by area.")


@AREA.page("/admin/roles/new", "admin/role.html", permission="role.edit")
async def blank(call: Call) -> RolePage:
    """The form of a new role."""
    return _page(call, None)


@AREA.action("/admin/roles/new", permission="role.edit", on=blank, api="POST /roles", result=Effects)
async def create(call: Call, form: NewRole) -> Done | Show:
    """Makes a role; nobody has it yet."""
    names = {"uk": form.uk, "en": form.en}
    return await carried_out(
        call,
        form,
        lambda tx: roles.create(
            tx, call.by, form.id, names, form.permissions,
            includes=form.includes, about=form.about, emergency=form.emergency,
        ),
        EDIT,
        to=f"/admin/roles/{form.id}",
        toast="roles.created",
        values={"name": form.uk},
    )  # fmt: skip


@AREA.page("/admin/roles/{id}", "admin/role.html", permission="role.read", api="GET /roles/{id}")
async def one(call: Call) -> RolePage:
    """One role."""
    return _page(call, _known(call))


@AREA.action("/admin/roles/{id}", permission="role.edit", on=one, api="PUT /roles/{id}", result=Effects)
async def change(call: Call, form: Contents) -> Done | Show:
    """Changes a role: whoever has it has it so from then on."""
    role, names = _known(call), {"uk": form.uk, "en": form.en}
    return await carried_out(
        call,
        form,
        lambda tx: roles.change(
            tx, call.by, role.id, names=names, permissions=form.permissions,
            includes=form.includes, about=form.about, emergency=form.emergency,
        ),
        EDIT,
        to=f"/admin/roles/{role.id}",
        toast="rights.changed",
    )  # fmt: skip


@AREA.action("/admin/roles/{id}/remove", permission="role.edit", on=one, api="POST /roles/{id}/remove", result=Effects)
async def remove(call: Call, form: Removal) -> Done | Show:
    """Takes a role away that nobody was given."""
    role = _known(call)
    return await carried_out(
        call, form, lambda tx: roles.remove(tx, call.by, role.id, form.reason), EDIT,
        to="/admin/roles", toast="roles.removed", values={"name": call.words.name_of(role)}, field="reason",
    )  # fmt: skip


def _known(call: Call) -> Role:
    role = call.site.access.snapshot.role.get(call.params["id"])
    if role is None:
        raise NotFound("there is no such role")
    return role


def _page(call: Call, role: Role | None) -> RolePage:
    snapshot = call.site.access.snapshot
    row = _row(snapshot, role) if role is not None else None
    others = [pair for pair in told.roles(call.words, snapshot) if role is None or pair[0] != role.id]
    return RolePage(role=row, others=others, groups=_groups(call, [row] if row is not None else []))
