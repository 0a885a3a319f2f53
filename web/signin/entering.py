"""What every way of signing in ends with: a session, its cookie, and the audit's word of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from flows.access import people
from flows.access.changes import Unit
from flows.signin import challenges, sessions
from flows.signin.challenges import Challenge
from web.pages import cookies
from web.pages.call import Call
from web.pages.common import local
from web.pages.results import Done

FIRST = "first"
"""stands for the factor of a challenge that leads to the form of the first administrator"""
CONFIRMS = "confirms"
"""stands for what was shown before, where a session that is open only shows its second factor once more"""
STEP = "__Host-pipe-step"
"""holds the token of a half-done sign-in"""


def start(tx: Unit, call: Call, person: people.Person, factors: Sequence[str]) -> str:
    """Starts the session; one that this browser had ends with it. Returns the cookie's token."""
    if call.session is not None:
        sessions.end(tx, [call.session.id], person.actor)
    token = sessions.begin(
        tx, person.id, address=call.address, agent=call.agent, factors=factors, longest=call.site.settings().longest
    )
    people.signed_in(tx, person.id)
    after = {"address": call.address, "factors": list(factors)}
    tx.audit("signin.ok", after=after, target=person.login, actor=person.actor)
    return token


def entered(call: Call, token: str, goal: str) -> Done:
    """On to the page that was asked for, with the cookie."""

    def keep(response: web.StreamResponse) -> None:
        cookies.put(response, cookies.SESSION, token)
        cookies.drop(response, cookies.VISITOR)
        cookies.drop(response, STEP)

    call.response = keep
    return Done(local(goal))


async def ask_factor(call: Call, person: people.Person, factors: Sequence[str], goal: str) -> Done | None:
    """On to the second factor, where the person has one; None where not."""
    for factor in call.site.factors:
        if await factor.has(person.id):
            token, challenge = await call.write(_beginning(person.id, factor.name, factors, goal))
            await factor.begin(challenge)
            hold_step(call, token)
            return Done("/login/code")
    return None


async def other_ways(call: Call, challenge: Challenge) -> list[str]:
    """The other factors that could be asked for in the place of this one."""
    others = [factor for factor in call.site.factors if factor.name != challenge.factor]
    return [factor.name for factor in others if await factor.has(challenge.person)]


def hold_step(call: Call, token: str) -> None:
    """Lets the browser keep the token of a half-done sign-in."""
    call.response = lambda response: cookies.put(response, STEP, token, age=int(challenges.PATIENCE_S))


def _beginning(person: str, factor: str, factors: Sequence[str], goal: str) -> Callable[[Unit], tuple[str, Challenge]]:
    return lambda tx: challenges.begin(tx, person, factor, means="|".join(factors), goal=local(goal))


async def half_done(call: Call) -> Challenge | None:
    """The sign-in that this browser has begun."""
    token = call.request.cookies.get(STEP, "")
    return await call.read(lambda connection: challenges.find(connection, token, call.now)) if token else None
