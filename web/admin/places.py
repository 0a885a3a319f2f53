"""Appointing somebody to positions, units and groups: what is granted to a place comes and goes with it."""

from __future__ import annotations

from typing import Literal, cast, get_args

from pydantic import Field

from flows.access import organisation, words
from flows.access.engine import Need
from pipe.errors import NotFound
from web.admin import told
from web.admin.changing import Effects, Rehearsable, carried_out
from web.admin.grants import end_of
from web.admin.person import about, one
from web.pages.call import Call
from web.pages.forms import Day, Invalid
from web.pages.results import Done, Show
from web.pages.router import Area

AREA = Area("places")
Kind = Literal["position", "unit", "group"]


class Appointment(Rehearsable):
    """Where somebody comes to."""

    place: str = Field(max_length=80, description="`position:ID`, `unit:ID` or `group:ID`.")
    until: Day = Field(default=None, description="The last day, in Kyiv; nothing: for good.")


@AREA.action(
    "/admin/people/{id}/places", permission="person.move", on=one, api="POST /people/{id}/places", result=Effects
)
async def appoint(call: Call, form: Appointment) -> Done | Show:
    """Puts a person into a position, unit or group; what is granted to it holds at once."""
    id_of, needs = call.params["id"], [await about(call, "person.move")]
    kind, _, of = form.place.partition(":")
    thing = told.place(call.site.access.snapshot, kind, of)
    if thing is None:
        raise Invalid("place", "form.error.literal_error")
    needs.append(Need("person.move", thing))
    return await carried_out(
        call, form,
        lambda tx: organisation.appoint(tx, call.by, id_of, cast("Kind", kind), of, valid_until=end_of(form.until)),
        *needs, to=f"/admin/people/{id_of}", toast="people.appointed", field="place",
    )  # fmt: skip


@AREA.action(
    "/admin/people/{id}/places/{kind}/{of}/leave", permission="person.move", on=one,
    api="POST /people/{id}/places/{kind}/{of}/leave", result=Effects,
)  # fmt: skip
async def withdraw(call: Call, form: Rehearsable) -> Done | Show:
    """Takes a person out of a position, unit or group; what came with it is gone at once."""
    id_of, kind, of = call.params["id"], call.params["kind"], call.params["of"]
    need = await about(call, "person.move")
    if kind not in get_args(words.MemberOf):
        raise NotFound("there is no such kind of place")
    return await carried_out(
        call, form, lambda tx: organisation.withdraw(tx, call.by, id_of, cast("Kind", kind), of), need,
        to=f"/admin/people/{id_of}", toast="people.withdrawn",
    )  # fmt: skip
