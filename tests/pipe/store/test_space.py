"""What is pruned gives its space back: rows, pages, the log and the files, while others write."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from pipe.store import blobs, retention, schema
from pipe.testing import FakeClock
from tests.pipe.house import House

DAY = 86400.0
BODY = 8 << 10
MANY = 1500
ROUTE = """
retention: {bodies: 1d, dead: 2d, metadata: 3d}
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in, max_body: 4MiB}
    to: {connection: out, put: x}
"""


@pytest.fixture
def url() -> Any:
    """PostgreSQL has a collector of its own."""
    return lambda: None


def sizes(house: House) -> tuple[int, int]:
    """Bytes of the file and of its log."""
    log = house.data / "pipe.db-wal"
    return (house.data / "pipe.db").stat().st_size, log.stat().st_size if log.exists() else 0


async def free_pages(house: House) -> int:
    """Pages of the file that hold nothing."""
    return await house.store.read(lambda c: int(c.exec_driver_sql("PRAGMA freelist_count").scalar() or 0))


async def filled(house: House) -> None:
    """Many delivered messages of 8 KiB, and no upkeep but what the test asks for."""
    await house.start(ROUTE)
    for task in house.engine._clockwork:
        if task.get_name() == "upkeep":
            task.cancel()
    for _ in range(MANY // 300):
        await asyncio.gather(*(house.put(os.urandom(BODY)) for _ in range(300)))
    await house.done(MANY)
    await house.store.give_back()


async def kept_up(house: House, clock: FakeClock) -> retention.Pruned:
    """One round of upkeep, in which nothing breathes for longer than it must."""
    house.engine.scheduler.suspended_until = float("-inf")
    work = asyncio.create_task(house.engine.upkeep.once())
    while not work.done():
        await clock.advance(0.2)
        await asyncio.sleep(0.002)
    return await work


async def test_the_file_shrinks_when_bodies_are_pruned(house: House, clock: FakeClock) -> None:
    """12 MiB of bodies go, and with them nine tenths of the file; the log is emptied."""
    await filled(house)
    before, _ = sizes(house)
    assert before > MANY * BODY
    await clock.advance(2 * DAY)
    pruned = await kept_up(house, clock)
    file, log = sizes(house)
    assert pruned.bodies == MANY
    assert file < before / 10
    assert log == 0
    assert await free_pages(house) == 0


async def test_one_commit_gives_back_a_bounded_piece(house: House, clock: FakeClock) -> None:
    """Whoever waits for a commit waits for 500 pages at most, not for all that are free."""
    await filled(house)
    await clock.advance(2 * DAY)
    while (await house.store.write(lambda tx: retention.prune(tx, house.engine.upkeep._keep, ["r"]))).more:
        pass
    free = await free_pages(house)
    assert free > 2 * retention.PAGES_AT_ONCE
    assert await house.store.write(retention.shrink) is True
    assert await free_pages(house) == free - retention.PAGES_AT_ONCE


async def test_traffic_goes_on_while_space_is_given_back(house: House, clock: FakeClock) -> None:
    """Everything that is accepted between two rounds is delivered, and the file is smaller all the same."""
    await filled(house)
    before, _ = sizes(house)
    await clock.advance(2 * DAY)
    house.engine.scheduler.suspended_until = float("-inf")
    work = asyncio.create_task(house.engine.upkeep.once())
    sent = 0
    while not work.done():
        await house.put(b"small")
        sent += 1
        await clock.advance(0.2)
    assert sent > 3
    await house.done(MANY + sent)
    assert sizes(house)[0] < before / 5


async def test_a_story_that_is_over_goes_whole_and_leaves_its_totals(house: House, clock: FakeClock) -> None:
    """After `metadata` no row of a message is left; the books still count it."""
    await filled(house)
    await clock.advance(4 * DAY)
    await kept_up(house, clock)
    tables = (schema.message, schema.delivery, schema.attempt)
    assert [await house.count(table) for table in tables] == [0, 0, 0]
    assert (await house.ledger())["delivered"] == MANY
    assert await house.rows(select(func.count()).select_from(schema.dead_letter)) == [{"count_1": 0}]


async def test_a_large_body_goes_with_its_row(house: House, clock: FakeClock) -> None:
    """Its file is removed once no row names it, and not before it is old enough to belong to nobody."""
    await house.start(ROUTE)
    spool = house.store.spool(4 << 20)
    await spool.write(os.urandom(2 << 20))
    body: Any = await spool.finish()
    await house.put(body)
    await house.done(1)
    file = Path(body.path)
    await clock.advance(2 * DAY)
    os.utime(file, (clock.now() - 7200, clock.now() - 7200))
    assert file.exists()
    await kept_up(house, clock)
    assert not file.exists()


async def test_upkeep_outlives_a_look_that_breaks(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot be read for once: later on, what nobody names is swept away as always."""
    sweep, broken = blobs.sweep, [OSError(errno.EIO, "Input/output error")]

    def swept(folder: Path, known: set[str], older_than: float) -> int:
        if broken:
            raise broken.pop()
        return sweep(folder, known, older_than)

    monkeypatch.setattr(blobs, "sweep", swept)
    await house.start(ROUTE)
    nobodys = house.store.blobs / "nobodys"
    nobodys.touch()
    os.utime(nobodys, (0, 0))
    await house.pass_time(900)
    assert (broken, nobodys.exists()) == ([], True)
    while nobodys.exists():
        await house.pass_time(900)
