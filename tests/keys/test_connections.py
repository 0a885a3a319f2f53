"""What the keys of every connection do: breaker, concurrency, rates, reconnecting, probing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.http_client import HttpClient
from pipe.connection import DOWN_AFTER, Connection
from pipe.errors import PeerFailed, Unreachable
from pipe.events import Attempted, Events
from pipe.testing import FakeClock, FakeServices
from tests.adapters.http_bench import config
from tests.adapters.raw_server import RawServer, reply, says
from tests.pipe.house import House
from tests.pipe.running import running

HEAD = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, %s}
routes:
  r: {from: {connection: in}, retry: {first: 1h, factor: 1, max: 1h}, to: {connection: out, put: x}}
"""


@pytest.mark.key("breaker.failures", "breaker.of")
@pytest.mark.parametrize(
    ("breaker", "script", "state"),
    [
        ("failures: 50%, of: 4", "bb", "down"),
        ("failures: 60%, of: 4", "gb", "up"),
        ("failures: 50%, of: 4", "gb", "down"),
        ("failures: 50%, of: 6", "bb", "up"),
    ],
)
async def test_the_breaker_opens_at_its_share_of_the_last_attempts(
    house: House, breaker: str, script: str, state: str
) -> None:
    """Once half of `of` attempts are there, `failures` of them open it; sooner, or with fewer, it stays closed."""
    await house.start(HEAD % f"concurrency: 1, breaker: {{{breaker}}}")
    house.partner("out").script = [PeerFailed("no") if sign == "b" else None for sign in script]
    for count, sign in enumerate(script, 1):
        await house.put(sign)
        await house.partner("out").reached(count)
    await house.reaches(*("retry" if sign == "b" else "delivered" for sign in script))
    found = house.engine.connections["out"].state
    assert ("down" if found == "down" else "up") == state


@pytest.mark.key("breaker.open")
async def test_an_open_breaker_lets_one_trial_through_after_its_pause(house: House) -> None:
    """`open: 90s` is how long nothing is sent."""
    await house.start(HEAD % "breaker: {failures: 50%, of: 2, open: 90s}")
    house.partner("out").script = [PeerFailed("no"), PeerFailed("no")]
    await house.put("a")
    await house.put("b")
    await house.reaches("retry", "retry")
    await house.put("c")
    await house.pass_time(85)
    assert len(house.partner("out").asked) == 2
    await house.pass_time(10)
    await house.partner("out").reached(3)


@pytest.mark.key("connections.concurrency")
async def test_no_more_sends_at_once_than_concurrency_says(house: House) -> None:
    """The third waits until one of two ended."""
    await house.start(HEAD % "concurrency: 2")
    partner = house.partner("out")
    partner.hold()
    for _ in range(3):
        await house.put("x")
    await partner.reached(2)
    assert len(partner.asked) == 2
    partner.release()
    await house.done(3)


@pytest.mark.key("rate.per", "rate.rate")
async def test_a_keyed_rate_counts_each_value_apart(house: House) -> None:
    """The third message of one chat waits for its turn; the first of another, which came later, does not."""
    await house.start(HEAD % "rate: [100/s, {per: headers.chat, rate: 2/s}]")
    for text, chat in (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")):
        await house.put(text, headers={"chat": chat})
    await house.done(4)
    assert house.partner("out").bodies == [b"a1", b"a2", b"b1", b"a3"]


@pytest.mark.key("connections.reconnect", "reconnect.first", "reconnect.max")
async def test_a_lost_connection_is_tried_again_at_growing_pauses(house: House) -> None:
    """`first: 10s` doubles to 20 s and stays at `max: 20s`."""
    await house.start(HEAD % "breaker: false, reconnect: {first: 10s, max: 20s}")
    house.partner("out").down = True
    connection = house.engine.connections["out"]
    for _ in range(DOWN_AFTER):
        connection._learn(Unreachable("gone"), trial=False)
    pauses = []
    for _ in range(3):
        opens_at = connection.opens_at
        assert opens_at is not None
        pauses.append(opens_at - house.clock.now())
        await house.clock.advance(pauses[-1])  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)
    assert pauses == [10, 20, 20]


@pytest.mark.key("probe.every")
async def test_a_partner_is_probed_again_and_again(server: RawServer) -> None:
    """At once and every 30 s; what the answers say is the connection's state."""
    server.on("/ping", says(reply(200)), says(reply(503)))
    clock = FakeClock()
    made = config(server, probe={"get": "/ping", "every": "30s"})
    connection = Connection("crm", HttpClient("crm", made, FakeServices(clock)), made, clock, Events())
    await connection.open()
    states = []
    try:
        for asked in (1, 2):
            await server.asked(asked)
            await clock.sleeping()
            states.append(connection.state)
            await clock.advance(29)
            assert len(server.requests) == asked
            await clock.advance(1)
    finally:
        await connection.close()
    assert states == ["up", "down"]


GATEWAY = """
version: 1
listeners:
  public: {{address: "127.0.0.1:0"}}
  partners: {{address: "127.0.0.1:0"}}
connections:
  web: {{type: http_server, auth: none, listener: partners}}
  box: {{type: file_folder, path: {folder}}}
routes:
  r: {{from: {{connection: web, path: /x, max_body: 8B}}, to: {{connection: box, put: "${{message.id}}"}}}}
"""


@pytest.mark.key("listeners.address", "http_server.listener", "connections.type", "from.connection", "from.max_body")
@pytest.mark.key("to.connection", "routes.from", "routes.to", "file_folder.path")
async def test_a_connection_is_served_by_its_listener_alone(tmp_path: Path) -> None:
    """What `partners` takes is written to the folder, the other listener knows no such path, larger bodies get 413."""
    (tmp_path / "box").mkdir()
    (tmp_path / "c.yaml").write_text(GATEWAY.format(folder="box"), encoding="utf-8")
    async with running(tmp_path / "c.yaml") as gateway, aiohttp.ClientSession() as client:
        addresses, sent = gateway.addresses(), asyncio.Event()
        gateway.engine.events.subscribe(lambda event: sent.set() if isinstance(event, Attempted) else None)
        statuses: dict[str, Any] = {}
        for name, body in (("public", b"short"), ("partners", b"short"), ("partners", b"far too long")):
            async with client.post(f"{addresses[name]}/pipe/x", data=body) as answer:
                statuses[f"{name} {len(body)}"] = answer.status
        await asyncio.wait_for(sent.wait(), 30)
    assert [file.read_bytes() for file in (tmp_path / "box").glob("0*")] == [b"short"]
    assert statuses == {"public 5": 404, "partners 5": 202, "partners 12": 413}
