"""Listeners against raw sockets: well-made requests only, and none that are too large."""

from __future__ import annotations

import asyncio

import pytest

from tests.web.listening import listening
from tests.web.loops import request_loop
from tests.web.raw_http import connected, exchange, read_reply

__all__ = ["request_loop"]

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
