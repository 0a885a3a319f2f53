"""How far a request got when it failed decides everything: not sent is tried again, perhaps sent never blindly."""

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipe.contract import Blob, Duration, Timeout
from pipe.errors import NoAnswer, PeerError, Refused, ReplyInvalid, ReplyTooLarge, TlsFailed, Unreachable
from tests.adapters.http_bench import PATIENT, QUICK, client, outgoing, sent
from tests.adapters.raw_server import (
    Behaviour,
    Handler,
    RawServer,
    Received,
    hangs,
    listening,
    reply,
    resets,
    says,
    serving,
)

BOTH_LOOPS = True


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A partner that answers 200 to everything."""
    async with serving(RawServer()) as running:
        yield running


async def slow(request: Received, writer: asyncio.StreamWriter) -> None:
    """One byte every 20 ms: never silent for long, never done."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(request: Received, writer: asyncio.StreamWriter) -> None:
    """Chunk after chunk without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        await writer.drain()


async def interim(request: Received, writer: asyncio.StreamWriter) -> None:
    """100 Continue for ever."""
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


# --- before anything was sent


async def test_a_refused_connection_is_unreachable() -> None:
    """Nothing listens: nothing was sent, so it is tried again."""
    async with serving(RawServer()) as server:
        pass
    with pytest.raises(Unreachable, match=f"127.0.0.1:{server.port} does not take the connection"):
        await sent(server)


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, reads nothing and says nothing."""
    await asyncio.Event().wait()


@pytest.mark.key("timeout.connect")
async def test_a_connection_that_never_stands_is_unreachable() -> None:
    """TLS is awaited within the time to connect: a partner that accepts and says nothing was sent nothing."""
    async with listening(mute) as port, client(RawServer(port=port), scheme="https") as partner:
        with pytest.raises(Unreachable, match="did not take the connection within"):
            await partner.send(outgoing(timeout=QUICK))


async def test_a_connection_that_ends_during_tls_is_unreachable() -> None:
    """A partner that restarts in the middle of a handshake is no reason to distrust its certificate."""

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)

    async with listening(leave) as port, client(RawServer(port=port), scheme="https") as partner:
        with pytest.raises(Unreachable):
            await partner.send(outgoing())


