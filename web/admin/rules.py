"""`/admin/rules`: what is forbidden whatever was granted, what does not go together, which fields are masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, Field

from flows.access import rules
from flows.access.changes import Unit
from flows.access.engine import OPEN, Need
from flows.access.model import Forbid
from flows.access.operations.frame import holder_of, scope_of
from pipe.errors import BadRequest, NotFound
from web.admin import told
from web.admin.changing import Effects, Rehearsable, carried_out
from web.admin.grants import Reason
from web.pages.call import Call
from web.pages.forms import Invalid, Said
from web.pages.results import Done, Show
from web.pages.router import Area, Nav

AREA = Area("rules")
EDIT = Need("rule.edit", OPEN)
PATTERNS = r"^([a-z_]+\.([a-z_]+|\*)|\*)([ ,]+([a-z_]+\.([a-z_]+|\*)|\*))*$"
SLUG = r"^[a-z0-9][a-z0-9_-]{1,63}$"
FIELD = r"^[a-z0-9_-]{1,64}$"


class ForbidRow(BaseModel):
    """One forbid."""

    id: str = Field(description="Its short name.")
    permissions: list[str] = Field(description="`area.verb` or `area.*`.")
    to: str = Field(description="`everyone`, `role:ID`, or whom a grant can be given to.")
    to_name: str = Field(description="Whom that means.")
    where: str = Field(description="On which objects.")
    level: int = Field(description="From which level of confidentiality on.")
    factor_within: float | None = Field(description="Not for who gave a second factor within so many seconds.")
    valid_until: float | None = Field(description="Until when, seconds since 1970.")
    reason: str = Field(description="Why.")
    made_by: str = Field(description="By whom.")


class SeparationRow(BaseModel):
    """Two permissions that do not go together."""

    id: str = Field(description="Its short name.")
    kind: str = Field(description="`static`: nobody has both; `same_object`: nobody uses both on one object.")
    first: str = Field(description="One permission.")
    second: str = Field(description="The other.")
    reason: str = Field(description="Why.")


class FieldRow(BaseModel):
    """From which level on a field is shown."""

    kind: str = Field(description="Kind of object.")
    name: str = Field(description="The field.")
    level: int = Field(description="From which level on it is shown as it is.")
    below: str = Field(description="What is shown below it: `mask` or `hide`.")


class Rules(BaseModel):
    """All rules, and what their forms offer."""

    forbids: list[ForbidRow] = Field(description="What is forbidden.")
    separations: list[SeparationRow] = Field(description="What does not go together.")
    fields: list[FieldRow] = Field(description="Which fields are shown from which level.")
    permissions: list[tuple[str, str]] = Field(description="Every permission and what it allows.")


@AREA.page(
    "/admin/rules", "admin/rules.html", permission="rule.read", api="GET /rules",
    nav=Nav("nav.rights", "rules.title", "s-skip", 22),
)  # fmt: skip
async def all_rules(call: Call) -> Rules:
    """Forbids, separations, and fields that are masked or hidden."""
    snapshot = call.site.access.snapshot
    return Rules(
        forbids=[_row(call, each) for each in sorted(snapshot.forbid.values(), key=lambda each: each.id)],
        separations=[
            SeparationRow(**{name: getattr(each, name) for name in SeparationRow.model_fields})
            for each in sorted(snapshot.separation.values(), key=lambda each: each.id)
        ],
        fields=[
            FieldRow(**{name: getattr(each, name) for name in FieldRow.model_fields})
            for each in sorted(snapshot.field.values(), key=lambda each: each.id)
        ],
        permissions=told.permissions(call.words),
    )


def _row(call: Call, forbid: Forbid) -> ForbidRow:
    snapshot, words = call.site.access.snapshot, call.words
    same = {
        name: getattr(forbid, name) for name in ("id", "level", "factor_within", "valid_until", "reason", "made_by")
    }
    return ForbidRow(
        **same,
        permissions=sorted(forbid.permissions),
        to=told.written(snapshot, forbid.to_kind, forbid.to_id),
        to_name=told.holder(words, snapshot, forbid.to_kind, forbid.to_id),
        where=told.terms(words, snapshot, forbid),
    )


# --- forbidding ---------------------------------------------------------------------------------------------------


class NewForbid(Rehearsable):
    """What is to be forbidden."""

    id: str = Field(pattern=SLUG, description="Short name: small Latin letters, digits, `-`.")
    permissions: str = Field(max_length=2000, pattern=PATTERNS, description="`area.verb` or `area.*`, apart by spaces.")
    to: str = Field(
        default="everyone", max_length=200, description="`everyone`, `role:ID`, `person:LOGIN`, `unit:ID` …"
    )
    scope: str = Field(
        default="all", max_length=80, description="`all`, `own`, `company`, `unit`, `company:ID`, `unit:ID`."
    )
    level: int = Field(default=0, ge=0, le=3, description="From which level of confidentiality on.")
    minutes: int | None = Field(
        default=None, ge=1, le=1440, description="Not for who gave a second factor within so many minutes."
    )
    reason: Said = Field(min_length=3, max_length=500, description="Why: whoever is denied reads it.")


class ForbidPage(BaseModel):
    """What the form offers."""

    holders: list[tuple[str, str]]
    scopes: list[tuple[str, str]]
    levels: list[tuple[str, str]]
    permissions: list[tuple[str, str]]


@AREA.page("/admin/rules/forbid", "admin/forbid_new.html", permission="rule.edit")
async def blank(call: Call) -> ForbidPage:
    """The form of a new forbid."""
    words, snapshot = call.words, call.site.access.snapshot
    roles = [
        (f"role:{name}", words("holder.of_kind", kind=words("holder.role"), name=label))
        for name, label in told.roles(words, snapshot)
    ]
    return ForbidPage(
        holders=[("everyone", words("holder.everyone")), *roles, *told.places(call, "rule.edit")],
        scopes=told.scopes(call, "rule.edit"),
        levels=told.levels(words),
        permissions=told.permissions(words),
    )


@AREA.action("/admin/rules/forbid", permission="rule.edit", on=blank, api="POST /rules/forbids", result=Effects)
async def forbid(call: Call, form: NewForbid) -> Done | Show:
    """Forbids permissions to somebody on some objects; no grant helps."""
    kind, name = _whom(call, form.to)
    scope, scope_id = scope_of(form.scope)
    return await carried_out(
        call,
        form,
        lambda tx: rules.forbid(
            tx, call.by, form.id, form.permissions.replace(",", " ").split(), kind, name,
            scope=scope, scope_id=scope_id, level=form.level,
            factor_within=form.minutes * 60.0 if form.minutes else None, reason=form.reason,
        ),
        EDIT,
        to="/admin/rules",
        toast="rules.made",
    )  # fmt: skip


def _whom(call: Call, text: str) -> tuple[str, str | None]:
    if text == "everyone":
        return "everyone", None
    if text.startswith("role:"):
        return "role", text.removeprefix("role:")
    try:
        return holder_of(call.site.access, text)
    except (BadRequest, NotFound) as error:
        raise Invalid("to", "form.error.refused", why=call.words.refusal(error)) from None


# --- separating, and fields ---------------------------------------------------------------------------------------


class NewSeparation(Rehearsable):
    """Two permissions that are not to go together."""

    id: str = Field(pattern=SLUG, description="Short name: small Latin letters, digits, `-`.")
    kind: Literal["static", "same_object"] = Field(default="static", description="For one person, or for one object.")
    first: str = Field(max_length=80, description="One permission.")
    second: str = Field(max_length=80, description="The other.")
    reason: Said = Field(min_length=3, max_length=500, description="Why.")


@AREA.action(
    "/admin/rules/separate", permission="rule.edit", on=all_rules, api="POST /rules/separations", result=Effects
)
async def separate(call: Call, form: NewSeparation) -> Done | Show:
    """Keeps two permissions apart."""
    return await carried_out(
        call,
        form,
        lambda tx: rules.separate(tx, call.by, form.id, form.kind, form.first, form.second, form.reason),
        EDIT,
        to="/admin/rules",
        toast="rules.made",
    )


class NewField(Rehearsable):
    """A field that not everybody is to see."""

    kind: str = Field(pattern=FIELD, description="Kind of object, such as `conversation`.")
    name: str = Field(pattern=FIELD, description="The field, such as `phone`.")
    level: int = Field(default=2, ge=1, le=3, description="From which level on it is shown as it is.")
    below: Literal["mask", "hide"] = Field(default="mask", description="What is shown below it.")


@AREA.action("/admin/rules/fields", permission="rule.edit", on=all_rules, api="POST /rules/fields", result=Effects)
async def rule_field(call: Call, form: NewField) -> Done | Show:
    """Masks or hides a field below a level."""
    return await carried_out(
        call, form, lambda tx: rules.show_from(tx, call.by, form.kind, form.name, form.level, form.below), EDIT,
        to="/admin/rules", toast="rules.made",
    )  # fmt: skip


# --- taking back --------------------------------------------------------------------------------------------------


@AREA.action(
    "/admin/rules/forbids/{id}/lift",
    permission="rule.edit",
    on=all_rules,
    api="POST /rules/forbids/{id}/lift",
    result=Effects,
)
async def lift(call: Call, form: Reason) -> Done | Show:
    """Takes a forbid back."""
    return await _taken_back(call, form, lambda tx: rules.lift(tx, call.by, call.params["id"], form.reason))


@AREA.action(
    "/admin/rules/separations/{id}/lift",
    permission="rule.edit",
    on=all_rules,
    api="POST /rules/separations/{id}/lift",
    result=Effects,
)
async def join(call: Call, form: Reason) -> Done | Show:
    """Takes a separation back."""
    return await _taken_back(call, form, lambda tx: rules.join(tx, call.by, call.params["id"], form.reason))


@AREA.action(
    "/admin/rules/fields/{kind}/{name}/lift",
    permission="rule.edit",
    on=all_rules,
    api="POST /rules/fields/{kind}/{name}/lift",
    result=Effects,
)
async def show_always(call: Call, form: Reason) -> Done | Show:
    """Takes the rule of a field back."""
    kind, name = call.params["kind"], call.params["name"]
    return await _taken_back(call, form, lambda tx: rules.show_always(tx, call.by, kind, name, form.reason))


async def _taken_back(call: Call, form: Reason, unit: Callable[[Unit], None]) -> Done | Show:
    return await carried_out(call, form, unit, EDIT, to="/admin/rules", toast="rules.lifted")
