"""`/admin/access`: who can do what, what somebody can do, and why not. What is asked stands in the address."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, Field

from flows.access.explaining import candidates
from flows.access.model import Object, Snapshot, Subject
from flows.access.operations.frame import object_of, person_of
from flows.access.permissions import PERMISSIONS
from flows.access.predicate import Predicate
from pipe.errors import BadRequest, NotFound
from web.admin import told
from web.admin.people import person_object
from web.pages.call import Call
from web.pages.forms import Input, Invalid
from web.pages.router import Area, Nav

AREA = Area("access")
MOST_SHOWN = 500
"""people of one answer; the form offers no more either"""
STAGES = ("person", "permission", "role", "scope", "level", "rules")
"""what a decision asks, in order"""
_STOPS = {
    "unknown_person": "person", "blocked": "person", "left": "person", "expired": "person",
    "unknown_permission": "permission", "no_right": "role", "waits_for_approval": "role", "out_of_scope": "scope",
    "wrong_tag": "scope", "wrong_state": "scope", "level_too_low": "level", "forbidden_by_rule": "rules",
    "factor_too_old": "rules", "separation_of_duties": "rules",
}  # fmt: skip
"""at which of them each reason stops it"""


class About(Input):
    """The object that is asked about; nothing: any."""

    company: str | None = Field(default=None, max_length=64, description="Its company.")
    unit: str | None = Field(default=None, max_length=64, description="Its unit.")
    owner: str | None = Field(default=None, max_length=128, description="Login of whom it belongs to.")
    level: int = Field(default=0, ge=0, le=3, description="Its level of confidentiality.")
    tags: str = Field(default="", max_length=500, description="Its tags, apart by spaces.")
    state: str | None = Field(default=None, max_length=64, description="Its state.")


class WhoAsk(About):
    """Who can do this?"""

    permission: str = Field(default="", max_length=80, description="`area.verb`.")


class Able(BaseModel):
    """Somebody who may."""

    id: str = Field(description="Names the person.")
    login: str = Field(description="Login.")
    name: str = Field(description="Name.")
    through: list[str] = Field(description="Roles, and how the person has them.")


class Who(BaseModel):
    """Who can do it."""

    ask: WhoAsk = Field(description="What was asked.")
    people: list[Able] | None = Field(description="Who may, as far as you may know; nothing: nothing was asked.")
    total: int = Field(description="How many.")
    permissions: list[tuple[str, str]] = Field(description="Every permission and what it allows.")
    companies: list[tuple[str, str]] = Field(description="Companies: id and name.")
    levels: list[tuple[str, str]] = Field(description="Levels of confidentiality.")


@AREA.page(
    "/admin/access/who", "admin/access_who.html", permission="access.explain", api="GET /access/who",
    nav=Nav("nav.rights", "questions.title", "s-ask", 23),
)  # fmt: skip
async def who(call: Call, ask: WhoAsk) -> Who:
    """Everybody who may do something, and how they come to it."""
    access, words = call.site.access, call.words
    found: list[Able] | None = None
    if ask.permission:
        if ask.permission not in PERMISSIONS:
            raise NotFound("there is no such permission")
        thing = _thing(call, ask)
        people = (access.snapshot.person[each] for each in candidates(access.snapshot, ask.permission))
        found = [
            Able(
                id=each.id,
                login=each.login,
                name=each.name or each.login,
                through=_through(call, each, ask.permission, thing),
            )
            for each in people
            if _known(call, each) and access.rights(each.id).may(ask.permission, thing)
        ]
        found.sort(key=told.by_name)
    return Who(
        ask=ask,
        people=found[:MOST_SHOWN] if found is not None else None,
        total=len(found or ()),
        permissions=told.permissions(words),
        companies=told.companies(call, "access.explain"),
        levels=told.levels(words),
    )


def _known(call: Call, person: Subject) -> bool:
    return call.may("access.explain", person_object(person.company, person.id))


def _thing(call: Call, ask: About) -> Object | None:
    try:
        return object_of(call.site.access, ask.company, ask.unit, ask.owner, ask.level, ask.tags.split(), ask.state)
    except NotFound as error:
        raise Invalid("owner", "form.error.refused", why=call.words.refusal(error)) from None


def _through(call: Call, person: Subject, permission: str, thing: Object | None) -> list[str]:
    snapshot = call.site.access.snapshot
    return _roles(call, snapshot, call.site.access.rights(person.id).predicate(permission), thing)


def _roles(call: Call, snapshot: Snapshot, predicate: Predicate, thing: Object | None) -> list[str]:
    """Roles, and through whom or what the person has them."""
    ids = {
        grant
        for allow in predicate.allows
        for grant in allow.grants
        if thing is None or ((thing.level or 0) <= allow.level and allow.region.holds(thing, predicate.person))
    }
    return sorted(_in_words(call, snapshot, ids))


def _in_words(call: Call, snapshot: Snapshot, ids: Iterable[str]) -> Iterable[str]:
    for each in ids:
        grant = snapshot.grant[each]
        role = call.words.name_of(snapshot.role[grant.role]) if grant.role in snapshot.role else grant.role
        if grant.to_kind == "person":
            yield role
        else:
            yield call.words(
                "questions.through", role=role, holder=told.holder(call.words, snapshot, grant.to_kind, grant.to_id)
            )


# --- what can somebody do -----------------------------------------------------------------------------------------


class WhatAsk(Input):
    """What can this one do?"""

    login: str = Field(default="", max_length=128, description="Of the person.")


class Allowed(BaseModel):
    """One permission that somebody has."""

    permission: str = Field(description="`area.verb`.")
    said: str = Field(description="In words.")
    of_use: bool = Field(description="Whether there may be an object on which nothing stands against it.")
    where: list[str] = Field(description="On which objects.")
    through: list[str] = Field(description="Roles, and how the person has them.")
    against: list[str] = Field(description="Forbids and separations that stand against it somewhere.")


class What(BaseModel):
    """What somebody can do."""

    ask: WhatAsk = Field(description="What was asked.")
    person: str | None = Field(description="The person's id; nothing: nobody was asked about.")
    name: str = Field(description="Name.")
    shut_out: str | None = Field(description="Why the person may do nothing at all.")
    level: int = Field(description="Up to which level the person is cleared.")
    allowed: list[Allowed] = Field(description="All permissions.")
    waiting: int = Field(description="Grants that a second person has to approve yet.")
    people: list[tuple[str, str]] = Field(description="Whom one can ask about: login and name.")


@AREA.page("/admin/access/what", "admin/access_what.html", permission="access.explain", api="GET /access/what")
async def what(call: Call, ask: WhatAsk) -> What:
    """All that somebody may do, where, and how they come to it."""
    snapshot = call.site.access.snapshot
    person = _person(call, ask.login) if ask.login else None
    rights = call.site.access.rights(person.id) if person is not None else None
    return What(
        ask=ask,
        person=person.id if person is not None else None,
        name=(person.name or person.login) if person is not None else "",
        shut_out=rights.shut_out if rights is not None else None,
        level=person.level if person is not None else 0,
        allowed=[
            Allowed(
                permission=name,
                said=told.permission(call.words, name),
                of_use=predicate.possible(),
                where=[told.reach(call.words, snapshot, allow) for allow in predicate.allows],
                through=_roles(call, snapshot, predicate, None),
                against=sorted({bar.id for bar in predicate.bars} | {rule for _, rule in predicate.after}),
            )
            for name, predicate in sorted(rights.predicates.items() if rights is not None else ())
        ],
        waiting=len(rights.waiting) if rights is not None else 0,
        people=_people(call),
    )


def _person(call: Call, login: str) -> Subject:
    """Raises NotFound where there is nobody of that login that one may ask about."""
    try:
        found = call.site.access.snapshot.person[person_of(call.site.access, login)]
    except (NotFound, BadRequest):
        found = None
    if found is None or not _known(call, found):
        raise NotFound("nobody whom you may ask about has this login")
    return found


def _people(call: Call) -> list[tuple[str, str]]:
    people = [each for each in call.site.access.snapshot.person.values() if each.state != "left" and _known(call, each)]
    return [(each.login, each.name or each.login) for each in sorted(people, key=told.by_name)[:MOST_SHOWN]]


# --- why not ------------------------------------------------------------------------------------------------------


class WhyAsk(About):
    """Why may this one not do that?"""

    login: str = Field(default="", max_length=128, description="Of the person.")
    permission: str = Field(default="", max_length=80, description="`area.verb`.")


class Stage(BaseModel):
    """One step of the decision."""

    name: str = Field(description="What is asked.")
    state: str = Field(description="`passed`, `stopped`, or `skipped`.")


class Why(BaseModel):
    """Why, or why not."""

    ask: WhyAsk = Field(description="What was asked.")
    allowed: bool | None = Field(description="The decision; nothing: nothing was asked.")
    reason: str = Field(description="A word for it.")
    text: str = Field(description="In a sentence.")
    stages: list[Stage] = Field(description="Step by step.")
    through: list[str] = Field(description="Roles that allow it, or would if nothing stood against it.")
    against: list[str] = Field(description="Forbids and separations that stand against it.")
    missing: list[tuple[str, str]] = Field(description="Roles that have the permission: id and name.")
    helpers: list[str] = Field(description="Who can help.")
    people: list[tuple[str, str]] = Field(description="Whom one can ask about: login and name.")
    permissions: list[tuple[str, str]] = Field(description="Every permission and what it allows.")
    companies: list[tuple[str, str]] = Field(description="Companies: id and name.")
    levels: list[tuple[str, str]] = Field(description="Levels of confidentiality.")


@AREA.page("/admin/access/why", "admin/access_why.html", permission="access.explain", api="GET /access/why")
async def why(call: Call, ask: WhyAsk) -> Why:
    """Why somebody may or may not do something, step by step, and whom they can ask."""
    words, access = call.words, call.site.access
    snapshot = access.snapshot
    offered = {
        "people": _people(call),
        "permissions": told.permissions(words),
        "companies": told.companies(call, "access.explain"),
        "levels": told.levels(words),
    }
    if not ask.login or not ask.permission:
        nothing = {"reason": "", "text": "", "stages": [], "through": [], "against": [], "missing": [], "helpers": []}
        return Why(ask=ask, allowed=None, **nothing, **offered)  # type: ignore[arg-type]
    person = _person(call, ask.login)
    story = access.why_not(person.id, ask.permission, _thing(call, ask))
    return Why(
        ask=ask,
        allowed=story.allowed,
        reason=story.reason,
        text=story.uk if words.language == "uk" else story.en,
        stages=_stages(story.reason),
        through=sorted(_in_words(call, snapshot, story.grants)),
        against=list(story.against),
        missing=[(each, words.name_of(snapshot.role[each])) for each in story.missing if each in snapshot.role],
        helpers=list(story.ask),
        **offered,
    )


def _stages(reason: str) -> list[Stage]:
    if reason == "allowed":
        return [Stage(name=each, state="passed") for each in STAGES]
    at = STAGES.index(_STOPS[reason])
    return [
        Stage(name=each, state="passed" if n < at else "stopped" if n == at else "skipped")
        for n, each in enumerate(STAGES)
    ]
