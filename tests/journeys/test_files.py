"""The whole gateway between two folders of a partner: a folder of this machine, FTP, SFTP."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.files_bench import (
    AsyncsshPlace,
    FolderPlace,
    Openssh,
    Place,
    Proftpd,
    Pyftpd,
    Vsftpd,
    VsftpdExplicit,
    open_folder,
)
from tests.journeys.conftest import until
from tests.journeys.files import Harbour, harbour

pytestmark = pytest.mark.journey

DEEP = os.environ.get("PIPE_DEEP") == "1"
KINDS: tuple[type[Place], ...] = (FolderPlace, Pyftpd, AsyncsshPlace)
OTHERS: tuple[type[Place], ...] = (Vsftpd, VsftpdExplicit, Proftpd, Openssh)
CALLS = ("renameat,unlinkat,mkdirat,linkat", "fsync,fdatasync")
"""by which a gateway changes a folder, and its own store"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that servers can enter who run as somebody else."""
    with open_folder() as folder:
        yield folder


# --- kill -9


async def _swept(here: Harbour, points: list[tuple[int, bool]]) -> None:
    for at, heard in points:
        await here.life(at, heard=heard)
    await here.end()
    assert here.cuts >= 2  # on a busy machine several words arrive as one, and a life has fewer of them


@pytest.mark.parametrize("kind", [Pyftpd, AsyncsshPlace], ids=lambda kind: kind.name)
async def test_killed_at_a_sample_of_its_words_it_loses_nothing_and_takes_nothing_twice(
    shared: Path, kind: type[Place]
) -> None:
    """Claim, read, accept, move away; upload, rename: the server has heard the word, or has not."""
    points = [(at, at % 2 == 0) for at in (31, 36, 41, 44, 47, 52, 57, 62)]
    async with harbour(kind(shared / "place"), shared) as here:
        await _swept(here, points)


@pytest.mark.debian
@pytest.mark.parametrize("calls", CALLS, ids=["names", "syncs"])
async def test_killed_at_a_sample_of_its_calls_it_loses_nothing_and_takes_nothing_twice(
    shared: Path, calls: str
) -> None:
    """The same with a folder of this machine, whose words are calls of the system."""
    async with harbour(FolderPlace(shared / "place"), shared) as here:
        for at in (1, 2, 3, 5):
            await here.life(at, calls=calls)
        await here.end()
        assert here.cuts >= 2


@pytest.mark.deep
@pytest.mark.debian
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("heard", [False, True], ids=["lost", "heard"])
@pytest.mark.parametrize("kind", [*KINDS[1:], *OTHERS], ids=lambda kind: kind.name)
async def test_killed_at_each_of_its_words_it_loses_nothing_and_takes_nothing_twice(
    shared: Path, kind: type[Place], heard: bool
) -> None:
    """The n-th word for n = 1, 2, … until three lives in a row end unkilled."""
    async with harbour(kind(shared / "place"), shared) as here:
        at, whole = 1, 0
        while whole < 3:
            whole = 0 if await here.life(at, heard=heard) else whole + 1
            at += 1
        await here.end()
        assert here.cuts >= at - 4 > 20


@pytest.mark.deep
@pytest.mark.debian
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("calls", [*CALLS, "openat", "write"])
async def test_killed_at_each_of_its_calls_it_loses_nothing_and_takes_nothing_twice(shared: Path, calls: str) -> None:
    """The same with a folder of this machine."""
    async with harbour(FolderPlace(shared / "place"), shared) as here:
        at, whole = 1, 0
        while whole < 3:
            whole = 0 if await here.life(at, calls=calls) else whole + 1
            at += 1
        await here.end()
        assert here.cuts >= at - 4 > 3


# --- how much, how many

SIZE = (1 << 30) if DEEP else 100 << 20
MANY = 10_000 if DEEP else 200


@pytest.mark.timeout(1800 if DEEP else 120)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_large_file_passes_with_flat_memory(shared: Path, kind: type[Place]) -> None:
    """From the place to the gateway's disk, and from there to the place: a part of it is in memory at a time."""
    async with harbour(kind(shared / "place"), shared, wired=False) as here:
        await here.gateway.start()
        here.offer("small.csv", b"x")
        await until(here.settled)
        before = _peak(here)
        (large := here.disk / "large").touch()
        os.truncate(large, SIZE)
        large.chmod(0o666)
        large.rename(here.disk / "in" / "large.csv")

        async def through() -> bool:
            return len(here.put()) == 2 and (here.disk / "done" / "large.csv").exists()

        await until(through, 900 if DEEP else 90)
        grown = _peak(here) - before
        assert here.put()[1].stat().st_size == SIZE
        assert grown < 48 << 20


def _peak(here: Harbour) -> int:
    """The most memory that the gateway has had."""
    assert here.gateway.process is not None
    status = Path(f"/proc/{here.gateway.process.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


@pytest.mark.timeout(3600 if DEEP else 120)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_many_files_pass_in_their_order(shared: Path, kind: type[Place]) -> None:
    """Oldest first, each once, and delivered in that order too."""
    async with harbour(kind(shared / "place"), shared, wired=False, order_by="'one'") as here:
        for number in range(MANY):
            here.offer(f"{number}.csv", b"%d" % number, modified=1_795_000_000 + number)
        await here.gateway.start()
        await until(here.settled, 3000 if DEEP else 90)
        files = here.put()
        assert [int(file.read_bytes()) for file in files] == list(range(MANY))
        times = [file.stat().st_mtime_ns for file in files]
        assert times == sorted(times)
