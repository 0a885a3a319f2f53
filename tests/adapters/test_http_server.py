"""The HTTP source against real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from adapters.http_keys import issue
from adapters.http_server import HttpServer, HttpServerConfig, HttpSubscription
from pipe.contract import Accepted, Arrival, Receipt
from pipe.errors import KeyReused, QueueFull, SchemaMismatch
from tests.adapters.http_server_gateway import ID, FakeDoor, gateway, serving
from tests.web.loops import request_loop
from tests.web.raw_http import connected, exchange

__all__ = ["request_loop"]


async def test_accepted_request_gets_202_with_id_and_address() -> None:
    """The caller learns the id of its message and where to ask for it."""
    async with (
        gateway(FakeDoor("/appeals")) as here,
        aiohttp.ClientSession() as client,
        client.post(here.url("/pipe/appeals"), data=b"{}") as reply,
    ):
        assert (reply.status, await reply.json()) == (202, {"id": ID, "status_url": f"/pipe/messages/{ID}"})
        assert reply.headers["Content-Type"] == "application/json"


async def test_arrival_carries_the_request_as_the_engine_expects_it() -> None:
    """Body as sent, lower_snake headers, decoded params and query, content type with its charset."""
    door = FakeDoor("/persons/{id}", ["PUT"])
    async with gateway(door) as here, aiohttp.ClientSession() as client:
        headers = {"Content-Type": "text/plain; charset=windows-1251", "Idempotency-Key": "k1"}
        await client.put(here.url("/pipe/persons/%D0%86%2F7?a=1&b=x%20y"), data=b"\xcf\xf0", headers=headers)
    arrival = door.arrival
    assert arrival.body == b"\xcf\xf0"
    assert (arrival.params, arrival.query) == ({"id": "І/7"}, {"a": "1", "b": "x y"})
    assert arrival.content_type == "text/plain; charset=windows-1251"
    assert arrival.headers["idempotency_key"] == "k1"
    assert arrival.fingerprint == "PUT /pipe/persons/%D0%86%2F7?a=1&b=x%20y"
    assert (arrival.caller, arrival.identity) == (None, None)


async def test_credentials_never_reach_the_arrival() -> None:
    """Authorization, Cookie and X-Api-Key stay outside, and so does a field that poses as another one."""
    door = FakeDoor("/a")
    async with gateway(door) as here:
        await exchange(
            here.address,
            b"POST /pipe/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s\r\nCookie: s\r\nX-Api-Key: s\r\n"
            b"X_Trace: s\r\nX-Trace: kept\r\nProxy-Authorization: s\r\nContent-Length: 0\r\n\r\n",
        )
    assert door.arrival.headers == {"host": "x", "x_trace": "kept"}


async def test_repeated_fields_are_joined_and_latin_1_is_readable() -> None:
    """Nothing of a header is lost, and no lone surrogate gets in."""
    door = FakeDoor("/a")
    async with gateway(door) as here:
        head = b"POST /pipe/a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-A: 2\r\nX-B: caf\xe9\r\nX-C: \xd1\x97\r\n"
        await exchange(here.address, head + b"Content-Length: 0\r\n\r\n")
    assert door.arrival.headers == {"host": "x", "x_a": "1, 2", "x_b": "café", "x_c": "ї"}


async def test_replayed_acceptance_says_so() -> None:
    """A repetition gets the same 202 and a header that tells it."""
    door = FakeDoor("/a", reply=Accepted(ID, replayed=True))
    async with gateway(door) as here, aiohttp.ClientSession() as client, client.post(here.url("/pipe/a")) as reply:
        assert (reply.status, reply.headers["Idempotent-Replayed"]) == (202, "true")


async def test_synchronous_route_answers_with_the_receipt() -> None:
    """Status, fields, type and bytes come from the route; what belongs to one hop or would break lines does not."""
    receipt = Receipt(
        201,
        {"x_ref": "7", "set_cookie": "s=1", "transfer_encoding": "chunked", "x_bad": "a\r\nb: c"},
        b"<a/>",
        "text/xml",
    )
    door = FakeDoor("/a", ["GET"], synchronous=True, reply=Accepted(ID, receipt))
    async with gateway(door) as here, aiohttp.ClientSession() as client, client.get(here.url("/pipe/a")) as reply:
        assert (reply.status, await reply.read(), reply.content_type) == (201, b"<a/>", "text/xml")
        assert (reply.headers["X-Ref"], reply.headers["X-Pipe-Message"]) == ("7", ID)
        assert {"Set-Cookie", "X-Bad", "B"}.isdisjoint(reply.headers)


@pytest.mark.parametrize(
    ("error", "status", "blame"),
    [
        (SchemaMismatch("phone: too short", path="/phone"), 422, "caller.schema_mismatch"),
        (KeyReused(), 422, "caller.key_reused"),
        (QueueFull(), 503, "gateway.queue_full"),
    ],
)
async def test_refusal_is_a_problem_with_blame(error: SchemaMismatch, status: int, blame: str) -> None:
    """What the door refuses reaches the caller with code, hint and whose fault it is."""
    async with (
        gateway(FakeDoor("/a", reply=error)) as here,
        aiohttp.ClientSession() as client,
        client.post(here.url("/pipe/a"), data=b"{}") as reply,
    ):
        told = await reply.json()
        assert (reply.status, reply.headers["X-Pipe-Error"]) == (status, blame)
        assert reply.content_type == "application/problem+json"
        assert (told["status"], told["code"], told["hint"]) == (status, error.code, error.hint)
        assert ("Retry-After" in reply.headers) == (status == 503)


@pytest.mark.key("from.http_server.path", "from.http_server.methods")
async def test_unknown_path_is_404_and_another_method_405_with_allow() -> None:
    """The caller learns which of the two it is."""
    doors = FakeDoor("/a"), FakeDoor("/a", ["GET"])
    async with gateway(*doors) as here, aiohttp.ClientSession() as client:
        async with client.post(here.url("/pipe/none")) as reply:
            assert (reply.status, (await reply.json())["code"]) == (404, "PIPE-5003")
        async with client.delete(here.url("/pipe/a")) as reply:
            assert (reply.status, reply.headers["Allow"]) == (405, "GET, OPTIONS, POST")
        async with client.options(here.url("/pipe/a")) as reply:
            assert (reply.status, reply.headers["Allow"]) == (204, "GET, OPTIONS, POST")
        async with client.head(here.url("/pipe/a")) as reply:
            assert reply.status == 405
    assert [door.arrivals for door in doors] == [[], []]


@pytest.mark.parametrize(
    "path", ["/a/../b", "/a//b", "/a/%2e%2e/b", "/a/./b", "/a/%00/b", "/a/%0d%0a/b", "/a/%ff/b", "/a/b/"]
)
async def test_paths_that_could_mean_something_else_are_refused(path: str) -> None:
    """Dot, empty and control segments never reach a route, however they are written."""
    door = FakeDoor("/{rest:path}")
    async with gateway(door) as here:
        reply = await exchange(
            here.address, f"POST /pipe{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
        )
    assert (reply.status, reply.json["code"], door.arrivals) == (400, "PIPE-5006", [])


async def test_literal_segment_wins_over_named_one_and_that_over_the_rest() -> None:
    """Overlapping patterns have one order, whatever the order of the routes."""
    doors = FakeDoor("/p/{rest:path}"), FakeDoor("/p/{id}"), FakeDoor("/p/me"), FakeDoor("/p/{id}/x")
    async with gateway(*doors) as here, aiohttp.ClientSession() as client:
        for path in ("/pipe/p/me", "/pipe/p/7", "/pipe/p/7/x", "/pipe/p/7/y"):
            await client.post(here.url(path))
    assert [door.arrival.params for door in doors] == [{"rest": "7/y"}, {"id": "7"}, {}, {"id": "7"}]


async def test_changed_doors_take_effect_in_one_step() -> None:
    """After a reload the new routes are served, and the old ones are not."""
    async with gateway(FakeDoor("/old")) as here, aiohttp.ClientSession() as client:
        here.doors.become(FakeDoor("/new"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        statuses = [(await client.post(here.url(path))).status for path in ("/pipe/old", "/pipe/new")]
    assert statuses == [404, 202]


async def test_two_connections_share_one_listener() -> None:
    """Each serves its own routes, with its own callers; one going leaves the other alone."""
    async with gateway(FakeDoor("/a")) as here, aiohttp.ClientSession() as client:
        async with serving(here.services, FakeDoor("/b"), name="others"):
            assert [(await client.post(here.url(path))).status for path in ("/pipe/a", "/pipe/b")] == [202, 202]
        assert [(await client.post(here.url(path))).status for path in ("/pipe/a", "/pipe/b")] == [202, 404]


async def test_stopped_source_serves_nothing() -> None:
    """After `run` is cancelled its addresses are gone, and closing twice is harmless."""
    async with gateway() as here:
        async with serving(here.services, FakeDoor("/b"), name="others") as (server, _):
            pass
        await server.close()
        async with aiohttp.ClientSession() as client, client.post(here.url("/pipe/b")) as reply:
            assert reply.status == 404


async def test_caller_that_hangs_up_cancels_nothing() -> None:
    """A synchronous call runs to its end although nobody waits for the answer."""
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(arrival: Arrival) -> Accepted:
        begun.set()
        await go.wait()
        done.set()
        return Accepted(ID, Receipt(200))

    async with gateway(FakeDoor("/a", synchronous=True, reply=slow)) as here:
        async with connected(here.address) as (_, writer):
            writer.write(b"POST /pipe/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            await begun.wait()
        await asyncio.sleep(0.05)
        go.set()
        async with asyncio.timeout(30):
            await done.wait()


async def test_listener_that_stops_cancels_no_call_to_a_partner() -> None:
    """When the grace is over the caller's connection goes; what it asked for runs to its end."""
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(arrival: Arrival) -> Accepted:
        begun.set()
        await go.wait()
        done.set()
        return Accepted(ID, Receipt(200))

    async with gateway(FakeDoor("/a", synchronous=True, reply=slow)) as here:
        async with connected(here.address) as (_, writer):
            writer.write(b"POST /pipe/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            await begun.wait()
            await here.services.listeners.stop(grace=0.05)
        go.set()
        async with asyncio.timeout(30):
            await done.wait()


async def test_story_is_told_to_the_caller_that_sent_the_message_only() -> None:
    """Anybody else gets 404, as for an id that never was."""
    async with gateway(FakeDoor("/a", route="a")) as here, aiohttp.ClientSession() as client:
        here.services.stories[ID, None] = {"id": ID, "route": "a", "state": "delivered"}
        async with client.get(here.url(f"/pipe/messages/{ID}")) as reply:
            assert (reply.status, (await reply.json())["state"]) == (200, "delivered")
        async with client.get(here.url("/pipe/messages/..%2Fx")) as reply:
            assert reply.status == 404
        async with client.post(here.url(f"/pipe/messages/{ID}")) as reply:
            assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_story_of_another_connection_is_not_told_to_a_caller_of_the_same_name(tmp_path: Path) -> None:
    """Names are the connection's own: `kyiv` here need not be `kyiv` there."""
    (one, one_line), (other, other_line) = issue("kyiv"), issue("kyiv")
    (tmp_path / "one").write_text(one_line)
    (tmp_path / "other").write_text(other_line)
    auths = [{"auth": {"api_keys": f"${{file:{tmp_path / name}}}"}} for name in ("one", "other")]
    async with gateway(FakeDoor("/a", route="a"), config=auths[0]) as here:
        here.services.stories[ID, "kyiv"] = {"id": ID, "route": "a", "state": "delivered"}
        async with serving(here.services, FakeDoor("/b", route="b"), config=auths[1], name="others"):
            ask = f"GET /pipe/messages/{ID} HTTP/1.1\r\nHost: x\r\nX-Api-Key: "
            statuses = [(await exchange(here.address, f"{ask}{key}\r\n\r\n".encode())).status for key in (one, other)]
    assert statuses == [200, 404]


async def test_nothing_of_a_defect_is_shown() -> None:
    """A handler that breaks gives 500 with a code, never a trace."""

    async def broken(arrival: Arrival) -> Accepted:
        raise RuntimeError("secret inside /etc/pipe")

    async with (
        gateway(FakeDoor("/a", reply=broken)) as here,
        aiohttp.ClientSession() as client,
        client.post(here.url("/pipe/a")) as reply,
    ):
        assert (reply.status, (await reply.json())["code"]) == (500, "PIPE-6003")
        assert "secret" not in await reply.text()
        assert "Traceback" not in await reply.text()


@pytest.mark.parametrize(
    "path",
    ["persons", "/persons//x", "/persons/{id", "/{a}/{a}", "/{rest:path}/x", "/a/../b", "/messages", "/messages/{id}"],
)
def test_bad_pattern_is_refused_with_its_text(path: str) -> None:
    """A mistake in `path:` is found when the configuration is read."""
    with pytest.raises(ValueError, match="path"):
        HttpSubscription(path=path)


def test_routes_collide_by_shape_and_method() -> None:
    """Names of segments make no difference, methods do."""
    one = HttpSubscription(path="/p/{id}")
    assert HttpServer.collides(one, HttpSubscription(path="/p/{number}"))
    assert not HttpServer.collides(one, HttpSubscription(path="/p/{id}", methods=["GET"]))
    assert not HttpServer.collides(one, HttpSubscription(path="/p/me"))


@pytest.mark.parametrize("auth", [{}, {"api_keys": "${env:A}", "mtls": {"names": ["a"]}}, "nobody", [], {"hmac": {}}])
def test_auth_names_exactly_one_way(auth: object) -> None:
    """Anything else is a mistake of the configuration."""
    with pytest.raises(ValueError, match="auth"):
        HttpServerConfig.model_validate({"type": "http_server", "auth": auth})