async def test_plain_http_behind_an_https_address_is_named() -> None:
    """The handshake fails: nothing was sent, and the text says what is wrong."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(reply(400))
        await writer.drain()

    async with listening(plain) as port, client(RawServer(port=port), scheme="https") as partner:
        with pytest.raises(TlsFailed, match="does not speak TLS"):
            await partner.send(outgoing())


async def test_a_name_that_does_not_exist_is_unreachable() -> None:
    """The text names the host."""
    async with client(RawServer(port=1), host="partner.invalid") as partner:
        with pytest.raises(Unreachable, match=r"partner\.invalid cannot be resolved"):
            await partner.send(outgoing())


async def test_a_closed_client_sends_nothing(server: RawServer) -> None:
    """Also where someone still holds it."""
    async with client(server) as partner:
        pass
    with pytest.raises(Unreachable, match="is closed"):
        await partner.send(outgoing())


# --- after the request began to leave


@pytest.mark.key("timeout.read")
@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        (hangs, "was silent for"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Le"), "was silent for"),
        (slow, "did not answer in full within"),
        (interim, "did not answer in full within"),
        (resets(), "broke off"),
        (resets(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), "broke off"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", end=True), "broke off"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", end=True), "broke off"),
        (says(b"", end=True), "broke off"),
        (says(b"HTTP/1.1 200 OK\r\nConten", end=True), "broke off"),
    ],
)
async def test_a_request_that_left_without_an_answer_is_uncertain(
    server: RawServer, behaviour: Behaviour, text: str
) -> None:
    """Silence, a trickle, a reset and a truncated answer are never a success and never sent again from here."""
    server.on("*", behaviour)
    with pytest.raises(NoAnswer, match=text):
        await sent(server, timeout=QUICK)
    assert len(server.requests) == 1


@pytest.mark.key("timeout.total")
async def test_the_total_deadline_binds_a_trickle(server: RawServer) -> None:
    """A byte now and then keeps the silence short, not the attempt long (N1)."""
    server.on("*", slow)
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        await sent(server, timeout=QUICK)
    assert QUICK.total <= time.monotonic() - began < QUICK.total + 10


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\nnotzip",
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_read_is_uncertain(server: RawServer, raw: bytes) -> None:
    """Garbage in place of an answer says nothing about what became of the message."""
    server.on("*", says(raw, end=True))
    with pytest.raises(ReplyInvalid):
        await sent(server, timeout=QUICK)


async def test_bytes_after_the_answer_do_not_reach_the_next_message(server: RawServer) -> None:
    """What a partner adds without being asked must not be taken for the next answer."""
    server.answers(reply(200, b"one", Content_Type="text/plain") + reply(200, b"smuggled", Content_Type="text/plain"))
    async with client(server) as partner:
        first = await partner.send(outgoing())
        second = await partner.send(outgoing())
    assert (first.body, second.body) == ("one", "one")
    assert server.connections == 2


async def test_a_late_answer_does_not_reach_the_next_message(server: RawServer) -> None:
    """A connection whose answer did not come in time is closed, not used again."""
    server.on(
        "*",
        says(b"", reply(200, b"late", Content_Type="text/plain"), pause=0.5),
        says(reply(200, b"right", Content_Type="text/plain")),
    )
    async with client(server) as partner:
        with pytest.raises(NoAnswer):
            await partner.send(outgoing(timeout=QUICK))
        assert (await partner.send(outgoing())).body == "right"


async def test_an_answer_that_nobody_asked_for_does_not_reach_the_next_message(server: RawServer) -> None:
    """Said while the connection rests, it ends the connection."""
    smuggled = reply(200, b"smuggled", Content_Type="text/plain")
    server.on("*", says(reply(200, b"right", Content_Type="text/plain"), smuggled, pause=0.05))
    async with client(server) as partner:
        await partner.send(outgoing())
        async with asyncio.timeout(30):
            await server.left_alone()
        assert (await partner.send(outgoing())).body == "right"
    assert server.connections == 2


async def test_a_cancelled_send_closes_its_connection(server: RawServer) -> None:
    """Nothing stays behind that could answer the wrong message."""
    server.on("*", hangs, says(reply(200)))
    async with client(server, concurrency=1) as partner:
        attempt = asyncio.create_task(partner.send(outgoing()))
        await server.asked()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        assert (await partner.send(outgoing())).status == 200
    assert server.connections == 2


async def test_each_exchange_has_times_of_its_own(server: RawServer) -> None:
    """One that may take long does not lend its patience to the others on the same connections."""
    server.on("*", hangs)
    async with client(server) as partner:
        patient = asyncio.create_task(partner.send(outgoing(timeout=PATIENT)))
        await server.asked()
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(NoAnswer, match="was silent for 250ms"):
                await partner.send(outgoing(timeout=QUICK))
            assert QUICK.read - 0.01 <= time.monotonic() - began < PATIENT.read
        assert not patient.done()
        patient.cancel()


async def test_silence_is_counted_from_the_last_byte(server: RawServer) -> None:
    """Bytes that come within `read` keep the exchange alive; then silence ends it, long before `total`."""
    unhurried = Timeout(connect=Duration(1), read=Duration(0.4), total=Duration(30))
    server.on("*", says(b"HTTP/1.1 200 OK\r\n", b"Content-Length: 9\r\n", b"\r\n", b"half", pause=0.2))
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="was silent for"):
        await sent(server, timeout=unhurried)
    assert 0.99 <= time.monotonic() - began < 10


# --- large answers


async def test_an_answer_without_an_end_is_cut(server: RawServer) -> None:
    """A 2xx that is larger than `max_reply` may have taken effect: uncertain, with status and headers."""
    server.on("*", endless)
    async with client(server, max_reply="64KiB") as partner:
        with pytest.raises(ReplyTooLarge, match="larger than 64KiB") as caught:
            await partner.send(outgoing())
    assert (caught.value.reply.status, len(caught.value.reply.body)) == (200, 65536)


@pytest.mark.key("http_client.max_reply")
@pytest.mark.parametrize(("size", "fits"), [(65536, True), (65537, False)])
async def test_the_limit_counts_unpacked_bytes(server: RawServer, size: int, fits: bool) -> None:
    """At the limit it is taken, one byte more is not (checked unpacked)."""
    server.answers(reply(200, gzip.compress(b"a" * size), Content_Encoding="gzip"))
    async with client(server, max_reply="64KiB") as partner:
        if fits:
            assert len((await partner.send(outgoing())).body) == size
        else:
            with pytest.raises(ReplyTooLarge):
                await partner.send(outgoing())


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_bomb_is_stopped_by_its_ratio(server: RawServer, coding: str) -> None:
    """More than 100 times what was sent is not unpacked to its end, also below `max_reply`."""
    large = b"\0" * (8 << 20)
    server.answers(
        reply(200, gzip.compress(large) if coding == "gzip" else zlib.compress(large), Content_Encoding=coding)
    )
    with pytest.raises(ReplyTooLarge, match="unpacks to more than 100 times"):
        await sent(server)


async def test_a_large_error_page_is_still_an_error_page(server: RawServer) -> None:
    """The status decides; the page is cut."""
    server.answers(reply(404, b"x" * 100_000, Content_Type="text/plain"))
    async with client(server, max_reply="1KiB") as partner:
        with pytest.raises(Refused) as caught:
            await partner.send(outgoing())
    assert caught.value.reply.body == "x" * 1024


# --- uploads


@pytest.fixture
def large(tmp_path: Path) -> Blob:
    """A body larger than what sockets buffer."""
    path = tmp_path / "large"
    path.write_bytes(b"x" * (32 << 20))
    return Blob(path, 32 << 20, "")


def early(answer: bytes, *, stays: bool) -> Handler:
    """Answers when it has seen the headers, and reads no further."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if stays:
            await asyncio.Event().wait()

    return handle


