"""The HTTP client as a source: it asks again and again, and what is new becomes a message."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.http_client import HttpClient, HttpSubscription
from pipe.errors import PeerFailed, StoreUnavailable, Unreachable
from pipe.testing import FakeClock, FakeDoor, FakeDoors, FakeServices
from tests.adapters.http_bench import client
from tests.adapters.raw_server import RawServer, reply, serving


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A partner that answers 200 to everything."""
    async with serving(RawServer()) as running:
        yield running


def door(**keys: Any) -> FakeDoor:
    """A route's entrance that polls every ten seconds."""
    return FakeDoor(HttpSubscription.model_validate({"get": "/events", "every": "10s"} | keys))


@contextlib.asynccontextmanager
async def polling(server: RawServer, *doors: FakeDoor, **keys: Any) -> AsyncIterator[tuple[FakeClock, HttpClient]]:
    """A client that polls, and the clock that it sleeps by."""
    clock = FakeClock()
    async with client(server, FakeServices(clock), **keys) as partner:
        running = asyncio.create_task(partner.run(FakeDoors(*doors)))
        await clock.sleeping()
        try:
            yield clock, partner
        finally:
            running.cancel()
            await asyncio.wait([running])


async def next_poll(clock: FakeClock, seconds: float = 10) -> None:
    """Lets the time pass, and the poll that it brings end."""
    await clock.advance(seconds)
    await clock.sleeping()


@pytest.mark.key("from.http_client.get")
async def test_an_answer_becomes_a_message(server: RawServer) -> None:
    """Body, content type and headers as the partner sent them."""
    server.answers(reply(200, b'[{"id":1}]', Content_Type="application/json", X_Page="1"))
    mine = door()
    async with polling(server, mine):
        pass
    (arrival,) = mine.arrivals
    assert (arrival.body, arrival.content_type, arrival.headers["x_page"]) == (b'[{"id":1}]', "application/json", "1")


async def test_the_same_answer_is_taken_once(server: RawServer) -> None:
    """Without an ETag its hash says that it is the same."""
    server.answers(reply(200, b"one"), reply(200, b"one"), reply(200, b"two"))
    mine = door()
    async with polling(server, mine) as (clock, _):
        await next_poll(clock)
        await next_poll(clock)
    assert (len(server.requests), mine.bodies) == (3, [b"one", b"two"])


async def test_an_etag_spares_the_body(server: RawServer) -> None:
    """It is sent back, but only once the message is safe; 304 brings nothing."""
    server.answers(reply(200, b"one", ETag='"1"'), reply(304))
    mine = door()
    mine.refusals = [StoreUnavailable()]
    async with polling(server, mine) as (clock, _):
        server.answers(reply(200, b"one", ETag='"1"'), reply(304))
        await next_poll(clock)
        await next_poll(clock)
    assert [request.headers.get("if-none-match") for request in server.requests] == [None, None, '"1"']
    assert mine.bodies == [b"one"]


async def test_nothing_new_is_no_message(server: RawServer) -> None:
    """204 is an answer, not a message."""
    server.answers(reply(204))
    mine = door()
    async with polling(server, mine):
        pass
    assert mine.asked == 0


@pytest.mark.key("from.http_client.every")
async def test_each_route_has_its_own_pace(server: RawServer) -> None:
    """`every` counts for each door apart."""
    slow = FakeDoor(HttpSubscription.model_validate({"get": "/slow", "every": "30s"}), route="slow")
    async with polling(server, door(), slow) as (clock, _):
        for _ in range(3):
            await next_poll(clock)
    assert [request.target for request in server.requests] == [
        "/events",
        "/slow",
        "/events",
        "/events",
        "/events",
        "/slow",
    ]


async def test_what_the_store_refuses_comes_again(server: RawServer) -> None:
    """Not accepted is not remembered."""
    server.answers(reply(200, b"one"))
    mine = door()
    mine.refusals = [StoreUnavailable()]
    async with polling(server, mine) as (clock, _):
        await next_poll(clock)
    assert mine.bodies == [b"one"]


async def test_a_busy_partner_gets_its_pause(server: RawServer) -> None:
    """`Retry-After` holds polling up, and the source stays up."""
    server.answers(reply(429, b"", Retry_After="100"), reply(200, b"one"))
    mine = door()
    async with polling(server, mine) as (clock, _):
        await clock.advance(99)
        assert len(server.requests) == 1
        await next_poll(clock, 11)
    assert mine.bodies == [b"one"]


async def test_a_partner_in_trouble_ends_the_source(server: RawServer) -> None:
    """The supervisor decides when it is tried again."""
    server.answers(reply(502))
    async with client(server) as partner:
        with pytest.raises(PeerFailed):
            await partner.run(FakeDoors(door()))


async def test_a_partner_that_is_gone_ends_the_source() -> None:
    """As a named error."""
    async with serving(RawServer()) as gone:
        pass
    async with client(gone) as partner:
        with pytest.raises(Unreachable):
            await partner.run(FakeDoors(door()))


async def test_a_new_route_is_polled_at_once(server: RawServer) -> None:
    """A reload needs no waiting for the next turn of another route."""
    clock, doors = FakeClock(), FakeDoors(door(every="1h"))
    async with client(server, FakeServices(clock)) as partner:
        running = asyncio.create_task(partner.run(doors))
        await clock.sleeping()
        new = FakeDoor(HttpSubscription.model_validate({"get": "/new"}), route="new")
        await doors.replace([new])
        await new.arrived()
        running.cancel()
        await asyncio.wait([running])
    assert [request.target for request in server.requests] == ["/events", "/new"]


@pytest.mark.key("from.http_client.headers")
async def test_subscribed_headers_and_credentials_are_sent(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll is a request like any other."""
    monkeypatch.setenv("SECRET", "s3cret")
    async with polling(server, door(headers={"X-Feed": "a"}), auth={"bearer": "${env:SECRET}"}):
        pass
    assert server.requests[0].headers["x-feed"] == "a"
    assert server.requests[0].headers["authorization"] == "Bearer s3cret"
