"""Every limit, at the limit and one past it: the first is taken, the second hears which limit it was."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import Iterator

import orjson
import pytest
from aiohttp import web

from tests.journeys.attacks import Siege, Told, post, soon, spoken

pytestmark = [
    pytest.mark.journey,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("others_are_served"),
]

TAKEN = (202, None, None)
TOO_LARGE = (413, "PIPE-3003", "caller.too_large")
BOMB = (413, "PIPE-3008", "caller.bomb")
TOO_DEEP = (400, "PIPE-3009", "caller.too_deep")
URL_TOO_LONG = (414, "PIPE-5008", "caller.url_too_long")
HEADERS_TOO_LARGE = (431, "PIPE-5009", "caller.headers_too_large")
QUEUE_FULL = (503, "PIPE-4003", "gateway.queue_full")
KIB = 1024


def text_of(size: int) -> bytes:
    """A JSON text of exactly so many bytes."""
    return b'"' + b"x" * (size - 2) + b'"'


def noise(size: int) -> bytes:
    """A JSON text of exactly so many bytes that packs badly."""
    return b'"' + b"".join(b"%08x" % zlib.crc32(b"%d" % n) for n in range(size // 8))[: size - 2] + b'"'


def header_of(size: int, path: str = "/pipe/text", body: bytes = b"x") -> bytes:
    """A request whose header fields are so many bytes long, spread over fields of at most 4 KiB."""
    fixed = len("Host: gateway.test\r\n") + len(f"Content-Length: {len(body)}\r\n")
    fields: list[str] = []
    left = size - fixed
    while left > 0:
        part = left if left <= 4 * KIB else 3 * KIB
        fields.append(f"X{len(fields):03}: " + "a" * (part - len("X000: \r\n")))
        left -= part
    return post(path, body, *fields)


def url_of(signs: int) -> bytes:
    """A request whose address has so many signs."""
    return post("/pipe/text?" + "q" * (signs - len("/pipe/text?")), b"x")


def fields_of(count: int) -> bytes:
    """A request with so many header fields, Host and Content-Length among them."""
    return post("/pipe/text", b"x", *(f"X{n}: y" for n in range(count - 2)))


def deep(levels: int, left: bytes = b"[", right: bytes = b"]") -> bytes:
    """So many levels."""
    return left * levels + right * levels


def packed(size: int) -> bytes:
    """A request with a packed body of so many bytes when unpacked."""
    return post("/pipe/json", gzip.compress(noise(size)), "Content-Encoding: gzip")


LIMITS = [
    pytest.param(
        post("/pipe/json", text_of(256 * KIB)), post("/pipe/json", text_of(256 * KIB + 1)), TOO_LARGE, id="max_body"
    ),
    pytest.param(packed(256 * KIB), packed(256 * KIB + 1), TOO_LARGE, id="max_body, unpacked"),
    pytest.param(post("/pipe/json", deep(64)), post("/pipe/json", deep(65)), TOO_DEEP, id="levels of JSON"),
    pytest.param(
        post("/pipe/xml", deep(64, b"<a>", b"</a>")),
        post("/pipe/xml", deep(65, b"<a>", b"</a>")),
        TOO_DEEP,
        id="levels of XML",
    ),
    pytest.param(url_of(2000), url_of(2001), URL_TOO_LONG, id="signs of an address"),
    pytest.param(fields_of(128), fields_of(129), HEADERS_TOO_LARGE, id="fields of a header"),
    pytest.param(header_of(16 * KIB), header_of(16 * KIB + 1), HEADERS_TOO_LARGE, id="bytes of a header"),
]


@pytest.mark.parametrize(("at", "past", "verdict"), LIMITS)
async def test_at_the_limit_is_taken_and_one_past_it_is_not(
    siege: Siege, at: bytes, past: bytes, verdict: object
) -> None:
    """Each limit is what it says, to the byte."""
    [taken] = await spoken(siege.gateway.address, at)
    [refused] = await spoken(siege.gateway.address, past)
    assert (taken.verdict, refused.verdict) == (TAKEN, verdict)


async def test_a_body_may_unpack_to_a_hundred_times_its_size(siege: Siege) -> None:
    """Beyond that it is a bomb, however small; small ones below 64 KiB are harmless and taken."""
    at = gzip.compress(noise(3000) + b" " * 200_000, mtime=0)
    assert 50 < 203_000 / len(at) < 100
    small = gzip.compress(b" " * 60_000 + b"1", mtime=0)
    assert 60_000 / len(small) > 100
    past = gzip.compress(b" " * 250_000 + b"1", mtime=0)
    told = [await siege.ask("/pipe/json", body, "Content-Encoding: gzip") for body in (at, small, past)]
    assert [answer.verdict for answer in told] == [TAKEN, TAKEN, BOMB]


@pytest.mark.parametrize(("size", "status"), [(64 * KIB, 200), (64 * KIB + 1, 502)])
async def test_a_reply_may_be_as_large_as_max_reply(siege: Siege, size: int, status: int) -> None:
    """One byte more, and the caller hears that the partner's answer is too large."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * size)

    siege.partner.answers["/asks/size"] = answer
    told = await siege.ask("/pipe/asks/size", method="GET")
    assert told.status == status
    assert told.headers.get("x-pipe-error") == ("target.reply_too_large" if status == 502 else None)


