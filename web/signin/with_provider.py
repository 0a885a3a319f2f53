"""`/login/with/NAME`: out to a provider of single sign-on, and back with whom it vouches for."""

from __future__ import annotations

from aiohttp import web
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, insert, select

from flows.access import people
from flows.access.changes import Unit
from flows.access.tables import external
from pipe.errors import PeerError
from web.pages import cookies
from web.pages.call import Call
from web.pages.common import local
from web.pages.permission import PUBLIC
from web.pages.results import Done
from web.pages.router import Area
from web.signin.entering import entered, start
from web.signin.login import Ask
from web.signin.single import Claims, Refused, Way

AREA = Area("single")


class NotIn(BaseModel):
    """Why the provider's word did not let somebody in."""

    why: str
    label: str


class Back(BaseModel):
    """What a provider sends back; it may add more."""

    model_config = ConfigDict(extra="ignore")

    code: str = Field(default="", max_length=4000, description="To be exchanged.")
    state: str = Field(default="", max_length=200, description="What we sent along.")
    iss: str | None = Field(default=None, max_length=500, description="Who answers.")
    error: str = Field(default="", max_length=200, description="Why there is no code.")


@AREA.page("/login/with/{name}", "login/not_in.html", permission=PUBLIC, early=True)
async def out(call: Call, ask: Ask) -> web.StreamResponse | NotIn:
    """Sends the browser to the provider."""
    name = call.params["name"]
    config = call.site.providers.config(name)
    base = call.site.settings().address or f"{call.request.scheme}://{call.request.host}"
    try:
        address, way = await call.site.providers.leave(name, local(ask.to or "/"), f"{base}/login/back/{name}")
    except (Refused, PeerError) as error:
        return _not_in(call, "away", config.label or name, error)
    response = web.Response(status=303, headers={"Location": address})
    # Only this cookie may come along with a redirect of another site; it opens nothing by itself.
    cookies.put(response, cookies.WAY, way.sealed(call.site.store.vault), age=600, same_site="Lax")
    return response


@AREA.page("/login/back/{name}", "login/not_in.html", permission=PUBLIC, early=True)
async def back(call: Call, said: Back) -> Done | NotIn:
    """Looks at what the provider says, and starts the session."""
    name = call.params["name"]
    config = call.site.providers.config(name)
    label = config.label or name
    way = Way.opened(call.site.store.vault, call.request.cookies.get(cookies.WAY, ""), call.now)
    if way is None or way.provider != name or not said.state or way.state != said.state:
        return _not_in(call, "over", label)
    if said.error or not said.code:
        return _not_in(call, "refused", label, Refused(f"it says {said.error[:60]}"))
    try:
        claims = await call.site.providers.come_back(way, said.code, said.iss)
    except Refused as error:
        return _not_in(call, "refused", label, error)
    except PeerError as error:
        return _not_in(call, "away", label, error)
    person = await call.read(lambda connection: _whom(connection, claims, config.person, call.now))
    if person is None:
        await call.write(lambda tx: _note_stranger(tx, call, name))
        return _not_in(call, "unknown", label)
    done = entered(call, await call.write(lambda tx: _enter(tx, call, person, claims)), way.goal)
    keep = call.response

    def both(response: web.StreamResponse) -> None:
        if keep is not None:
            keep(response)
        cookies.drop(response, cookies.WAY)

    call.response = both
    return done


def _not_in(call: Call, why: str, label: str, error: Exception | None = None) -> NotIn:
    if error is not None:
        logger.bind(action="sign_in_refused", provider=call.params["name"], error=str(error)).warning(
            "a provider's sign-in was not taken"
        )
    return NotIn(why=why, label=label)


def _whom(connection: Connection, claims: Claims, claim: str, now: float) -> people.Person | None:
    """Who is meant: whom this very subject was before, else the login that a trusted claim names."""
    query = select(external.c.person).where(external.c.issuer == claims.issuer, external.c.subject == claims.subject)
    bound = connection.execute(query).scalar()
    if bound is not None:
        person: people.Person | None = people.by_id(connection, bound)
    else:
        login = claims.login(claim)
        person = people.find(connection, login) if login else None
    if person is None or person.kind != "person" or person.shut_out(now) is not None:
        return None
    return person


def _enter(tx: Unit, call: Call, person: people.Person, claims: Claims) -> str:
    query = select(external.c.person).where(external.c.issuer == claims.issuer, external.c.subject == claims.subject)
    if tx.execute(query).first() is None:
        row = {"issuer": claims.issuer, "subject": claims.subject, "person": person.id, "at": tx.now}
        tx.execute(insert(external), row)
        tx.audit("signin.bound", target=person.login, after={"issuer": claims.issuer}, actor=person.actor)
    return start(tx, call, person, ["oidc"])


def _note_stranger(tx: Unit, call: Call, name: str) -> None:
    tx.audit("signin.failed", after={"address": call.address, "factor": f"oidc:{name}"}, actor="visitor")
