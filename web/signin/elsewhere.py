"""`/login/code` where the code was shown elsewhere: the page asks now and then, and goes on by itself."""

from __future__ import annotations

from aiohttp import web

from flows.access import people
from flows.signin import throttle
from web.pages.call import Call
from web.pages.permission import PUBLIC
from web.pages.results import Done
from web.pages.router import Area
from web.signin.entering import FIRST, entered, half_done
from web.signin.login import code, finish

AREA = Area("elsewhere")


@AREA.raw("/login/code/state", permission=PUBLIC, early=True)
async def state(call: Call) -> web.StreamResponse:
    """What a page that waits must know: whether it can go on, and whether it shows something else now."""
    challenge = await half_done(call)
    if challenge is None or challenge.factor == FIRST:
        return web.json_response({"state": "over"})
    factor = call.site.factor(challenge.factor)
    if await factor.done(challenge):
        return web.json_response({"state": "done"})
    prompt = await factor.prompt(challenge)
    return web.json_response({"state": f"{prompt.title} {prompt.lead}"})


@AREA.action("/login/code/elsewhere", permission=PUBLIC, on=code, early=True)
async def go_on(call: Call) -> Done:
    """Goes on where the person has shown the code elsewhere."""
    challenge = await half_done(call)
    if challenge is None or challenge.factor == FIRST:
        return Done("/login", "code.over")
    if not await call.site.factor(challenge.factor).done(challenge):
        return Done("/login/code", "code.not.yet")
    person = await call.read(lambda connection: people.by_id(connection, challenge.person))
    keys = throttle.code_key(call.site.store.vault.hash, challenge.person)
    factors = [*challenge.means.split("|"), challenge.factor]
    token = await call.write(lambda tx: finish(tx, call, challenge, person, factors, keys))
    return entered(call, token, challenge.goal) if token is not None else Done("/login", "code.over")
