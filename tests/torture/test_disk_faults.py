"""A disk that fails, fills up or turns read-only under a working gateway."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from contextlib import closing
from pathlib import Path

import aiohttp
import orjson
import pytest

from pipe.store.faults import TRIAL
from tests.journeys.attacks import Told, asked
from tests.journeys.books import quiet
from tests.journeys.conftest import World, a_world, until
from tests.journeys.ledger import check
from tests.torture.crash import TORTURE, attached, failing, sound
from tests.torture.nursery import Reared

pytestmark = [pytest.mark.journey, pytest.mark.debian]

PHONE, OTHER = "+380670000001", "+380670000002"
LARGE = "ж" * (600 << 10)
BALLAST = "x" * (900 << 10)
"""as much as a row takes: two dozen of them fill more of the log than the first page of its index is for"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A running gateway out of the nursery; its partners keep their books elsewhere."""
    async with a_world(tmp_path, TORTURE, kind=Reared, apart=True) as made:
        await made.gateway.start()
        yield made


def appeal(phone: str, n: int, **fields: object) -> bytes:
    """An appeal that the client of the ledger does not know."""
    return orjson.dumps({"applicant": {"name": "Олена", "phone": phone}, "text": f"Без книги {n}", **fields})


async def told(world: World, key: str, **fields: object) -> Told:
    """The gateway's answer to one try."""
    fields_ = (f"Idempotency-Key: {key}", "Content-Type: application/json")
    return await asked(world.gateway.address, "/pipe/appeals", appeal(PHONE, 1, **fields), *fields_)


async def orderly(world: World, phone: str, numbers: range, **fields: object) -> None:
    """One after the other, each when the one before is accepted."""
    for n in numbers:
        await world.client.hand_in(phone, n, **fields)


async def heard(world: World, outcome: str) -> bool:
    """Whether a client has noted such an outcome."""
    return outcome in {row.outcome for row in world.client.rows}


async def ready(world: World) -> bool:
    """What `/ready` says."""
    async with aiohttp.ClientSession() as session, session.get(f"{world.gateway.address}/ready") as answer:
        return answer.status == 200


def pid(world: World) -> int:
    """Of the gateway."""
    assert world.gateway.process is not None
    return world.gateway.process.pid