async def test_an_answer_before_the_end_of_the_upload_counts(large: Blob) -> None:
    """A partner may refuse by the headers alone; waiting for it to read the rest would lose its answer."""
    async with listening(early(reply(413), stays=True)) as port:
        with pytest.raises(Refused, match="answered 413"):
            await sent(RawServer(port=port), body=large)


async def test_an_upload_whose_partner_leaves_is_uncertain(large: Blob) -> None:
    """Part of it has left."""
    async with listening(early(b"", stays=False)) as port:
        with pytest.raises(NoAnswer, match="broke off"):
            await sent(RawServer(port=port), body=large)


async def test_an_upload_that_nobody_reads_ends_with_the_deadline(large: Blob) -> None:
    """A full socket holds up this attempt and nothing else."""
    async with listening(mute) as port:
        with pytest.raises(NoAnswer, match="did not answer in full"):
            await sent(RawServer(port=port), body=large, timeout=QUICK)


async def test_silence_counts_once_the_upload_is_done(large: Blob) -> None:
    """A partner may take long to read; having read all, it owes an answer."""

    async def reads_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.6)
        while await reader.read(1 << 20):
            pass

    unhurried = Timeout(connect=Duration(1), read=Duration(0.25), total=Duration(60))
    async with listening(reads_late) as port:
        began = time.monotonic()
        with pytest.raises(NoAnswer, match="was silent for"):
            await sent(RawServer(port=port), body=large, timeout=unhurried)
    assert 0.84 <= time.monotonic() - began < 30


async def test_a_body_whose_file_is_gone_leaves_no_half_message_waiting(server: RawServer, tmp_path: Path) -> None:
    """The partner was promised bytes that do not exist: the connection breaks instead of hanging."""
    with pytest.raises(PeerError):
        await sent(server, body=Blob(tmp_path / "gone", 1000, ""))
    assert server.requests == []
