"""Bodies against raw sockets: at the limit, past it, packed, broken off, and without an end."""

from __future__ import annotations

import asyncio
import gzip
import io
import random
import zlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http_body import Unpacker
from pipe.errors import PayloadError
from tests.adapters.http_server_gateway import FakeDoor, gateway
from tests.web.loops import request_loop
from tests.web.raw_http import connected, exchange, read_reply

__all__ = ["request_loop"]

MIB = 1 << 20
HEAD = b"POST /pipe/a HTTP/1.1\r\nHost: x\r\n"


def chunked(*pieces: bytes) -> bytes:
    """The pieces as chunks, with the end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 10 * MIB])
async def test_body_up_to_the_limit_arrives_whole(size: int) -> None:
    """The default of 10 MiB is met exactly, by length and in chunks."""
    door = FakeDoor("/a")
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with gateway(door) as here, aiohttp.ClientSession() as client:
        for data in (io.BytesIO(body), iterated(body)):
            async with client.post(here.url("/pipe/a"), data=data) as reply:
                assert reply.status == 202
    assert [arrival.body == body for arrival in door.arrivals] == [True, True]


async def iterated(body: bytes) -> AsyncIterator[bytes]:
    """The body in pieces, so that its length is not told."""
    for start in range(0, len(body), 100_000):
        yield body[start : start + 100_000]


async def test_one_byte_past_the_limit_is_refused_before_it_is_read() -> None:
    """The length alone decides; the client need not send the body to learn it."""
    door = FakeDoor("/a")
    async with gateway(door) as here:
        reply = await exchange(here.address, HEAD + b"Content-Length: %d\r\n\r\n" % (10 * MIB + 1))
    assert (reply.status, reply.json["code"], reply.headers["x-pipe-error"]) == (413, "PIPE-3003", "caller.too_large")
    assert (door.arrivals, reply.headers["connection"]) == ([], "close")


async def test_endless_chunks_are_cut_at_the_limit() -> None:
    """Without a length the body is counted, and no more of it is kept than the limit and a piece."""
    door = FakeDoor("/a", max_body=100_000)
    async with gateway(door) as here:
        async with connected(here.address) as (reader, writer):
            writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            pouring = asyncio.create_task(pour(writer))
            reply = await read_reply(reader)
            pouring.cancel()
        assert (reply.status, reply.json["code"], door.arrivals) == (413, "PIPE-3003", [])
        assert here.services.spools[0].largest < 100_000 + 600_000
        assert here.services.spools[0]._body == b""


async def pour(writer: asyncio.StreamWriter) -> None:
    """Chunks without end."""
    while True:
        writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"])
async def test_body_that_breaks_off_is_never_accepted(framing: bytes) -> None:
    """Half a message is no message."""
    door = FakeDoor("/a")
    async with gateway(door) as here:
        async with connected(here.address) as (_, writer):
            writer.write(HEAD + framing)
            await writer.drain()
        await asyncio.sleep(0.05)
        assert (await exchange(here.address, HEAD + b"Content-Length: 0\r\n\r\n")).status == 202
    assert len(door.arrivals) == 1


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("x-gzip", gzip.compress(b"hello", mtime=0)),
        ("GZIP", gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo", mtime=0)),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", zlib.compress(b"hello", wbits=-15)),
        ("identity", b"hello"),
    ],
)
async def test_packed_body_arrives_unpacked(encoding: str, packed: bytes) -> None:
    """One layer of gzip or deflate; the arrival no longer says that it was packed."""
    door = FakeDoor("/a")
    async with (
        gateway(door) as here,
        aiohttp.ClientSession() as client,
        client.post(here.url("/pipe/a"), data=packed, headers={"Content-Encoding": encoding}) as reply,
    ):
        assert reply.status == 202
    assert door.arrival.body == b"hello"
    assert "content_encoding" not in door.arrival.headers


@pytest.mark.parametrize(
    ("encoding", "packed", "status", "code"),
    [
        ("br", b"x", 415, "PIPE-3002"),
        ("zstd", b"x", 415, "PIPE-3002"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x", mtime=0), mtime=0), 415, "PIPE-3002"),
        ("gzip", b"not gzip", 400, "PIPE-3001"),
        ("gzip", gzip.compress(b"x" * 100, mtime=0)[:-9], 400, "PIPE-3001"),
        ("gzip", gzip.compress(b"x", mtime=0) + b"tail", 400, "PIPE-3001"),
        ("deflate", zlib.compress(b"x") + b"tail", 400, "PIPE-3001"),
        ("gzip", b"", 400, "PIPE-3001"),
        ("gzip", gzip.compress(bytes(10 * MIB)), 413, "PIPE-3008"),
        ("deflate", zlib.compress(bytes(70_000)), 413, "PIPE-3008"),
    ],
)
async def test_badly_packed_body_is_refused(encoding: str, packed: bytes, status: int, code: str) -> None:
    """Other encodings and nested ones 415, broken ones 400, bombs 413."""
    door = FakeDoor("/a")
    async with (
        gateway(door) as here,
        aiohttp.ClientSession() as client,
        client.post(here.url("/pipe/a"), data=packed, headers={"Content-Encoding": encoding}) as reply,
    ):
        assert (reply.status, (await reply.json())["code"]) == (status, code)
    assert door.arrivals == []


@pytest.mark.parametrize(("size", "status"), [(50_000, 202), (50_001, 413)])
async def test_limit_counts_what_the_body_unpacks_to(size: int, status: int) -> None:
    """`max_body` is what the message has, not what was sent."""
    async with gateway(FakeDoor("/a", max_body=50_000)) as here, aiohttp.ClientSession() as client:
        headers = {"Content-Encoding": "gzip"}
        async with client.post(here.url("/pipe/a"), data=gzip.compress(bytes(size)), headers=headers) as reply:
            assert reply.status == status


async def test_waiting_client_is_invited_only_when_it_is_let_in() -> None:
    """`Expect: 100-continue`: a refusal comes before the body is sent."""
    expecting = b"Expect: 100-continue\r\nContent-Length: "
    async with gateway(FakeDoor("/a", max_body=10)) as here:
        async with connected(here.address) as (reader, writer):
            writer.write(HEAD + expecting + b"5\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hello")
            assert (await read_reply(reader)).status == 202
        assert (await exchange(here.address, HEAD + expecting + b"11\r\n\r\n")).status == 413
        assert (await exchange(here.address, HEAD + b"Expect: magic\r\nContent-Length: 0\r\n\r\n")).status == 400


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1\r\nConnection: close"])
async def test_client_that_closes_gets_the_same_answer(version: str) -> None:
    """The quick answer is for connections that stay; the others get it too, and are closed."""
    async with gateway(FakeDoor("/a")) as here:
        head = f"POST /pipe/a {version}\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        reply = await exchange(here.address, head.encode())
    assert (reply.status, reply.closed, set(reply.json)) == (202, True, {"id", "status_url"})


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    """What comes at once is still one message after the other."""
    door = FakeDoor("/a")
    async with gateway(door) as here, connected(here.address) as (reader, writer):
        writer.write(b"".join(HEAD + b"Content-Length: 1\r\n\r\n%d" % number for number in range(9)))
        for _ in range(9):
            assert (await read_reply(reader, 0.001)).status == 202
    assert [arrival.body for arrival in door.arrivals] == [b"%d" % number for number in range(9)]


@given(st.binary(max_size=300_000), st.sampled_from(["gzip", "deflate"]), st.lists(st.integers(1, 5000), max_size=20))
def test_unpacking_gives_back_what_was_packed(body: bytes, encoding: str, cuts: list[int]) -> None:
    """However the bytes are cut into pieces."""
    packed = gzip.compress(body, 1, mtime=0) if encoding == "gzip" else zlib.compress(body, 1)
    unpacker, out = Unpacker(encoding), b""
    try:
        for cut in [*cuts, len(packed)]:
            piece, packed = packed[:cut], packed[cut:]
            out += b"".join(unpacker.feed(piece)) if piece else b""
        unpacker.finish()
    except PayloadError as error:
        assert error.code == "PIPE-3008"  # noqa: PT017 — only such bodies may be refused
        assert len(body) > 65536
    else:
        assert out == body


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [65_536, 65_535, 65_537, 131_072])
def test_a_body_of_whole_pieces_is_unpacked_to_its_end(encoding: str, size: int) -> None:
    """What unpacks to a multiple of the piece that is unpacked at once does not seem to break off."""
    body = bytes(random.Random(size).randbytes(size))
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    unpacker = Unpacker(encoding)
    assert b"".join(unpacker.feed(packed)) == body
    unpacker.finish()
