"""The fault proxy does to real sockets what each fault says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from pipe.testing import FaultProxy, faults

BLOCKED_S = 0.2
"""how long nothing must come where nothing is to come; a false alarm is not possible, only a missed one"""
PATIENCE_S = 10.0
MIB = 1 << 20
pytestmark = pytest.mark.timeout(30)

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Server:
    """Hands every connection to the test."""

    port: int = 0
    met: asyncio.Queue[Ends] = field(default_factory=asyncio.Queue)

    async def next(self) -> Ends:
        """The next connection, seen from the server."""
        return await asyncio.wait_for(self.met.get(), PATIENCE_S)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """On a port of its own; ends what tests left open."""
    known, opened = Server(), []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        known.met.put_nowait((reader, writer))

    listener = await asyncio.start_server(take, "127.0.0.1", 0)
    known.port = listener.sockets[0].getsockname()[1]
    yield known
    listener.close()
    for writer in opened:
        writer.transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[FaultProxy]:
    """In front of the server, without a fault."""
    async with FaultProxy(("127.0.0.1", server.port)) as proxy:
        yield proxy


@pytest.fixture
async def clients() -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Closes the connections that `connected` made."""
    opened: list[asyncio.StreamWriter] = []
    yield opened
    for writer in opened:
        writer.transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
async def pair(server: Server, proxy: FaultProxy, clients: list[asyncio.StreamWriter]) -> tuple[Ends, Ends]:
    """A connection through the proxy: the client's ends and the server's."""
    return await connected(server, proxy, clients)


async def connected(server: Server, proxy: FaultProxy, clients: list[asyncio.StreamWriter]) -> tuple[Ends, Ends]:
    """Another one."""
    client = await opened(proxy, clients)
    return client, await server.next()


async def opened(proxy: FaultProxy, clients: list[asyncio.StreamWriter]) -> Ends:
    """The client's ends alone, where the server may never hear of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    clients.append(writer)
    return reader, writer


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the orderly end."""
    return await asyncio.wait_for(reader.read(), PATIENCE_S)


async def whole(reader: asyncio.StreamReader, size: int) -> bytes:
    """So many bytes."""
    return await asyncio.wait_for(reader.readexactly(size), PATIENCE_S)


async def silent(reader: asyncio.StreamReader) -> bool:
    """Whether neither a byte nor an end comes."""
    try:
        await asyncio.wait_for(reader.read(1), BLOCKED_S)
    except TimeoutError:
        return True
    return False


async def test_without_a_fault_everything_passes(pair: tuple[Ends, Ends]) -> None:
    """Both ways, more than the buffers hold, and each side's end by itself."""
    (from_server, to_server), (from_client, to_client) = pair
    body = bytes(range(256)) * 8192
    to_server.write(body)
    to_server.write_eof()
    assert await rest_of(from_client) == body
    to_client.write(body[::-1])
    to_client.write_eof()
    assert await rest_of(from_server) == body[::-1]


async def test_a_reset_of_one_side_is_a_reset_of_the_other(pair: tuple[Ends, Ends]) -> None:
    """As if nobody stood between."""
    (from_server, _), (_, to_client) = pair
    to_client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    to_client.transport.abort()
    with pytest.raises(ConnectionResetError):
        await rest_of(from_server)


