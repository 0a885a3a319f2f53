"""Listeners against raw sockets: peers that are slow, silent or too many."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from tests.web.listening import GET, QUICK, get, listening
from tests.web.loops import request_loop
from tests.web.raw_http import connected, exchange, read_reply
from web.limits import HttpLimits

__all__ = ["request_loop"]


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
        async with asyncio.timeout(30):
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
