"""The control socket: the same operation, whether a gateway runs on the folder or not."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipe import control, operations
from pipe.control import SOCKET, ControlServer, call, user_name
from pipe.errors import BadRequest, GatewayDefect, NotFound, StoreUnavailable
from pipe.operations import Host
from tests.pipe.house import House
from tests.pipe.operations.hosts import World, audited, begin, host_of
from tests.pipe.operations.test_dead_letters import PLAIN


@pytest.fixture
def url() -> Any:
    """The socket is the same whichever store there is."""
    return lambda: None


@pytest.fixture
async def gateway(house: House) -> AsyncIterator[House]:
    """A house whose control socket listens."""
    await begin(house, PLAIN)

    def make(actor: str, progress: Any) -> Host:
        host = host_of(house, actor)
        host.progress = progress
        return host

    server = ControlServer(house.data, make)
    await server.start()
    try:
        yield house
    finally:
        await server.stop()


async def test_a_running_gateway_answers(gateway: House) -> None:
    """What the operation returns, as plain values."""
    accepted = await gateway.put("hello")
    await gateway.done(1)
    [row] = await call(gateway.data, "search", {"id": accepted.id})
    assert (row["id"], row["state"]) == (accepted.id, "delivered")


async def test_who_asks_is_the_user_at_the_other_end(gateway: House) -> None:
    """Nobody says who he is: the kernel does."""
    await call(gateway.data, "pause", {"name": "r", "reason": "test"})
    [entry] = await audited(gateway, "route.paused")
    assert entry["actor"] == user_name(os.getuid())


async def test_the_socket_is_for_its_owner_alone(gateway: House) -> None:
    """0600 in a folder of 0700."""
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (gateway.data / SOCKET, gateway.data)]
    assert modes == [0o600, 0o700]


async def test_an_error_comes_back_as_what_it_was(gateway: House) -> None:
    """Its class, text and facts."""
    with pytest.raises(NotFound, match="no message m1") as caught:
        await call(gateway.data, "explain", {"id": "m1"})
    assert caught.value.facts == {"message": "m1"}


@pytest.mark.parametrize(
    ("operation", "args"),
    [("nothing", {}), ("explain", {}), ("explain", {"id": 5, "more": 1}), ("dead.list", {"which": {"rout": "r"}})],
)
async def test_what_is_not_understood_is_refused(gateway: House, operation: str, args: dict[str, Any]) -> None:
    """An unknown operation, a missing, wrong or unknown argument."""
    with pytest.raises(BadRequest):
        await call(gateway.data, operation, args)


@pytest.mark.parametrize(
    "line", [b"{\n", b"[]\n", b"7\n", b'{"operation": "status"}\n', b'{"operation": 7, "args": []}\n']
)
async def test_a_line_that_is_no_request_gets_an_error(gateway: House, line: bytes) -> None:
    """And the socket goes on."""
    reader, writer = await asyncio.open_unix_connection(str(gateway.data / SOCKET))
    writer.write(line)
    answer = orjson.loads(await reader.readline())
    writer.close()
    assert answer["error"]["code"] == "PIPE-5006"
    assert await control.is_running(gateway.data)


async def test_a_defect_of_an_operation_is_told_and_ends_nothing(
    gateway: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next request is answered."""

    async def broken(host: Host) -> None:
        raise RuntimeError("a screw is loose")

    monkeypatch.setattr(operations, "OPERATIONS", {**operations.OPERATIONS, "broken": broken})
    with pytest.raises(GatewayDefect, match="a screw is loose"):
        await call(gateway.data, "broken")
    assert await call(gateway.data, "ledger") == []


async def test_progress_comes_before_the_result(gateway: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as the operation tells it."""

    async def long(host: Host) -> str:
        for n in range(3):
            host.progress(n, 3, "done")
        return "all"

    monkeypatch.setattr(operations, "OPERATIONS", {"long": long})
    seen: list[tuple[int, int | None, str]] = []
    assert await call(gateway.data, "long", {}, lambda *told: seen.append(told)) == "all"
    assert seen == [(0, 3, "done"), (1, 3, "done"), (2, 3, "done")]


async def test_an_operation_ends_when_the_asker_leaves(gateway: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a long replay."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def long(host: Host) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(operations, "OPERATIONS", {"long": long})
    asking = asyncio.create_task(call(gateway.data, "long"))
    await began.wait()
    asking.cancel()
    async with asyncio.timeout(30):
        await ended.wait()


async def test_the_same_works_on_the_folder_alone(house: House) -> None:
    """No gateway: the command takes the lock, does it, and lets go."""
    await begin(house, PLAIN)
    accepted = await house.put("hello")
    await house.done(1)
    await house.stop()
    world: Any = World(house)
    story = await call(house.data, "explain", {"id": accepted.id}, world=world)
    assert story["state"] == "delivered"
    await house.open()


async def test_a_socket_that_a_dead_gateway_left_is_no_hindrance(house: House) -> None:
    """Kill -9 leaves it behind."""
    await begin(house, PLAIN)
    server = ControlServer(house.data, lambda actor, progress: host_of(house, actor))
    await server.start()
    assert server._server is not None
    server._server.close()
    await house.stop()
    assert (house.data / SOCKET).exists()
    assert await call(house.data, "ledger") == []
    await house.open()


@pytest.mark.parametrize("folder", ["nowhere", "."])
async def test_a_folder_without_a_store_is_refused_and_stays_as_it_is(tmp_path: Path, folder: str) -> None:
    """A mistyped --data makes no new store."""
    with pytest.raises(StoreUnavailable, match="no gateway has ever run"):
        await call(tmp_path / folder, "status")
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_with_a_long_path_has_a_socket_too(tmp_path: Path, clock: Any) -> None:
    """Socket addresses end at 107 bytes; ours do not."""
    from tests.pipe.house import opened

    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    async with opened(House(deep, lambda: None, clock)) as house:
        await begin(house, PLAIN)
        server = ControlServer(house.data, lambda actor, progress: host_of(house, actor))
        await server.start()
        assert await call(house.data, "ledger") == []
        await server.stop()