@pytest.fixture
def held(siege: Siege) -> Iterator[asyncio.Event]:
    """A partner that answers `/slow` and its like only when told."""
    go = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        await go.wait()
        return web.Response()

    siege.partner.answers |= {"/slow": answer, "/heavy": answer}
    yield go
    go.set()


async def test_a_queue_takes_as_many_messages_as_it_may_hold(siege: Siege, held: asyncio.Event) -> None:
    """`queue: {messages: 3}`: the fourth is told to come back, and when; once one is delivered there is room again."""
    told = [await siege.ask("/pipe/slow", b"1") for _ in range(4)]
    assert [answer.verdict for answer in told] == [TAKEN] * 3 + [QUEUE_FULL]
    assert told[3].headers["retry-after"] == "5"
    held.set()
    await _until_taken(siege, "/pipe/slow", b"1")


async def test_a_queue_takes_as_many_bytes_as_it_may_hold(siege: Siege, held: asyncio.Event) -> None:
    """`queue: {bytes: 10KiB}`: exactly ten are taken, and not a byte more."""
    bodies = (text_of(6 * KIB), text_of(4 * KIB), b"1")
    told = [await siege.ask("/pipe/heavy", body) for body in bodies]
    assert [answer.verdict for answer in told] == [TAKEN, TAKEN, QUEUE_FULL]
    held.set()
    await _until_taken(siege, "/pipe/heavy", b"1")


async def _until_taken(siege: Siege, path: str, body: bytes) -> Told:
    async with asyncio.timeout(30):
        while True:
            told = await siege.ask(path, body)
            if told.status == 202:
                return told
            await asyncio.sleep(0.02)


async def test_a_message_may_pass_as_many_routes_as_hops_say(siege: Siege) -> None:
    """Seven routes in a row: with `hops: 5` it is a dead letter at the door of the sixth that follows the first."""
    assert (await siege.ask("/pipe/chain", b"{}")).status == 202
    assert await soon(lambda: siege.kept.deliveries("hop6")) == [("dead", "PIPE-3013")]
    passed = [
        state for route in ("start", *(f"hop{n}" for n in range(1, 6))) for state, _ in siege.kept.deliveries(route)
    ]
    assert len(passed) == 6  # where it entered, and five hops


async def test_a_partner_that_is_silent_is_waited_for_as_long_as_read_says(siege: Siege) -> None:
    """`timeout: {read: 300ms}`: the caller hears of it soon after, not after the default's twenty seconds."""

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(3)
        return web.Response()

    siege.partner.answers["/hangs/x"] = answer
    began = time.monotonic()
    told = await siege.ask("/pipe/hangs", method="GET")
    assert (told.status, told.headers["x-pipe-error"].partition(".")[0]) == (504, "target")
    assert 0.25 < time.monotonic() - began < 15


async def test_a_partner_that_drips_is_waited_for_as_long_as_total_says(siege: Siege) -> None:
    """A byte now and then does not prolong `total`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(60):
            await response.write(b"x")
            await asyncio.sleep(0.1)
        return response

    siege.partner.answers["/hangs/drips"] = answer
    began = time.monotonic()
    told = await siege.ask("/pipe/drips", method="GET")
    assert told.status in {502, 504}, orjson.loads(told.body)
    assert time.monotonic() - began < 20


async def test_a_header_that_does_not_end_is_not_waited_for(siege: Siege) -> None:
    """Ten seconds after the first byte a header must be whole; meanwhile others are served."""
    began = time.monotonic()
    slow = spoken(siege.gateway.address, b"POST /pipe/well HTTP/1.1\r\nHost: a\r\nX: ", within=30, closing_too=True)
    reading = asyncio.ensure_future(slow)
    assert (await siege.ask("/pipe/well", b"1")).status == 202
    [told] = await reading
    assert told.verdict == (408, "PIPE-5007", "caller.too_slow")
    assert 9 < time.monotonic() - began < 30
