"""A real disk of a few megabytes that fills up, and one that cannot be written at all."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.journeys.books import quiet
from tests.journeys.conftest import World, a_world, until
from tests.journeys.gateway import Gateway
from tests.journeys.ledger import check
from tests.torture.crash import TORTURE, sound

pytestmark = [pytest.mark.journey, pytest.mark.debian]

PHONES = [f"+38067000000{n}" for n in range(4)]
SMALL_DISK = 'mount -t tmpfs -o size=6m,mode=700 none "$0" && exec "$@"'
ONLY_READ = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def mounted(script: str, data: Path) -> tuple[str, ...]:
    """Starts a command with a disk of its own at `data`, which nobody else sees."""
    if subprocess.run(("unshare", "-rm", "true"), capture_output=True, check=False).returncode:
        pytest.skip("needs mount namespaces: run as root, or allow them to users")
    return ("unshare", "-rm", "sh", "-ec", script, str(data))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway whose data folder is a disk of six megabytes."""
    async with a_world(tmp_path, TORTURE, apart=True) as made:
        gateway = made.gateway
        gateway.environment["PIPE_TEST_FLOOR"] = "2MiB"
        await gateway.spawn(under=mounted(SMALL_DISK, gateway.data))
        assert gateway.process is not None
        gateway.inside = Path(f"/proc/{gateway.process.pid}/root{gateway.data}")
        await gateway.until_ready()
        yield made


async def test_a_disk_that_is_full_refuses_keeps_what_it_has_and_goes_on_when_there_is_space(world: World) -> None:
    """Filled by a stranger's file: 503; with the file gone everything is taken up by itself, and nothing is lost."""
    gateway = world.gateway
    ballast = gateway.folder / "ballast"
    await asyncio.gather(*(world.client.hand_in(phone, 0) for phone in PHONES))
    fill(ballast)
    calls = asyncio.gather(*(orderly(world, phone) for phone in PHONES))
    await until(lambda: refused(world, 20))
    assert gateway.running
    ballast.unlink()
    await asyncio.wait_for(calls, 30)
    assert check(await world.settled()) == []
    sound(gateway.folder)


async def test_below_the_floor_nothing_is_accepted_and_deliveries_go_on(world: World) -> None:
    """The room that `disk_floor` keeps is what the outcomes of accepted messages need."""
    await world.tell("stop")
    await asyncio.gather(*(orderly(world, phone) for phone in PHONES))
    ballast = world.gateway.folder / "ballast"
    fill(ballast, leaving=1 << 20)
    await until(lambda: unready(world.gateway))  # the disk is looked at every few seconds
    call = asyncio.create_task(world.client.hand_in(PHONES[0], 9))
    await until(lambda: refused(world, 1))
    await world.tell("start")
    await until(lambda: quiet(world.gateway))
    assert not call.done()
    ballast.unlink()
    await asyncio.wait_for(call, 20)
    assert check(await world.settled()) == []


async def unready(gateway: Gateway) -> bool:
    """Whether the gateway says that it takes nothing."""
    async with aiohttp.ClientSession() as client, client.get(f"{gateway.address}/ready") as answer:
        return answer.status == 503


async def test_a_folder_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    """Exit code 2 and one sentence that names the folder, no traceback."""
    async with a_world(tmp_path, TORTURE, apart=True) as world:
        gateway = world.gateway
        await gateway.spawn(under=mounted(ONLY_READ, gateway.data))
        assert gateway.process is not None
        assert await asyncio.wait_for(gateway.process.wait(), 20) == 2
        words = gateway.last_words()
        assert "Traceback" not in words
        assert str(gateway.data) in words
        assert "PIPE-4001" in words


def fill(file: Path, leaving: int = 0) -> None:
    """Takes all the space that there is, but for so many bytes."""
    with file.open("wb", buffering=0) as out:
        piece = bytes(64 << 10)
        while piece:
            try:
                out.write(piece)
            except OSError:
                piece = piece[: len(piece) // 2]
        out.truncate(max(0, out.tell() - leaving))


async def orderly(world: World, phone: str, count: int = 3, **fields: object) -> None:
    """One after the other, each when the one before is accepted."""
    for n in range(1, count + 1):
        await world.client.hand_in(phone, n, **fields)


async def refused(world: World, times: int) -> bool:
    """Whether clients have been told no so often."""
    return sum(row.outcome == "refused" for row in world.client.rows) >= times