async def test_a_server_that_is_not_there_is_a_reset(server: Server, clients: list[asyncio.StreamWriter]) -> None:
    """The proxy took the connection before it could know."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with FaultProxy(nobody.getsockname()) as proxy:
            reader, _ = await opened(proxy, clients)
            with pytest.raises(ConnectionResetError):
                await rest_of(reader)


async def test_delay_hands_on_late_and_in_order(proxy: FaultProxy, pair: tuple[Ends, Ends]) -> None:
    """Only the way that it is for; healed, what waits goes on at once."""
    (from_server, to_server), (from_client, to_client) = pair
    loop = asyncio.get_running_loop()
    await proxy.turn(faults.Delay(0.2, towards="client"))
    began = loop.time()
    to_server.write(b"question")
    assert await whole(from_client, 8) == b"question"
    to_client.write(b"answer")
    assert await whole(from_server, 6) == b"answer"
    assert loop.time() - began >= 0.19
    await proxy.turn(faults.Delay(60))
    to_client.write(b"later")
    assert await silent(from_server)
    await proxy.heal()
    assert await whole(from_server, 5) == b"later"


async def test_rate_lets_so_many_bytes_through_in_a_second(proxy: FaultProxy, pair: tuple[Ends, Ends]) -> None:
    """Healed, the rest comes at once, and nothing is lost on the way."""
    (from_server, _), (_, to_client) = pair
    loop = asyncio.get_running_loop()
    await proxy.turn(faults.Rate(100, towards="client"))
    body = bytes(range(250)) * 8
    began = loop.time()
    to_client.write(body)
    first = await whole(from_server, 40)
    assert loop.time() - began >= 0.3
    await proxy.heal()
    assert first + await whole(from_server, len(body) - 40) == body


@pytest.mark.parametrize("after", [0, 1, 5])
async def test_cut_ends_an_answer_in_the_middle(proxy: FaultProxy, pair: tuple[Ends, Ends], after: int) -> None:
    """Exactly so many bytes, then an orderly end for both sides."""
    (from_server, _), (from_client, to_client) = pair
    await proxy.turn(faults.Cut(after=after))
    to_client.write(b"answer")
    assert await rest_of(from_server) == b"answer"[:after]
    assert await rest_of(from_client) == b""


async def test_cut_ends_a_request_in_the_middle(proxy: FaultProxy, pair: tuple[Ends, Ends]) -> None:
    """Towards the server it counts what the client says; what comes after is dropped."""
    (from_server, to_server), (from_client, _) = pair
    await proxy.turn(faults.Cut(after=3, towards="server"))
    to_server.write(b"que")
    assert await whole(from_client, 3) == b"que"
    assert await silent(from_client)
    to_server.write(b"stion")
    assert await rest_of(from_client) == b""
    assert await rest_of(from_server) == b""


async def test_bytes_count_from_the_moment_the_fault_is_turned_on(proxy: FaultProxy, pair: tuple[Ends, Ends]) -> None:
    """What passed before is not counted, on any connection."""
    (from_server, _), (_, to_client) = pair
    to_client.write(b"before")
    assert await whole(from_server, 6) == b"before"
    await proxy.turn(faults.Cut(after=2))
    to_client.write(b"after")
    assert await rest_of(from_server) == b"af"


@pytest.mark.parametrize("towards", ["client", "server"])
async def test_reset_breaks_off_for_both(proxy: FaultProxy, pair: tuple[Ends, Ends], towards: faults.Towards) -> None:
    """What passed is there, then both sides are told that it broke."""
    client, server = pair
    (_, speaks), (hears, _) = (client, server) if towards == "server" else (server, client)
    await proxy.turn(faults.Reset(after=4, towards=towards))
    speaks.write(b"broken")
    assert await whole(hears, 4) == b"brok"
    for reader in (client[0], server[0]):
        with pytest.raises(ConnectionResetError):
            await rest_of(reader)


async def test_swallow_reads_everything_and_hands_on_nothing(
    proxy: FaultProxy, pair: tuple[Ends, Ends], server: Server, clients: list[asyncio.StreamWriter]
) -> None:
    """The sender gets rid of more than any buffer holds; not even its end arrives. Healed, new connections are well."""
    (from_server, to_server), (from_client, to_client) = pair
    await proxy.turn(faults.Swallow(after=2))
    to_server.write(b"xx" + bytes(32 * MIB))
    await asyncio.wait_for(to_server.drain(), PATIENCE_S)
    to_server.write_eof()
    assert await whole(from_client, 2) == b"xx"
    assert await silent(from_client)
    to_client.write(b"yyy")
    assert await whole(from_server, 2) == b"yy"
    await proxy.heal()
    to_client.write(b"z")
    assert await silent(from_server)
    (_, writer), (reader, _) = await connected(server, proxy, clients)
    writer.write(b"well")
    assert await whole(reader, 4) == b"well"


async def test_half_open_says_and_reads_nothing_any_more(
    proxy: FaultProxy, pair: tuple[Ends, Ends], server: Server, clients: list[asyncio.StreamWriter]
) -> None:
    """The buffers fill up and the sender waits; a new connection is the same, and the server never hears of it."""
    (from_server, to_server), (from_client, _) = pair
    await proxy.turn(faults.HalfOpen())
    with pytest.raises(ConnectionResetError):
        await rest_of(from_client)
    reader, writer = await opened(proxy, clients)
    for sender in (to_server, writer):
        sender.write(bytes(64 * MIB))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sender.drain(), BLOCKED_S)
    await proxy.heal()
    assert await silent(from_server)
    assert await silent(reader)
    assert server.met.empty()


async def test_garbage_stands_in_place_of_the_answer(proxy: FaultProxy, pair: tuple[Ends, Ends]) -> None:
    """After so many good bytes; then it ends."""
    (from_server, _), (_, to_client) = pair
    await proxy.turn(faults.Garbage(b"#!", after=3))
    to_client.write(b"answer")
    assert await rest_of(from_server) == b"ans#!"


async def test_accept_then_close_ends_new_connections(
    proxy: FaultProxy, pair: tuple[Ends, Ends], server: Server, clients: list[asyncio.StreamWriter]
) -> None:
    """Taken, ended, and the server hears nothing of it; one that stood before goes on."""
    await proxy.turn(faults.AcceptThenClose())
    reader, _ = await opened(proxy, clients)
    assert await rest_of(reader) == b""
    assert server.met.empty()
    (_, to_server), (from_client, _) = pair
    to_server.write(b"on")
    assert await whole(from_client, 2) == b"on"


async def test_refuse_refuses_until_healed_on_the_same_port(
    proxy: FaultProxy, pair: tuple[Ends, Ends], server: Server, clients: list[asyncio.StreamWriter]
) -> None:
    """Those that stood are reset."""
    await proxy.turn(faults.Refuse())
    with pytest.raises(ConnectionResetError):
        await rest_of(pair[0][0])
    with pytest.raises(ConnectionRefusedError):
        await opened(proxy, clients)
    await proxy.heal()
    (_, writer), (reader, _) = await connected(server, proxy, clients)
    writer.write(b"back")
    assert await whole(reader, 4) == b"back"


async def test_a_proxy_may_refuse_from_the_beginning(server: Server, clients: list[asyncio.StreamWriter]) -> None:
    """Its port is known all the same."""
    async with FaultProxy(("127.0.0.1", server.port), faults.Refuse()) as proxy:
        with pytest.raises(ConnectionRefusedError):
            await opened(proxy, clients)
        await proxy.heal()
        await connected(server, proxy, clients)
        assert proxy.met == 1


async def test_drop_resets_what_stands_and_lets_new_ones_in(
    proxy: FaultProxy, pair: tuple[Ends, Ends], server: Server, clients: list[asyncio.StreamWriter]
) -> None:
    """A moment's failure."""
    proxy.drop()
    for reader, _ in pair:
        with pytest.raises(ConnectionResetError):
            await rest_of(reader)
    await connected(server, proxy, clients)
    await asyncio.wait_for(proxy.reached(2), PATIENCE_S)


