"""Backups of the embedded store: the copy of its tables, what it needs, and what it leaves out."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pipe.errors import PipeError, StoreFull
from pipe.operations.backing_up import _copying
from pipe.store import archive, backup, restore, schema
from pipe.testing import FakeClock
from tests.pipe.house import House
from tests.pipe.operations.hosts import begin, do, host_of
from tests.pipe.operations.test_backup import ROUTE, filled, folder, restored


@pytest.fixture
def url() -> Any:
    """The tables of PostgreSQL are in no backup."""
    return lambda: None


async def test_what_a_person_had_paused_stays_so_in_the_copy(house: House) -> None:
    """Resuming the copy takes back the pauses of the restore, not those of people."""
    await filled(house)
    await do(house, "pause", name="out", reason="maintenance")
    found = await do(house, "backup", path=str(folder(house, "safe")))
    await house.stop()
    await restored(house, found["file"])
    house.data = house.folder / "copy"
    await house.open()
    await house.store.write(lambda tx: restore.hold(tx, house.configuration(ROUTE)))
    assert await house.store.write(restore.release) == [("connection", "in"), ("route", "r")]
    rows = await house.rows(select(schema.control.c.name).where(schema.control.c.state == "paused"))
    assert [row["name"] for row in rows] == ["out"]


async def test_a_backup_leaves_the_disk_its_floor(house: House) -> None:
    """The copy of the tables needs room for a while; where there is none, it says how much."""
    await filled(house)
    copying = _copying(host_of(house), 1.0)
    copying.floor = shutil.disk_usage(house.data).free + (1 << 30)
    with pytest.raises(StoreFull, match="must stay free"):
        await asyncio.to_thread(copying.make, folder(house, "safe") / "x.backup")
    assert not house.store.scratch.exists()


async def test_a_damaged_store_is_not_backed_up_as_if_it_were_well(house: House, clock: FakeClock) -> None:
    """A page that is not what it should be ends the backup with an error that says what to do."""
    await filled(house)
    await house.stop()
    path = house.data / "pipe.db"
    with sqlite3.connect(path) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'attempt'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 64)
    await house.open()
    copying = _copying(host_of(house), 1.0)
    with pytest.raises(PipeError):
        await asyncio.to_thread(copying.make, folder(house, "safe") / "x.backup")
    assert list((house.folder / "safe").iterdir()) == []


async def test_free_pages_stay_out_of_a_backup(house: House) -> None:
    """What was deleted before it cannot be found in its tables, not even by looking at bytes."""
    await begin(house, ROUTE)
    await house.put("canary in the mine " * 500)
    await house.done(1)
    await house.store.write(lambda tx: tx.execute(schema.message.update().values(body=b"")) and None)
    found = await do(house, "backup", path=str(folder(house, "safe")))
    out = house.folder / "out.db"

    def take(name: str, content: archive.Counting) -> None:
        out.write_bytes(content.read())

    backup.unpack(Path(found["file"]), house.store.vault, take, lambda n: None)
    assert b"canary" not in out.read_bytes()
