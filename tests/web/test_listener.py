"""Listeners against raw sockets: what a peer may do, and what it gets when it does otherwise."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from pipe.config.models import Listener, Tls
from pipe.errors import ConfigError, StoreFull
from tests.web.loops import request_loop
from tests.web.raw_http import connected, exchange, read_reply
from web.limits import HttpLimits
from web.listener import Listeners, is_loopback, refuse_open_staff

__all__ = ["request_loop"]

QUICK = HttpLimits(header_seconds=0.4, body_window=0.4, tick=0.05, linger=0.2, keep_alive=5)
GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"


async def echo(request: web.Request) -> web.StreamResponse:
    """Tells what came."""
    body = await request.read()
    return web.json_response({"remote": request.remote, "scheme": request.scheme, "size": len(body)})


@asynccontextmanager
async def listening(
    listener: Listener | None = None, limits: HttpLimits | None = None
) -> AsyncIterator[tuple[Listeners, tuple[str, int]]]:
    """Listeners with the echo, and their address."""
    listeners = Listeners({"public": listener or Listener(address="127.0.0.1:0")}, limits=limits)
    listeners.mount(None, "/echo", echo)
    await listeners.start()
    try:
        yield listeners, listeners.addresses()["public"]
    finally:
        await listeners.stop(grace=1)


def saying(text: str) -> Any:
    """A handler that says the text."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text)

    return handler


