"""What is a plain request, and what is left to aiohttp."""

from __future__ import annotations

import asyncio

import pytest

from tests.adapters.http_server_gateway import FakeDoor, gateway
from tests.web.raw_http import connected, read_reply
from web import plain
from web.connection import Connection
from web.limits import HttpLimits

HEAD = b"POST /pipe/a HTTP/1.1\r\nHost: here\r\nX-Key: 7\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"


def test_a_plain_request_is_read_whole() -> None:
    """Method, path, fields in any spelling, body; what belongs to the hop is no field."""
    request = plain.read(WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: Keep-Alive\r\n\r\n"))
    assert isinstance(request, plain.Plain)
    assert (request.method, request.raw_path, request.body) == ("POST", "/pipe/a", b"{}")
    assert dict(request.headers) == {"host": "here", "x_key": "7", "content_type": "application/json"}
    assert request.headers.get("Content-Type") == "application/json"
    assert "x-key" in request.headers
    assert request.headers.get("Authorization", "none") == "none"
    assert (request.headers.getall("X-Key"), request.headers.getall("X-Other")) == (["7"], ())


@pytest.mark.parametrize(
    "data",
    [
        WHOLE[:30],
        WHOLE + b"POST",
        WHOLE.replace(b"POST", b"GET"),
        WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        WHOLE.replace(b"/pipe/a", b"/pipe/a?key=1"),
        WHOLE.replace(b"/pipe/a", b"/pipe/%61"),
        WHOLE.replace(b"/pipe/a", b"/pipe//a"),
        WHOLE.replace(b"/pipe/a", b"/pipe/../a"),
        WHOLE.replace(b"/pipe/a", b"http://here/pipe/a"),
        WHOLE.replace(b"Host: here\r\n", b""),
        WHOLE.replace(b"Host: here", b"Host: here\r\nHost: there"),
        WHOLE.replace(b"X-Key: 7", b"X-Key: 7\r\nx-key: 8"),
        WHOLE.replace(b"X-Key: 7", b"X_Key: 7\r\n folded"),
        WHOLE.replace(b"X-Key: 7", b"X Key: 7"),
        WHOLE.replace(b"X-Key: 7", b"X-Key : 7"),
        WHOLE.replace(b"X-Key: 7", b"X-Key: \x007"),
        WHOLE.replace(b"X-Key: 7", b"X-Key: 7\n"),
        WHOLE.replace(b"X-Key: 7", "X-Key: ї".encode()),
        WHOLE.replace(b"X-Key: 7", b"Expect: 100-continue"),
        WHOLE.replace(b"X-Key: 7", b"Content-Encoding: gzip"),
        WHOLE.replace(b"X-Key: 7", b"Transfer-Encoding: chunked"),
        WHOLE.replace(b"X-Key: 7", b"Upgrade: websocket"),
        WHOLE.replace(b"X-Key: 7", b"Connection: close"),
        WHOLE.replace(b"X-Key: 7", b"Content-Length: 2"),
        WHOLE.replace(b"Length: 2", b"Length: +2"),
        WHOLE.replace(b"Length: 2", b"Length: 2, 2"),
        WHOLE.replace(b"Length: 2", b"Length: 70000"),
        HEAD + b"\r\n{}",
        WHOLE.replace(b"X-Key: 7", b"X-Key: " + b"7" * plain.LONGEST_HEAD),
    ],
)
def test_whatever_is_unusual_is_left_alone(data: bytes) -> None:
    """It is aiohttp's to take or to refuse."""
    assert plain.read(data) is None


def test_a_body_on_its_way_is_awaited() -> None:
    """Its header says how much is to come."""
    assert plain.read(WHOLE[:-1]) == plain.MORE


async def test_a_body_in_pieces_is_still_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many clients send header and body apart; aiohttp's parser never sees them."""
    monkeypatch.setattr(Connection, "_parse", None)
    door = FakeDoor("/a")
    async with gateway(door) as here, connected(here.address) as (reader, writer):
        for piece in (WHOLE[:-2], WHOLE[-2:-1], WHOLE[-1:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        assert (await read_reply(reader, notice=0)).status == 202
    assert door.arrival.body == b"{}"


async def test_a_body_that_is_late_goes_on_through_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was held is handed over, and nothing of it is lost or read twice."""
    monkeypatch.setattr("web.connection.HOLD_S", 0.01)
    handed_over = asyncio.Event()
    parse = Connection._parse

    def parsed(connection: Connection, data: bytes) -> None:
        handed_over.set()
        parse(connection, data)

    monkeypatch.setattr(Connection, "_parse", parsed)
    door = FakeDoor("/a")
    async with (
        gateway(door, limits=HttpLimits(tick=0.02)) as here,
        connected(here.address) as (reader, writer),
        asyncio.timeout(30),
    ):
        writer.write(WHOLE[:-1])
        await handed_over.wait()
        writer.write(WHOLE[-1:] + WHOLE)
        assert (await read_reply(reader, notice=0)).status == 202
        assert (await read_reply(reader, notice=0)).status == 202
    assert [arrival.body for arrival in door.arrivals] == [b"{}", b"{}"]


async def test_after_a_bare_header_requests_are_plain_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question about a message's fate does not make the connection slow for good."""
    read: list[object] = []
    whole = plain.read

    def noted(data: bytes) -> object:
        read.append(found := whole(data))
        return found

    monkeypatch.setattr(plain, "read", noted)
    async with gateway(FakeDoor("/a")) as here, connected(here.address) as (reader, writer):
        for data in (b"GET /pipe/none HTTP/1.1\r\nHost: here\r\n\r\n", WHOLE):
            writer.write(data)
            await read_reply(reader, notice=0)
    assert read[0] is None
    assert isinstance(read[1], plain.Plain)
