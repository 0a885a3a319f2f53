"""K6: kill -9 in the middle of a backup, a restore and an erasure leaves nothing or a whole."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from pipe.clock import SystemClock
from pipe.erasing import Erasing
from pipe.operations import Host, perform
from pipe.outcomes import Outcomes
from pipe.store.store import Store
from pipe.testing import FakeClock
from tests.journeys.conftest import World
from tests.journeys.gateway import ROOT
from tests.journeys.nursery import nursery
from tests.pipe.house import House, opened
from tests.pipe.operations.test_erase import CANARY, PHONE, ROUTE, appeal
from tests.torture.crash import attached, killing

pytestmark = [pytest.mark.journey, pytest.mark.timeout(240)]

MESSAGES = 120
PAGES = "pwrite64"
# Where what is cut in two: the copy of the tables, the archive, its name, the clearing up; strace counts by thread.
BACKUP = [(PAGES, 30), ("fdatasync", 9), ("fsync", 1), ("fsync", 2), ("link", 1), ("unlink", 4), ("unlink", 6)]
RESTORE = [("mkdir", 3), ("fsync", 1), (PAGES, 20), ("fdatasync", 8), ("fsync", 5), ("rename", 1)]
ERASE = [("fdatasync", 3), ("fdatasync", 4), ("fdatasync", 5), ("fdatasync", 6), ("fdatasync", 7), (PAGES, 160)]
EVERY = ("fsync", "fdatasync", "link", "rename", "unlink", "mkdir", PAGES, "write", "ftruncate")
MANY = range(1, 26)


def points(few: list[tuple[str, int]]) -> list[object]:
    """A few for every run, and a long sweep."""
    long = [(calls, at) for calls in EVERY for at in MANY if (calls, at) not in few]
    return [*few, *(pytest.param(*point, marks=pytest.mark.deep) for point in long)]


async def pipe(*arguments: str | Path, kill: tuple[str, int] | None = None) -> int:
    """A command as its own process; with `kill` it dies as it begins the so-manieth of these system calls."""
    with TemporaryFile() as words, Path(os.devnull).open("rb") as nothing:
        streams = (nothing.fileno(), words.fileno(), words.fileno())
        process = await nursery(ROOT).bear([*map(str, arguments)], os.environ, ROOT, streams=streams, held=True)
        await process.held()
        async with attached(process.pid, *killing(*kill)) if kill is not None else nullcontext():
            process.send_signal(signal.SIGCONT)
            code = await process.wait()
        words.seek(0)
        assert code in ({0} if kill is None else {0, -signal.SIGKILL}), words.read().decode()
    return code


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the messages of one person, delivered, and no gateway on it."""
    folder = tmp_path_factory.mktemp("original")
    asyncio.run(_filled(folder))
    return folder / "data"


async def _filled(folder: Path) -> None:
    async with opened(House(folder, lambda: None, FakeClock())) as house:
        await house.start(ROUTE.replace("    order_by: body.phone\n", ""))
        await asyncio.gather(*(house.put(appeal(text=f"{CANARY} {n} " * 40)) for n in range(MESSAGES)))
        await house.done(MESSAGES)
        await house.stop()


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    """A copy of it to be cut into pieces."""
    shutil.copytree(original, tmp_path / "data")
    return tmp_path / "data"


def holding(data: Path) -> int:
    """How many messages still hold a body; fails where SQLite finds the file damaged."""
    connection = sqlite3.connect(data / "pipe.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found: int = connection.execute("SELECT count(*) FROM message WHERE kind <> 'gone'").fetchone()[0]
        return found
    finally:
        connection.close()


@pytest.mark.parametrize(("calls", "at"), points(BACKUP))
async def test_a_backup_that_is_killed_is_whole_or_not_there(data: Path, tmp_path: Path, calls: str, at: int) -> None:
    """Under its name lies a good backup or none; the next one clears up what the dead one left."""
    safe = tmp_path / "safe"
    safe.mkdir()
    await pipe("backup", safe / "1.backup", "--data", data, kill=(calls, at))
    if (safe / "1.backup").exists():
        await pipe("backup", "--verify", safe / "1.backup", "--data", data)
    assert holding(data) == MESSAGES
    await pipe("backup", safe / "2.backup", "--data", data)
    assert {path.name for path in safe.iterdir()} <= {"1.backup", "2.backup", "erasures.jsonl"}
    assert not (data / "backup.scratch").exists()


@pytest.fixture(scope="module")
def saved(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it."""
    folder = tmp_path_factory.mktemp("saved")
    shutil.copytree(original, folder / "data")
    asyncio.run(pipe("backup", folder / "1.backup", "--data", folder / "data"))
    return folder / "1.backup"


@pytest.mark.parametrize(("calls", "at"), points(RESTORE))
async def test_a_restore_that_is_killed_is_whole_or_not_there(
    original: Path, saved: Path, tmp_path: Path, calls: str, at: int
) -> None:
    """The folder is complete, paused and sound, or it is not there and can be restored again."""
    copy = tmp_path / "copy"
    command = ("restore", saved, "--keys", original / "keys" / "master.keys", "--data", copy)
    await pipe(*command, kill=(calls, at))
    if not copy.exists():
        await pipe(*command)
    assert holding(copy) == MESSAGES
    connection = sqlite3.connect(copy / "pipe.db")
    marks = connection.execute("SELECT state FROM control WHERE kind = 'gateway' AND name = 'restored'").fetchall()
    connection.close()
    assert marks == [("fresh",)]


@pytest.mark.parametrize(("calls", "at"), points(ERASE))
async def test_an_erasure_that_is_killed_has_not_begun_or_is_ended_at_the_next_start(
    data: Path, calls: str, at: int
) -> None:
    """Nothing is noted and nothing is gone, or it is noted and the next start wipes what is left."""
    await pipe("erase", PHONE, "--reason", "asked in writing", "--data", data, kill=(calls, at))
    store = Store(data, url=None, clock=SystemClock())
    await store.open()
    store.start()
    began = await store.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM erasure").scalar())
    await Erasing(store, lambda: Outcomes(store, 20), ()).go_on()
    books = await perform(Host(store, store.clock, "olena"), "ledger.verify", {})
    await store.close()
    assert books["good"]
    assert holding(data) == (0 if began else MESSAGES)
    if began:
        assert [path.name for path in data.glob("pipe.db*") if CANARY.encode() in path.read_bytes()] == []


async def test_a_gateway_that_is_killed_while_it_makes_a_backup_loses_nothing(world: World, tmp_path: Path) -> None:
    """Under traffic, and killed in the middle of it: the books balance, and the next backup is whole."""
    gateway, safe = world.gateway, tmp_path / "safe"
    safe.mkdir()
    for n in range(60):
        await world.client.hand_in(f"o{n % 5}", n)
    making = asyncio.create_task(gateway.pipe("backup", str(safe / "1.backup"), good=(0, 2)))
    scratch = gateway.data / "backup.scratch"
    while not (scratch.exists() or making.done()):  # noqa: ASYNC110 — a file of another process tells nobody
        await asyncio.sleep(0.001)
    await gateway.kill9()
    await making
    await gateway.start()
    await gateway.pipe("backup", str(safe / "2.backup"))
    for file in safe.glob("*.backup"):
        assert (await gateway.pipe("backup", "--verify", str(file)))["good"]
    assert {path.name for path in safe.iterdir()} <= {"1.backup", "2.backup", "erasures.jsonl"}
    assert not (gateway.data / "backup.scratch").exists()
    assert (await gateway.pipe("ledger", "verify"))["good"]