async def get(address: tuple[str, int], path: str) -> str:
    """The text at the path, or the status where it is not 200."""
    reply = await exchange(address, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return reply.body.decode() if reply.status == 200 else str(reply.status)


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


# --- well-made requests only -----------------------------------------------------------------------------------------

SMUGGLING = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, other order": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": b"Content-Length: 5, 5\r\n\r\nhello",
    "signed length": b"Content-Length: +5\r\n\r\nhello",
    "negative length": b"Content-Length: -5\r\n\r\nhello",
    "hexadecimal length": b"Content-Length: 0x5\r\n\r\nhello",
    "two encodings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, gzip": b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "unknown encoding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "blank before colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded field": b"X-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    "folded length": b"Content-Length:\r\n 5\r\n\r\nhello",
    "bare CR": b"X-A: 1\rX-B: 2\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"X-A: 1\nX-B: 2\r\nContent-Length: 0\r\n\r\n",
    "NUL": b"X-A: 1\x002\r\nContent-Length: 0\r\n\r\n",
    "no name": b": 1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": b"Host: y\r\nContent-Length: 0\r\n\r\n",
    "chunk size with sign": b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "chunk size too large": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "chunk without its end": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("attack", SMUGGLING.values(), ids=SMUGGLING.keys())
async def test_ambiguous_request_gets_400_and_the_connection_closes(attack: bytes) -> None:
    """Nothing after it is ever taken for a second request."""
    second = b"GET /echo?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    async with listening() as (_, address):
        reply = await exchange(address, b"POST /echo HTTP/1.1\r\nHost: x\r\n" + attack + second)
    assert (reply.status, reply.closed) == (400, True)
    assert (reply.headers["content-type"], reply.json["code"]) == ("application/problem+json", "PIPE-5006")


@pytest.mark.parametrize(
    "line", [b"GET /echo HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n",
             b"GET /echo HTTP/9.9\r\nHost: x\r\n\r\n", b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n"],
)  # fmt: skip
async def test_garbled_request_line_gets_400(line: bytes) -> None:
    """Also a TLS hello on a plain port, and a request without a host."""
    async with listening() as (_, address):
        reply = await exchange(address, line)
    assert (reply.status, reply.closed, reply.json["code"]) == (400, True, "PIPE-5006")


@pytest.mark.parametrize(("signs", "status"), [(2000, 200), (2001, 414), (9000, 414)])
async def test_url_has_a_limit(signs: int, status: int) -> None:
    """2,000 signs are served, one more is 414."""
    path = b"/echo?".ljust(signs, b"x")
    async with listening() as (_, address):
        reply = await exchange(address, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reply.status == status


@pytest.mark.parametrize(("size", "status"), [(16 * 1024, 200), (16 * 1024 + 1, 431), (60_000, 431), (200_000, 431)])
async def test_header_has_a_limit(size: int, status: int) -> None:
    """16 KiB of fields are served, one byte more is 431, and nobody has to send the whole of it."""
    fields = b"Host: x\r\n"
    for number in range(3):
        name = b"X-%d: " % number
        fields += name + b"v" * ((size - len(fields)) // (3 - number) - len(name) - 2) + b"\r\n"
    assert len(fields) == size
    async with listening() as (_, address):
        reply = await exchange(address, b"GET /echo HTTP/1.1\r\n" + fields + b"\r\n")
    assert reply.status == status


@pytest.mark.parametrize(("fields", "status"), [(128, 200), (129, 431)])
async def test_number_of_fields_has_a_limit(fields: int, status: int) -> None:
    """128 are served, one more is 431."""
    head = b"GET /echo HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * (fields - 1)
    async with listening() as (_, address):
        reply = await exchange(address, head + b"\r\n")
    assert reply.status == status


async def test_only_its_own_header_counts_for_a_request() -> None:
    """On one connection: a body of 100 KB in pieces, then many requests whose headers come in pieces."""
    async with listening() as (_, address), connected(address) as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(10):
            writer.write(b"x" * 10_000)
            await writer.drain()
            await asyncio.sleep(0.001)
        assert (await read_reply(reader, 0.01)).json["size"] == 100_000
        for _ in range(20):
            writer.write(b"GET /echo HTTP/1.1\r\nX-A: " + b"x" * 1000)
            await asyncio.sleep(0.01)
            writer.write(b"\r\nHost: x\r\n\r\n")
            assert (await read_reply(reader, 0.001)).status == 200


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
    async with asyncio.timeout(10), listening() as (_, address), connected(address) as (reader, writer):
        writer.write(GET + upgrade + GET + upgrade + GET)
        statuses = [(await read_reply(reader, 0.001)).status for _ in range(5)]
    assert statuses == [200] * 5


async def test_more_requests_at_once_than_are_kept_are_all_answered() -> None:
    """Reading pauses while 32 wait, and goes on."""
    async with asyncio.timeout(10), listening() as (_, address), connected(address) as (reader, writer):
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
        async with asyncio.timeout(5):
            await ended.wait()


# --- slow peers ---


@pytest.mark.parametrize("sent", [b"", b"GET /ec", b"GET /echo HTTP/1.1\r\nHost: x\r\nX-A: "])
async def test_header_that_does_not_end_is_cut_off(sent: bytes) -> None:
    """Slow-loris gets 408 after the header's time and holds nothing any longer."""
    async with listening(limits=QUICK) as (_, address):
        reply = await exchange(address, sent)
    assert (reply.status, reply.closed, reply.json["code"]) == (408, True, "PIPE-5007")


async def test_trickling_header_is_cut_off_although_it_never_rests() -> None:
    """The time runs from the first byte, not from the last."""
    async with listening(limits=QUICK) as (_, address), connected(address) as (reader, writer):
        writer.write(GET)
        assert (await read_reply(reader, 0.01)).status == 200
        began = asyncio.get_running_loop().time()
        trickling = asyncio.create_task(trickle(writer, b"GET /echo HTTP/1.1\r\n" + b"X: y\r\n" * 100))
        assert (await read_reply(reader)).status == 408
        assert asyncio.get_running_loop().time() - began < 2
        trickling.cancel()


async def trickle(writer: asyncio.StreamWriter, text: bytes) -> None:
    """Sends one sign every 20 ms."""
    for sign in text:
        writer.write(bytes([sign]))
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"]
)
async def test_body_that_trickles_is_cut_off(framing: bytes) -> None:
    """Below 1 KiB a second the body is given up with 408."""
    async with listening(limits=QUICK) as (_, address):
        reply = await exchange(address, b"POST /echo HTTP/1.1\r\nHost: x\r\n" + framing)
    assert (reply.status, reply.closed, reply.json["code"]) == (408, True, "PIPE-5007")


async def test_body_that_is_slow_but_steady_is_taken() -> None:
    """A client on a bad line that keeps above 1 KiB a second is served, however long it takes."""
    async with listening(limits=QUICK) as (_, address), connected(address) as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 15000\r\n\r\n")
        for _ in range(15):
            writer.write(b"x" * 1000)
            await asyncio.sleep(0.1)
        assert (await read_reply(reader)).json["size"] == 15000


async def test_slow_handler_is_not_taken_for_a_slow_peer() -> None:
    """An answer may take longer than a header: a long poll, a call to a partner."""

    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(1)
        return web.Response(text="late")

    async with listening(limits=QUICK) as (listeners, address):
        listeners.mount(None, "/slow", slow)
        assert await get(address, "/slow") == "late"


async def test_peer_that_does_not_read_its_answer_is_given_up() -> None:
    """Neither memory nor a handler waits for it for ever."""
    ended = asyncio.Event()

    async def generous(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        try:
            await response.prepare(request)
            while True:
                await response.write(bytes(1 << 16))
        finally:
            ended.set()

    async with listening(limits=QUICK) as (listeners, address), connected(address) as (_, writer):
        listeners.mount(None, "/much", generous)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(5):
            await ended.wait()


async def test_idle_connections_make_room_for_a_new_one() -> None:
    """Connections that ask nothing cannot lock their own address out, and no address has more than its cap."""
    async with (
        listening(limits=HttpLimits(per_address=5)) as (_, address),
        AsyncExitStack() as stack,
    ):
        idle = [await stack.enter_async_context(connected(address)) for _ in range(20)]
        assert (await exchange(address, GET)).status == 200
        await asyncio.sleep(0.05)
        assert sum(reader.at_eof() for reader, _ in idle) == 16


async def test_busy_connections_are_not_thrown_out() -> None:
    """Where every connection of an address is at work, the new one is refused."""
    go = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await go.wait()
        return web.Response(text="done")

    async with listening(limits=HttpLimits(per_address=2)) as (listeners, address):
        listeners.mount(None, "/slow", slow)
        asking = [asyncio.create_task(get(address, "/slow")) for _ in range(2)]
        await asyncio.sleep(0.05)
        reply = await exchange(address, b"")
        assert (reply.status, reply.json["code"], reply.closed) == (503, "PIPE-5010", True)
        go.set()
        assert await asyncio.gather(*asking) == ["done", "done"]


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


# --- TLS ---


def write_certificate(ca: trustme.CA, folder: Path, name: str = "localhost") -> Tls:
    """A fresh certificate and its key, in the files that a listener reads."""
    certificate = ca.issue_cert(name)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return Tls(cert=str(folder / "cert.pem"), key=str(folder / "key.pem"))


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    """A client's side."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def serial_of(address: tuple[str, int], context: ssl.SSLContext) -> str:
    """Which certificate the listener shows."""
    async with connected(address, context) as (_, writer):
        return str(writer.get_extra_info("peercert")["serialNumber"])


@pytest.mark.key("listeners.tls", "listeners.tls.cert", "listeners.tls.key")
async def test_renewed_certificate_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    """New connections get the new certificate; one that stands goes on; a broken pair of files changes nothing."""
    ca = trustme.CA()
    tls = write_certificate(ca, tmp_path)
    async with listening(Listener(address="127.0.0.1:0", tls=tls), HttpLimits(tick=0.05)) as (_, address):
        before = await serial_of(address, trusting(ca))
        async with connected(address, trusting(ca)) as (reader, writer):
            (tmp_path / "key.pem").write_text("half a key")
            await asyncio.sleep(0.3)
            assert await serial_of(address, trusting(ca)) == before
            write_certificate(ca, tmp_path)
            await asyncio.sleep(0.5)
            assert await serial_of(address, trusting(ca)) != before
            writer.write(GET)
            assert (await read_reply(reader, 0.01)).status == 200


async def test_old_tls_is_refused(tmp_path: Path) -> None:
    """Nothing below TLS 1.2 gets through the handshake."""
    ca = trustme.CA()
    old = trusting(ca)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    async with listening(Listener(address="127.0.0.1:0", tls=write_certificate(ca, tmp_path))) as (_, address):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await serial_of(address, old)
        assert await serial_of(address, trusting(ca))


@pytest.mark.key("listeners.tls.client_ca")
async def test_listener_with_client_ca_demands_a_certificate_of_it(tmp_path: Path) -> None:
    """Without one, or with one of somebody else, no request gets in."""
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = write_certificate(ca, tmp_path).model_copy(update={"client_ca": str(tmp_path / "ca.pem")})
    async with listening(Listener(address="127.0.0.1:0", tls=tls)) as (_, (_, port)):
        url = f"https://localhost:{port}/echo"
        right, wrong = trusting(ca), trusting(ca)
        ca.issue_cert("partner.example").configure_cert(right)
        other.issue_cert("partner.example").configure_cert(wrong)
        async with aiohttp.ClientSession() as client:
            async with client.get(url, ssl=right) as reply:
                assert reply.status == 200
            for context in (wrong, trusting(ca)):
                with pytest.raises(aiohttp.ClientError):
                    await client.get(url, ssl=context)


async def test_missing_certificate_is_a_config_error(tmp_path: Path) -> None:
    """The gateway says which files it could not use."""
    tls = Tls(cert=str(tmp_path / "c"), key=str(tmp_path / "k"))
    listeners = Listeners({"a": Listener(address="127.0.0.1:0", tls=tls)})
    with pytest.raises(ConfigError, match="certificate files"):
        await listeners.start()


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
