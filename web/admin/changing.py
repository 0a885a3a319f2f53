"""A change of rights as pages make it: told beforehand who would gain and lose what, demanded, guarded, noted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, Field

from flows.access.changes import Unit
from flows.access.difference import Change
from flows.access.engine import Need
from pipe.errors import BadRequest, Denied
from web.admin import told
from web.pages.call import Call
from web.pages.forms import Input, Invalid
from web.pages.results import Done, Show

MOST_SHOWN = 200
"""lines of one rehearsal on a page; the API has them all"""


class Rehearsable(Input):
    """A change that can be asked about first."""

    rehearse: bool = Field(
        default=False, description="Only tell who would gain and who would lose what; nothing is changed."
    )


class Effect(BaseModel):
    """What is different for one person in one permission."""

    login: str = Field(description="Whose.")
    name: str = Field(description="That person's name.")
    permission: str = Field(description="`area.verb`.")
    said: str = Field(description="The permission in words.")
    gains: list[str] = Field(description="Objects on which it is allowed that was not.")
    loses: list[str] = Field(description="Objects on which it is allowed no longer.")
    lifted: list[str] = Field(description="Forbids and separations that no longer stand against it.")
    barred: list[str] = Field(description="Forbids and separations that do now.")


class Effects(BaseModel):
    """Who gains and who loses what by a change."""

    done: bool = Field(description="Whether it was made; else it was only rehearsed.")
    people: int = Field(description="How many people it concerns.")
    effects: list[Effect] = Field(description="What is different, person by person.")
    action: str = Field(default="", exclude=True)
    fields: list[tuple[str, str]] = Field(default=[], exclude=True)
    back: str = Field(default="", exclude=True)
    most: int = Field(default=MOST_SHOWN, exclude=True)


async def carried_out(
    call: Call,
    form: Rehearsable,
    unit: Callable[[Unit], object],
    *needs: Need,
    to: str,
    toast: str,
    values: Mapping[str, Any] | None = None,
    field: str = "",
) -> Done | Show:
    """Makes the change, or only tells what it would do. What stands against it is told beside `field`.

    Raises Invalid; Denied where a permission is missing.
    """
    access = call.site.access
    try:
        effects = _effects(call, await access.rehearse(call.by, unit, *needs), done=not form.rehearse)
        if form.rehearse:
            return Show("admin/rehearsed.html", _to_confirm(call, effects, form))
        await call.change(unit, *needs)
    except BadRequest as error:
        raise Invalid(field, "form.error.refused", why=call.words.refusal(error)) from None
    except Denied as error:
        # A permission that is missing has a page of its own; what the guard says belongs beside the form.
        if call.by_api or "permission" in error.facts:
            raise
        await call.site.note_denial(call, error)
        raise Invalid(field, "form.error.refused", why=call.words.refusal(error)) from None
    return Done(to, toast, {"n": effects.people, **(values or {})}, result=effects)


def _to_confirm(call: Call, effects: Effects, form: Rehearsable) -> Effects:
    """The same with what has to be sent once more to make the change."""
    return effects.model_copy(
        update={
            "action": call.request.path,
            "fields": list(_fields(form.model_dump(mode="json", exclude={"rehearse"}))),
            "back": call.operation.on.path.format(**call.params) if call.operation.on is not None else "/admin",
        }
    )


def _fields(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, list):
            yield from ((f"{name}[]", str(each)) for each in value)
        elif isinstance(value, bool):
            yield from [(name, "true")] if value else []
        elif value is not None:
            yield name, str(value)


def _effects(call: Call, changes: Iterable[Change], *, done: bool) -> Effects:
    snapshot, words = call.site.access.snapshot, call.words

    def one(change: Change) -> Effect:
        person = snapshot.person.get(change.person)
        return Effect(
            login=person.login if person is not None else change.person,
            name=person.name if person is not None else "",
            permission=change.permission,
            said=told.permission(words, change.permission),
            gains=[told.reach(words, snapshot, piece) for piece in change.gains],
            loses=[told.reach(words, snapshot, piece) for piece in change.loses],
            lifted=list(change.lifted),
            barred=list(change.barred),
        )

    effects = [one(change) for change in changes]
    return Effects(done=done, people=len({each.login for each in effects}), effects=effects)
