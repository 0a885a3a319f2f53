"""`/me/emergency`: a role for emergencies, taken for an hour at most with a reason that somebody reads afterwards."""

from __future__ import annotations

from pydantic import BaseModel, Field

from flows.access import grants
from flows.access.engine import Need
from flows.access.model import in_force
from flows.access.operations.frame import scope_of
from pipe.errors import BadRequest
from web.admin import told
from web.pages.call import Call
from web.pages.forms import Input, Invalid, Said
from web.pages.results import Done
from web.pages.router import Area, Nav

AREA = Area("emergency")
OF_HOLDER = {"own", "company", "unit"}
"""scopes that mean the holder's own: in an emergency one says which"""


class Taken(BaseModel):
    """An emergency role that one has now."""

    role: str = Field(description="Its name.")
    where: str = Field(description="On which objects.")
    until: float = Field(description="Until when, seconds since 1970.")


class Emergency(BaseModel):
    """What can be taken, and what is taken now."""

    roles: list[tuple[str, str]] = Field(description="Roles that may be taken: id and name.")
    scopes: list[tuple[str, str]] = Field(description="Where they can hold.")
    levels: list[tuple[str, str]] = Field(description="Levels of confidentiality.")
    taken: list[Taken] = Field(description="What is taken now.")
    longest: int = Field(description="Minutes that it lasts at most.")


class Take(Input):
    """Which role, where, for how long and why."""

    role: str = Field(max_length=64, description="The role.")
    scope: str = Field(max_length=80, description="Where: `company:ID`, `unit:ID`, `all`.")
    level: int = Field(default=2, ge=0, le=3, description="Up to which level of confidentiality.")
    minutes: int = Field(default=30, ge=1, le=60, description="For how many minutes.")
    reason: Said = Field(min_length=10, max_length=500, description="What the emergency is; it is read afterwards.")


@AREA.page(
    "/me/emergency", "me/emergency.html", permission="access.emergency", api="GET /me/emergency",
    nav=Nav("nav.rights", "emergency.title", "bell", 29),
)  # fmt: skip
async def emergency(call: Call) -> Emergency:
    """Roles for emergencies, and those that one has taken."""
    snapshot, words = call.site.access.snapshot, call.words
    mine = [
        grant
        for grant in snapshot.grant.values()
        if grant.source == "emergency"
        and grant.to_id == call.who.id
        and in_force(grant.valid_from, grant.valid_until, call.now)
    ]
    return Emergency(
        roles=[(each.id, words.name_of(each)) for each in snapshot.role.values() if each.emergency],
        scopes=_mine_first(
            call, [(each, label) for each, label in told.scopes(call, "access.emergency") if each not in OF_HOLDER]
        ),
        levels=told.levels(words),
        taken=[
            Taken(
                role=words.name_of(snapshot.role[each.role]),
                where=told.terms(words, snapshot, each),
                until=each.valid_until or 0.0,
            )
            for each in mine
        ],
        longest=int(grants.EMERGENCY_S // 60),
    )


@AREA.action("/me/emergency", permission="access.emergency", on=emergency, api="POST /me/emergency")
async def take(call: Call, form: Take) -> Done:
    """Takes a role for an emergency, at once."""
    scope, scope_id = scope_of(form.scope)
    try:
        await call.change(
            lambda tx: grants.emergency(
                tx, call.by, form.role, scope=scope, scope_id=scope_id, level=form.level,
                seconds=form.minutes * 60.0, reason=form.reason,
            ),
            Need("access.emergency", None),
        )  # fmt: skip
    except BadRequest as error:
        raise Invalid("", "form.error.refused", why=call.words.refusal(error)) from None
    return Done("/me/emergency", "emergency.taken", {"n": form.minutes})


def _mine_first(call: Call, scopes: told.Choices) -> told.Choices:
    mine = f"company:{call.who.company}"
    return sorted(scopes, key=lambda pair: pair[0] != mine)