async def test_new_connections_lead_where_the_proxy_is_told(
    proxy: FaultProxy, pair: tuple[Ends, Ends], clients: list[asyncio.StreamWriter]
) -> None:
    """A server that came back on another port."""
    async with asyncio.timeout(PATIENCE_S), FaultProxy(("127.0.0.1", 1)) as other:
        other.server = ("127.0.0.1", proxy.port)
        await opened(other, clients)
        await proxy.reached(2)


@pytest.mark.parametrize(
    "fault",
    [faults.Fault(), faults.Delay(60), faults.Rate(1), faults.Swallow(), faults.HalfOpen(), faults.AcceptThenClose()],
)
async def test_a_proxy_that_is_left_leaves_nothing_open(
    server: Server, clients: list[asyncio.StreamWriter], fault: faults.Fault
) -> None:
    """Whatever state its connections are in, it ends, and takes them along."""
    before = asyncio.all_tasks()
    async with asyncio.timeout(PATIENCE_S), FaultProxy(("127.0.0.1", server.port)) as proxy:
        (_, one), _ = await connected(server, proxy, clients)
        await proxy.turn(fault)
        _, two = await opened(proxy, clients)
        for writer in (one, two):
            writer.write(bytes(MIB))
        await proxy.reached(2)
    assert proxy.standing == 0
    assert asyncio.all_tasks() - before == set()
