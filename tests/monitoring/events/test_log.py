"""The log of integration events: what is kept, in how many lines, and where else it goes."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitoring.events import MIGRATIONS, OPERATIONS, EventLog
from monitoring.events.line import Line
from pipe.contract import Health
from pipe.errors import PeerFailed, Refused, StoreFull
from pipe.events import Arrived
from tests.pipe.house import House
from tests.pipe.operations.hosts import host_of

HOUSE = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
  told: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    retry: {attempts: 2, first: 10s}
    to: {connection: out, put: x}
  listener:
    from: {events: [dead]}
    to: {connection: told, put: x}
"""


async def begin(house: House, text: str = HOUSE) -> EventLog:
    """A gateway whose log is written when the test says so."""
    house.migrations = MIGRATIONS
    await house.start(text)
    return EventLog(house.engine)


async def kept(house: House, **sought: Any) -> list[tuple[str, str, str, int]]:
    """Kind, subject, event and number of what is kept, in order."""
    rows = await OPERATIONS["events.list"](host_of(house), **sought)
    return [(row["kind"], row["subject"], row["event"], row["n"]) for row in reversed(rows)]


@pytest.mark.key("top.events", "events.which", "events.kept")
async def test_what_happened_is_kept_as_long_as_it_should_be(house: House) -> None:
    """What is alike within a second is one line; kinds that are not wanted are none; after a while it goes."""
    log = await begin(house, "events: {which: [connection, dead, refused], kept: 1d}" + HOUSE)
    house.partner("out").script = [PeerFailed("busy"), Refused("no such person")]
    await house.put("x")
    await house.done(1)
    house.engine.connections["out"].note(Health("down", "the partner sleeps, password=hunter22"))
    for _ in range(500):
        house.engine.events.tell(Arrived("r", "refused", "PIPE-3002", 0.001))
    await log.once()
    assert await kept(house) == [
        ("connection", "out", "up", 1),
        ("dead", "r", "dead", 1),
        ("connection", "out", "down", 1),
        ("refused", "r", "refused", 500),
    ]
    assert await kept(house, kind="refused") == [("refused", "r", "refused", 500)]
    assert await kept(house, subject="out", kind="connection") == [
        ("connection", "out", "up", 1),
        ("connection", "out", "down", 1),
    ]
    assert await kept(house, until=house.clock.now() - 60) == []
    [down, _] = await OPERATIONS["events.list"](host_of(house), subject="out")
    assert (down["code"], "hunter22" in down["text"]) == (None, False)
    await house.pass_time(90_000)
    await log.once()
    assert await kept(house) == []


@pytest.mark.key("from events.events")
async def test_a_route_hears_of_them_and_its_own_troubles_are_not_told_again(house: House) -> None:
    """Each is a message; a listener whose own messages die does not hear of that for ever."""
    log = await begin(house)
    house.partner("told").script = [Refused("full")]
    house.partner("out").script = [Refused("no such person")]
    accepted = await house.put("x")
    await house.reaches("dead")
    await log.once()
    await house.reaches("dead", "dead")
    body = orjson.loads(house.partner("told").asked[0].message.body)
    assert (body["kind"], body["subject"], body["message"]) == ("dead", "r", accepted.id)
    for _ in range(3):
        await log.once()
    assert len(await house.deliveries()) == 2
    assert await kept(house, kind="dead") == [("dead", "r", "dead", 1), ("dead", "listener", "dead", 1)]


async def test_what_the_store_refused_is_kept_for_the_next_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once."""
    log = await begin(house)
    log.note("gateway", "gateway", "started")

    async def full(unit: Any) -> None:
        raise StoreFull("no space")

    with monkeypatch.context() as patch:
        patch.setattr(house.store, "write", full)
        with pytest.raises(StoreFull):
            await log.once()
    await log.once()
    await log.once()
    assert await kept(house) == [("gateway", "gateway", "started", 1)]


@pytest.mark.key("events.file", "events.syslog")
async def test_they_go_into_a_file_and_to_a_syslog(house: House, tmp_path: Path) -> None:
    """A line of JSON each, also after somebody moved the file away; a datagram each, as RFC 5424 has it."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(30)
    places = f"events: {{file: events.jsonl, syslog: 'udp://127.0.0.1:{receiver.getsockname()[1]}'}}"
    log = await begin(house, places + HOUSE)
    file = house.folder / "events.jsonl"
    with receiver:
        for reason in ("first", "second\n<11>1 - forged"):
            house.engine.connections["out"].note(Health("down", reason))
            await log.once()
            [written] = file.read_bytes().splitlines()
            row = orjson.loads(written)
            assert (row["kind"], row["subject"], row["text"]) == ("connection", "out", reason)
            file.rename(tmp_path / f"{reason[:5]}.old")
            house.engine.connections["out"].note(Health("up"))
            heard = (await asyncio.to_thread(receiver.recv, 4096)).decode()
            assert re.fullmatch(
                rf"<132>1 \S+Z \S+ pipe \d+ connection - out down {reason.replace(chr(10), ' ')}", heard
            )
            log._lines.clear()
    log.note("gateway", "gateway", "stopping")
    file.mkdir()  # it cannot be written to: that is said, and nothing else suffers
    await log.once()
    assert (await kept(house))[-1] == ("gateway", "gateway", "stopping", 1)


def test_a_line_says_how_often() -> None:
    """Where it was more than once."""
    line = Line(0.0, "refused", "r", "refused", "PIPE-3002", n=7)
    assert line.syslog("h", 1) == b"<133>1 1970-01-01T00:00:00.000Z h pipe 1 refused - r refused PIPE-3002 (7 times)"
