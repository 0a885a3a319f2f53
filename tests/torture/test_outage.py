"""A partner that is away for long, comes back, or says when it wants to be asked again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web

from pipe.testing import FaultProxy, faults
from tests.conftest import DEEP
from tests.journeys.attacks import Kept, Partner, Siege, memory, soon
from tests.journeys.gateway import Gateway
from tests.journeys.ledger import Sent
from tests.torture.strait import Plan, a_strait, phone

pytestmark = [pytest.mark.journey, pytest.mark.timeout(3600 if DEEP else 900)]

BACKLOG = 36_000 if DEEP else 360
"""an hour of ten messages a second, or a little of it"""
PHONES = 24
MIB = 1 << 20


async def test_an_outage_costs_disk_and_no_memory_and_ends_in_order(tmp_path: Path) -> None:
    """The partner hangs up on everyone: it is left alone but for trials, others go on, and then all arrive in order."""
    plan = Plan(connection="concurrency: 8, breaker: {failures: 50%, of: 4, open: 300ms}")
    async with a_strait(tmp_path, ["away", "well"], plan) as strait:
        away, gateway = strait.back["away"], strait.world.gateway
        assert gateway.process is not None
        await away.turn(faults.AcceptThenClose())
        await asyncio.gather(*(strait.callers["away"].hand_in(phone(place), 0) for place in range(PHONES)))
        before, began, met = memory(gateway.process.pid), time.monotonic(), away.met
        for n in range(1, BACKLOG // PHONES):
            await asyncio.gather(*(strait.callers["away"].hand_in(phone(place), n) for place in range(PHONES)))
        for n in range(10):
            await strait.callers["well"].hand_in(phone(100), n)
        await strait.delivered("well", within=10)
        grown = memory(gateway.process.pid) - before
        asked, took = away.met - met, time.monotonic() - began
        assert "delivered" not in strait.states("away")
        await away.heal()
        crowd = await most_at_once(strait.back["away"], strait.delivered("away", within=600))
        wrong = await strait.wrong()
    assert wrong == []
    assert grown < 50 * MIB
    assert asked <= 10 + took / 0.3 * 2, f"{asked} connections in {took:.0f} s"
    assert crowd <= 8 + 2  # two that the partner hung up on may still be going


async def most_at_once(proxy: FaultProxy, until: Coroutine[None, None, None]) -> int:
    """The most connections that stood at the same time until then."""
    waiting = asyncio.ensure_future(until)
    most = 0
    while not waiting.done():
        most = max(most, proxy.standing)
        await asyncio.sleep(0.01)
    await waiting
    return most


async def test_a_full_queue_refuses_the_newest_and_keeps_the_rest(tmp_path: Path) -> None:
    """503 with a time to come back; none of those that were accepted is dropped for it, and their order holds."""
    async with a_strait(tmp_path, ["away"], Plan(route="    queue: {messages: 5}")) as strait:
        await strait.back["away"].turn(faults.Refuse())
        caller = strait.callers["away"]
        outcomes = []
        for n in range(8):
            meant = Sent(f"{phone(1)}-{n}", "unknown", None, f"{phone(1)}|n{n}", phone(1), n)
            body = f'{{"applicant": {{"name": "x", "phone": "{phone(1)}"}}, "text": "n{n}"}}'.encode()
            outcomes.append((await caller.attempt(meant, body)).outcome)
        await strait.back["away"].heal()
        await strait.delivered("away")
        wrong = await strait.wrong()
    assert outcomes == ["accepted"] * 5 + ["refused"] * 3
    assert wrong == []


# --- a partner that says when

PAUSES: dict[str, Callable[[], str]] = {
    "seconds": lambda: "1",
    "date": lambda: formatdate(time.time() + 3, usegmt=True),
    "negative": lambda: "-5",
    "endless": lambda: "1000000000",
    "senseless": lambda: "soon",
}
"""what each partner says in its first answer"""


def pausing() -> str:
    """A connection and a route for each of them."""
    connections, routes = [], []
    for name in PAUSES:
        connections.append(f'  {name}: {{type: http_client, url: "${{env:PARTNER}}", reconnect: {{first: 50ms}}}}')
        source = f"from: {{connection: callers, path: /{name}}}"
        routes.append(f"  {name}_in: {{{source}, to: {{connection: {name}, post: /{name}, idempotent: true}}}}")
    retry = "defaults: {retry: {attempts: 20, first: 20ms, factor: 1, within: 1h}}"
    head = [
        "version: 1",
        "limits: {disk_floor: 1MiB}",
        retry,
        "connections:",
        "  callers: {type: http_server, auth: none}",
    ]
    return "\n".join([*head, *connections, "routes:", *routes, ""])


@pytest.fixture
async def siege(tmp_path: Path) -> AsyncIterator[Siege]:
    """A gateway before a partner that wants to be left in peace."""
    (tmp_path / "pauses.yaml").write_text(pausing())
    partner = await Partner().start()
    gateway = Gateway(tmp_path / "data", tmp_path / "pauses.yaml", {"PARTNER": partner.address})
    await gateway.start()
    yield Siege(gateway, partner, Kept(gateway))
    await gateway.kill9()
    await partner.stop()


async def test_a_partner_is_asked_again_when_it_says(siege: Siege) -> None:
    """429 and 503 with seconds, a date, a negative number, a thousand million, and nonsense."""
    asked: dict[str, list[float]] = {}

    async def answer(request: web.Request) -> web.Response:
        times = asked.setdefault(request.path, [])
        times.append(time.time())
        if len(times) > 1:
            return web.Response()
        return web.Response(status=429, headers={"Retry-After": PAUSES[request.path[1:]]()})

    siege.partner.answers = {f"/{name}": answer for name in PAUSES}
    for name in PAUSES:
        assert (await siege.ask(f"/pipe/{name}", b"x")).status == 202
    again = [f"/{name}" for name in PAUSES if name != "endless"]
    await soon(lambda: all(len(asked.get(path, ())) == 2 for path in again), 60)
    pause = {path: asked[path][1] - asked[path][0] for path in again}
    assert pause["/seconds"] > 0.99
    assert pause["/date"] > 1.5  # a date has whole seconds
    assert len(asked["/endless"]) == 1
    explained = await siege.gateway.ask("search", route="endless_in")
    story = await siege.gateway.ask("explain", id=explained[0]["id"])
    at = story["deliveries"][0]["next_at"]
    assert at is None or at < time.time() + 3700
