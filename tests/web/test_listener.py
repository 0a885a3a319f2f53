"""Listeners against raw sockets: who answers, many requests on one connection, proxies, who may be there."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from pipe.config.models import Listener, Tls
from pipe.errors import ConfigError, StoreFull
from tests.web.listening import GET, QUICK, echo, get, listening, saying
from tests.web.loops import request_loop
from tests.web.raw_http import connected, exchange, read_reply
from web.limits import HttpLimits
from web.listener import Listeners, is_loopback, refuse_open_staff

__all__ = ["request_loop"]

# --- who answers ---------------------------------------------------------------------------------------------------


async def test_longest_prefix_wins_by_whole_segments() -> None:
    """`/pipe` serves `/pipe/x` and never `/piper`."""
    async with listening() as (listeners, address):
        listeners.mount(None, "/pipe", saying("pipe"))
        listeners.mount(None, "/pipe/messages/", saying("messages"))
        paths = "/pipe", "/pipe/a/b", "/pipe/messages", "/pipe/messages/1", "/piper", "/", "/%70ipe"
        assert [await get(address, path) for path in paths] == [
            "pipe", "pipe", "messages", "messages", "404", "404", "404",
        ]  # fmt: skip


async def test_root_prefix_serves_what_nothing_else_does() -> None:
    """An empty prefix is the last resort."""
    async with listening() as (listeners, address):
        listeners.mount(None, "/", saying("root"))
        assert [await get(address, path) for path in ("/", "/a/b")] == ["root", "root"]


async def test_second_mount_replaces_the_first_whose_unmount_is_then_harmless() -> None:
    """A reload mounts anew before the old adapter closes."""
    async with listening() as (listeners, address):
        first = listeners.mount(None, "/a", saying("first"))
        second = listeners.mount(None, "/a", saying("second"))
        first()
        assert await get(address, "/a") == "second"
        second()
        second()
        assert await get(address, "/a") == "404"


async def test_unknown_listener_is_named() -> None:
    """A connection that asks for a listener that is not there learns which there are."""
    async with listening() as (listeners, _):
        with pytest.raises(ConfigError, match=r"`staff`.*public"):
            listeners.mount("staff", "/a", echo)


async def test_address_in_use_is_a_config_error() -> None:
    """The message names the address; nothing stays bound."""
    async with listening() as (_, (host, port)):
        others = Listeners({"a": Listener(address="127.0.0.1:0"), "b": Listener(address=f"{host}:{port}")})
        with pytest.raises(ConfigError, match=f"{host}:{port}"):
            await others.start()
        assert others.addresses() == {}


@pytest.mark.parametrize(
    "error", [StoreFull("/var/lib/pipe is full"), RuntimeError("/etc/secret"), web.HTTPForbidden()]
)
async def test_every_failure_is_a_problem_that_hides_the_inside(error: Exception) -> None:
    """Whatever a handler raises, the caller gets RFC 9457 JSON without paths and traces."""

    async def failing(request: web.Request) -> web.StreamResponse:
        raise error

    async with listening() as (listeners, address):
        listeners.mount(None, "/fail", failing)
        reply = await exchange(address, b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reply.headers["content-type"] == "application/problem+json"
    assert set(reply.json) == {"type", "title", "status", "code", "detail", "hint"}
    assert reply.json["status"] == reply.status
    assert b"/etc" not in reply.body
    assert b"/var" not in reply.body
    assert "x-pipe-error" in reply.headers
    assert "server" not in reply.headers


async def test_stop_lets_requests_in_progress_end() -> None:
    """New connections are refused at once, the running answer still arrives."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        begun.set()
        await go.wait()
        return web.Response(text="done")

    async with listening() as (listeners, address):
        listeners.mount(None, "/slow", slow)
        asking = asyncio.create_task(get(address, "/slow"))
        await begun.wait()
        stopping = asyncio.create_task(listeners.stop(grace=2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        go.set()
        assert await asking == "done"
        await stopping


# --- one connection, many requests -----------------------------------------------------------------------------------


async def test_garbage_after_a_good_request_gets_400() -> None:
    """And the end of the connection."""
    async with listening() as (_, address), connected(address) as (reader, writer):
        writer.write(GET)
        first = await read_reply(reader, 0.001)
        writer.write(b"NOT HTTP\r\n\r\n")
        second = await read_reply(reader)
    assert [(reply.status, reply.closed) for reply in (first, second)] == [(200, False), (400, True)]


async def test_an_upgrade_that_nobody_takes_is_an_ordinary_request() -> None:
    """So is what follows it."""
    upgrade = GET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    async with asyncio.timeout(30), listening() as (_, address), connected(address) as (reader, writer):
        writer.write(GET + upgrade + GET + upgrade + GET)
        statuses = [(await read_reply(reader, 0.001)).status for _ in range(5)]
    assert statuses == [200] * 5


async def test_more_requests_at_once_than_are_kept_are_all_answered() -> None:
    """Reading pauses while 32 wait, and goes on."""
    async with asyncio.timeout(30), listening() as (_, address), connected(address) as (reader, writer):
        writer.write(GET * 200)
        statuses = [(await read_reply(reader, 0)).status for _ in range(200)]
    assert statuses == [200] * 200


async def test_a_body_that_nobody_wanted_does_not_pose_as_a_request() -> None:
    """It is read away behind the answer, and the connection serves on."""
    post = b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(GET)
    async with listening() as (listeners, address), connected(address) as (reader, writer):
        listeners.mount(None, "/hello", saying("hello"))
        writer.write(post)
        first = await read_reply(reader, 0.001)
        writer.write(GET)
        writer.write(GET.replace(b"/echo", b"/hello"))
        second = await read_reply(reader, 0.001)
    assert (first.body, second.body) == (b"hello", b"hello")


async def test_a_body_that_nobody_wanted_and_that_does_not_come_ends_the_connection() -> None:
    """After the time for it; the answer is there long before."""
    post = b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    async with listening(limits=QUICK) as (listeners, address), connected(address) as (reader, writer):
        listeners.mount(None, "/hello", saying("hello"))
        writer.write(post)
        reply = await read_reply(reader, 5)
    assert (reply.status, reply.closed) == (200, True)


async def test_a_connection_that_rests_too_long_is_closed() -> None:
    """Not before its request is answered, however long that takes."""
    async with (
        listening(limits=HttpLimits(keep_alive=0.2)) as (listeners, address),
        connected(address) as (reader, writer),
    ):

        async def long(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(0.5)
            return web.Response()

        listeners.mount(None, "/long", long)
        writer.write(GET.replace(b"/echo", b"/long"))
        reply = await read_reply(reader, 5)
    assert (reply.status, reply.closed) == (200, True)


async def test_a_connection_that_is_used_now_and_then_stays() -> None:
    """The rest is counted from the last answer, not from the first."""
    limits = HttpLimits(keep_alive=0.6)
    async with listening(limits=limits) as (_, address), connected(address) as (reader, writer):
        for _ in range(8):
            writer.write(GET)
            reply = await read_reply(reader, 0.15)
            assert (reply.status, reply.closed) == (200, False)


async def test_a_peer_that_leaves_does_not_cancel_its_request() -> None:
    """What a handler has begun it ends: the message may be stored already."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        begun.set()
        await asyncio.sleep(0.1)
        ended.set()
        return web.Response()

    async with listening() as (listeners, address):
        listeners.mount(None, "/slow", handler)
        async with connected(address) as (_, writer):
            writer.write(GET.replace(b"/echo", b"/slow"))
            await begun.wait()
        async with asyncio.timeout(30):
            await ended.wait()


# --- proxies ---


@pytest.mark.key("listeners.trusted_proxies")
@pytest.mark.parametrize(
    ("trusted", "forwarded", "expected"),
    [
        ([], "203.0.113.9", ("127.0.0.1", "http")),
        (["127.0.0.0/8"], "203.0.113.9", ("203.0.113.9", "https")),
        (["127.0.0.0/8"], "6.6.6.6, 203.0.113.9", ("203.0.113.9", "https")),
        (["127.0.0.0/8", "10.0.0.0/8"], "6.6.6.6, 203.0.113.9, 10.1.1.1", ("203.0.113.9", "https")),
        (["127.0.0.0/8"], "", ("127.0.0.1", "https")),
        (["10.0.0.0/8"], "203.0.113.9", ("127.0.0.1", "http")),
    ],
)
async def test_forwarded_address_is_believed_of_trusted_proxies_only(
    trusted: list[str], forwarded: str, expected: tuple[str, str]
) -> None:
    """The client is the last hop that is not a trusted proxy; what it claims before that is nothing."""
    listener = Listener(address="127.0.0.1:0", trusted_proxies=trusted)
    async with listening(listener) as (_, address):
        head = f"GET /echo HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {forwarded}\r\nX-Forwarded-Proto: https\r\n\r\n"
        told = (await exchange(address, head.encode())).json
    assert (told["remote"], told["scheme"]) == expected


# --- who may be there ---


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1:1", True), ("[::1]:1", True), ("localhost:1", True), ("127.9.9.9:1", True), ("0.0.0.0:1", False),
     (":1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("gw.example:1", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_open_network(address: str, expected: bool) -> None:
    """What is not certainly this machine alone is open."""
    assert is_loopback(address) is expected


@pytest.mark.parametrize("address", ["8080", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:"])
def test_bad_address_is_named(address: str) -> None:
    """A mistake in `address:` says what it should look like."""
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:8080"):
        is_loopback(address)


@pytest.mark.key("listeners.behind_proxy")
def test_staff_listener_on_the_open_network_needs_tls_or_a_proxy() -> None:
    """Passwords of staff never cross a network in clear."""
    tls = Tls(cert="c", key="k")
    refuse_open_staff("staff", Listener(address="127.0.0.1:1"))
    refuse_open_staff("staff", Listener(address="0.0.0.0:1", tls=tls))
    refuse_open_staff("staff", Listener(address="0.0.0.0:1", behind_proxy=True))
    with pytest.raises(ConfigError, match="staff"):
        refuse_open_staff("staff", Listener(address="0.0.0.0:1"))


def test_secured_means_loopback_or_client_certificates() -> None:
    """Only there may `auth:` be left out."""
    tls = Tls(cert="c", key="k")
    listeners = Listeners({
        "local": Listener(address="127.0.0.1:1"),
        "open": Listener(address="0.0.0.0:1", tls=tls),
        "mutual": Listener(address="0.0.0.0:2", tls=tls.model_copy(update={"client_ca": "ca"})),
    })  # fmt: skip
    assert [listeners.secured(name) for name in ("local", "open", "mutual", None)] == [True, False, True, True]