# --- what is final ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traced", "error"),
    [("fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "EROFS")],
    ids=["sync fails", "page fails", "read-only"],
)
async def test_after_a_failed_write_nothing_is_accepted_and_the_process_ends_with_2(
    world: World, traced: str, error: str
) -> None:
    """Never "again, and then 202": who waits hears PIPE-4001, and the next process looks at the disk afresh."""
    gateway = world.gateway
    await asyncio.gather(world.client.hand_in(PHONE, 0), world.client.hand_in(OTHER, 0))
    await until(lambda: quiet(gateway))
    process = gateway.process
    assert process is not None
    async with attached(process.pid, *failing(traced, error)):
        calls = [asyncio.create_task(world.client.hand_in(phone, 1)) for phone in (PHONE, OTHER)]
        assert await asyncio.wait_for(process.wait(), 20) == 2
    assert "accepted" not in {row.outcome for row in world.client.rows if row.n == 1}
    assert "store_failed" in gateway.last_words()
    gateway.kills += 1
    await gateway.start()
    await asyncio.gather(*calls)
    assert check(await world.settled(in_flight=2)) == []
    sound(gateway.data)


@pytest.mark.parametrize("at", range(1, 5))
async def test_one_failed_sync_among_good_ones_is_final_too(world: World, at: int) -> None:
    """The sync after a failed one would lie: the kernel has dropped the pages."""
    process = world.gateway.process
    assert process is not None
    async with attached(process.pid, *failing("fdatasync", "EIO", at=at)):
        calls = asyncio.gather(*(orderly(world, phone, range(3)) for phone in (PHONE, OTHER)))
        assert await asyncio.wait_for(process.wait(), 20) == 2
    world.gateway.kills += 1
    await world.gateway.start()
    await calls
    assert check(await world.settled(in_flight=4)) == []


# --- what passes --------------------------------------------------------------------------------------------------


async def test_a_full_disk_refuses_and_the_gateway_goes_on_by_itself_when_there_is_space(world: World) -> None:
    """503 with PIPE-4002 and not ready; then everything that was waiting is accepted and delivered, nothing twice."""
    await world.tell("slow", "0.3")
    await world.client.hand_in(OTHER, 0)
    async with attached(pid(world), *failing("pwrite64,ftruncate,fallocate", "ENOSPC")):
        await asyncio.sleep(0.5)
        assert (await told(world, "k-1")).verdict == (503, "PIPE-4002", "gateway.store_full")
        await until(lambda: is_not(ready(world)))
        calls = asyncio.gather(*(orderly(world, phone, range(1, 3)) for phone in (PHONE, OTHER)))
        await asyncio.sleep(0.3)
        assert {row.outcome for row in world.client.rows if row.n} == {"refused"}
    await asyncio.wait({calls}, timeout=20)
    assert calls.done(), world.gateway.last_words()
    await calls
    await until(lambda: ready(world))
    assert check(await world.settled()) == []
    sound(world.gateway.data)


async def test_a_quota_that_is_used_up_is_a_full_disk(world: World) -> None:
    """To SQLite it is a failed write; what is written beside the store shows why. PIPE-4002, and then it goes on."""
    files = (argument for name in ("pipe.db-wal", TRIAL) for argument in ("-P", str(world.gateway.data / name)))
    async with attached(pid(world), *files, *failing("pwrite64,write", "EDQUOT")):
        assert (await told(world, "k-1")).verdict == (503, "PIPE-4002", "gateway.store_full")
    await world.client.hand_in(PHONE, 0)
    assert check(await world.settled()) == []
    assert not (world.gateway.data / TRIAL).exists()


async def test_a_full_disk_that_has_no_page_for_the_logs_index_is_no_broken_disk(world: World) -> None:
    """The log has 4,062 pages and its index no room for more: PIPE-4001; and all goes on when there is space.

    Nobody can tell what a restart would find of the commit, but the process that lives can.
    """
    gateway = world.gateway
    with closing(sqlite3.connect(gateway.data / "pipe.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM message").fetchone()  # as long as it reads, the log does not begin anew
        async with attached(pid(world), "-P", str(gateway.data / "pipe.db-shm"), *failing("pwrite64", "ENOSPC")):
            calls = asyncio.gather(*(orderly(world, phone, range(12), ballast=BALLAST) for phone in (PHONE, OTHER)))
            await until(lambda: heard(world, "unknown"))
            assert gateway.running, gateway.last_words()
    await asyncio.wait({calls}, timeout=20)
    assert calls.done(), gateway.last_words()
    await calls
    assert check(await world.settled()) == []
    sound(gateway.data)


@pytest.mark.parametrize(("error", "code"), [("ENOSPC", "PIPE-4002"), ("EIO", "PIPE-4001")])
async def test_a_large_body_that_cannot_be_spooled_is_refused_and_leaves_no_file(
    world: World, error: str, code: str
) -> None:
    """The file of its own is gone, the caller is told what is wrong with the disk, and later it is taken."""
    async with attached(pid(world), "-P", str(world.gateway.data / "blobs"), *failing("openat", error)):
        assert (await told(world, "k-1", ballast=LARGE)).verdict[:2] == (503, code)
    assert list((world.gateway.data / "blobs").iterdir()) == []
    await world.client.hand_in(PHONE, 0, ballast=LARGE)
    assert check(await world.settled()) == []


async def test_a_large_body_is_sent_again_on_the_same_connection_until_there_is_space(world: World) -> None:
    """Refused with 503 each time, never misread: header and body of the next request come in one piece."""
    async with attached(pid(world), "-P", str(world.gateway.data / "blobs"), *failing("openat", "ENOSPC")):
        call = asyncio.create_task(world.client.hand_in(PHONE, 0, ballast=LARGE))
        await asyncio.sleep(1)
        assert {row.outcome for row in world.client.rows} == {"refused"}
        assert not call.done()
    await asyncio.wait_for(call, 20)
    assert check(await world.settled()) == []


async def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """Its disk is full from the start; messages go through all the same."""
    async with a_world(tmp_path, TORTURE, kind=Reared, apart=True) as world:
        world.gateway.log = Path("/dev/full")
        await world.gateway.start()
        await world.client.hand_in(PHONE, 0)
        assert check(await world.settled()) == []
        assert await world.gateway.stop() == 0


async def test_a_process_out_of_files_loses_nothing_and_recovers(world: World) -> None:
    """Connections that nobody can take wait or are refused; when files are free again all goes on."""
    await world.tell("fail", "503")
    await world.client.hand_in(OTHER, 0)
    limit = len(list(Path(f"/proc/{pid(world)}/fd").iterdir())) + 3
    before = limited(pid(world), limit)
    host, port = world.gateway.address.removeprefix("http://").split(":")
    held = [await asyncio.open_connection(host, int(port)) for _ in range(12)]
    await world.tell("well")
    await asyncio.sleep(0.5)
    calls = asyncio.gather(*(world.client.hand_in(phone, 1) for phone in (PHONE, OTHER)))
    await asyncio.sleep(1)
    limited(pid(world), before)
    for _, writer in held:
        writer.close()
    await asyncio.wait_for(calls, 30)
    assert check(await world.settled(in_flight=1)) == []
    assert await ready(world)


def limited(process: int, files: int) -> int:
    """Sets how many files a process may have open; returns how many it might have before."""
    soft, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (files, hard))
    return soft


async def is_not(question: Awaitable[bool]) -> bool:
    """The opposite."""
    return not await question
