"""The writer: units that share commits, and what a failing disk does to them."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import insert, text

from pipe.contract import Message
from pipe.errors import StoreFull, StoreUnavailable
from pipe.store import journal, schema
from pipe.store.journal import Entry
from pipe.store.journal_sql import ENDS
from pipe.store.transaction import Tx
from pipe.store.writer import LARGEST_GROUP
from tests.pipe.house import House


def put(tx: Tx, name: str, size: int = 10) -> None:
    """Stores one message."""
    entry = Entry(Message(name, "r", b"x" * size, received_at=1.0), ("out",))
    journal.store(tx, entry, None)  # type: ignore[arg-type]  # no value is sensitive, so no vault is asked


async def names(house: House) -> list[str]:
    """The ids that are on disk."""
    return sorted(row["id"] for row in await house.rows(schema.message.select()))


@contextmanager
def smallest_files(size: int) -> Iterator[None]:
    """While it lasts no file grows beyond `size` bytes: the kernel answers with an error, as a broken disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_unit_that_raises_is_undone_alone(house: House) -> None:
    """Others of its group commit, and what it counted does not count."""
    store = await house.open()

    def broken(tx: Tx) -> None:
        put(tx, "bad")
        raise ValueError("no")

    results = await asyncio.gather(
        *(store.write(unit) for unit in (lambda tx: put(tx, "a"), broken, lambda tx: put(tx, "b"))),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), ValueError, type(None)]
    assert await names(house) == ["a", "b"]
    assert await house.ledger() == {"accepted": 2}


async def test_a_unit_that_breaks_a_rule_of_the_database_is_undone_alone(house: House) -> None:
    """A hot statement's own error is like any other error of a unit."""
    store = await house.open()
    units = (lambda tx: put(tx, "a"), lambda tx: put(tx, "a"), lambda tx: put(tx, "b"))
    results = await asyncio.gather(*(store.write(unit) for unit in units), return_exceptions=True)
    assert [result is None for result in results] == [True, False, True]
    assert await names(house) == ["a", "b"]


async def test_what_fails_after_the_rows_were_written_fails_the_group(house: House) -> None:
    """A unit that cannot take what became of its rows leaves none of the others told and not written."""
    store = await house.open()

    def hears(tx: Tx) -> None:
        put(tx, "b")
        tx.later(ENDS, (0, "delivered", tx.now, 1, 0.0, None, None, None, 0.0), then=breaks)

    def breaks(tx: Tx, found: bool) -> None:
        raise ValueError(found)

    units: list[Any] = [lambda tx: put(tx, "a"), hears, lambda tx: put(tx, "c")]
    results = await asyncio.gather(*(store.write(unit) for unit in units), return_exceptions=True)
    told = [name for name, result in zip("abc", results, strict=True) if result is None]
    assert await names(house) == told
    assert results[1] is not None


async def test_a_result_comes_only_after_the_commit(house: House) -> None:
    """Another connection sees what a resolved unit wrote."""
    store = await house.open()
    for name in ("a", "b", "c"):
        await store.write(lambda tx, name=name: put(tx, name))  # type: ignore[misc]
        assert name in await names(house)


async def test_many_units_share_one_commit(house: House) -> None:
    """A hundred callers at once pay for far fewer commits."""
    store = await house.open()
    await asyncio.gather(*(store.write(lambda tx, n=n: put(tx, f"m{n}")) for n in range(100)))  # type: ignore[misc]
    assert store.writer.units == 100
    assert store.writer.commits <= 20


async def test_a_failed_commit_fails_all_of_its_group(house: House) -> None:
    """None of them is on disk, none of them is told to be."""
    store = await house.open()

    def spoil(tx: Tx) -> None:
        put(tx, "spoiler")
        if tx.dialect == "sqlite":
            tx.connection.exec_driver_sql("PRAGMA max_page_count=1")
        else:
            tx.connection.exec_driver_sql("CREATE TABLE later (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            tx.connection.exec_driver_sql("INSERT INTO later VALUES (1), (1)")

    units: list[Any] = [lambda tx: put(tx, "a"), spoil, lambda tx: put(tx, "b", 1 << 20)]
    results = await asyncio.gather(*(store.write(unit) for unit in units), return_exceptions=True)
    assert [isinstance(result, StoreFull | StoreUnavailable) for result in results] == [True, True, True]
    assert await names(house) == []
    assert await house.ledger() == {}


async def test_a_full_disk_refuses_and_goes_on_when_there_is_room(tmp_path: Any, clock: Any) -> None:
    """F1: nothing is accepted, nothing is closed; with room again the next unit commits."""
    house = House(tmp_path, lambda: None, clock)
    store = await house.open()
    try:
        await store.write(lambda tx: put(tx, "a"))
        pages = await store.write(lambda tx: tx.connection.exec_driver_sql("PRAGMA page_count").scalar())
        await store.write(lambda tx: tx.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar())
        with pytest.raises(StoreFull, match="full"):
            await store.write(lambda tx: put(tx, "b", 100_000))
        await store.write(lambda tx: tx.connection.exec_driver_sql("PRAGMA max_page_count=1000000").scalar())
        await store.write(lambda tx: put(tx, "c", 100_000))
        assert await names(house) == ["a", "c"]
    finally:
        await store.close()


async def test_a_disk_that_fails_closes_the_store_for_good(tmp_path: Any, clock: Any) -> None:
    """F2: after an I/O error nothing is accepted any more, though the disk may seem well again; the process is told."""
    house = House(tmp_path, lambda: None, clock)
    store = await house.open()
    told: list[StoreUnavailable] = []
    store.writer.on_failure = told.append
    try:
        await store.write(lambda tx: put(tx, "a"))
        with (
            smallest_files((tmp_path / "data" / "pipe.db-wal").stat().st_size),
            pytest.raises(StoreUnavailable, match="I/O"),
        ):
            await store.write(lambda tx: put(tx, "b", 1 << 20))
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.write(lambda tx: put(tx, "c"))
        assert [error.code for error in told] == ["PIPE-4001"]
        assert await names(house) == ["a"]
    finally:
        await store.close()


async def test_units_that_were_queued_before_the_failure_are_refused_too(tmp_path: Any, clock: Any) -> None:
    """The kernel may have dropped what the failed commit wrote: a later sync that succeeds would lie."""
    house = House(tmp_path, lambda: None, clock)
    store = await house.open()
    try:
        await store.write(lambda tx: put(tx, "a"))
        limit = (tmp_path / "data" / "pipe.db-wal").stat().st_size
        soft = resource.getrlimit(resource.RLIMIT_FSIZE)

        def breaks(tx: Tx) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, soft[1]))
            put(tx, "b", 1 << 20)

        def heals(tx: Tx) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, soft)
            put(tx, "late")

        # The disk is well again for the group after the one that failed.
        units = [breaks, *([lambda tx: None] * (LARGEST_GROUP - 1)), heals]
        try:
            results = await asyncio.gather(*(store.write(unit) for unit in units), return_exceptions=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, soft)
        assert {type(result) for result in results} == {StoreUnavailable}
        assert await names(house) == ["a"]
    finally:
        await store.close()


async def test_numbers_go_on_after_a_restart(house: House) -> None:
    """No number is given twice, so that order survives."""
    store = await house.open()
    for name in ("a", "b"):
        await store.write(lambda tx, name=name: put(tx, name))  # type: ignore[misc]
    await store.close()
    store = await house.open()
    await store.write(lambda tx: put(tx, "c"))
    assert [row["seq"] for row in await house.rows(schema.message.select().order_by(schema.message.c.seq))] == [1, 2, 3]


async def test_a_slow_reader_cannot_write(house: House) -> None:
    """Pages read through connections that refuse to change anything."""
    store = await house.open()
    with pytest.raises(Exception, match=r"read-?only"):
        await store.read(
            lambda connection: connection.execute(
                insert(schema.feed), {"seq": 1, "topic": "t", "at": 1.0, "event": b""}
            )
        )


async def test_a_read_that_takes_too_long_is_stopped(tmp_path: Any, clock: Any) -> None:
    """A page's search cannot hold the store."""
    house = House(tmp_path, lambda: None, clock)
    store = await house.open()
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    try:
        with pytest.raises(Exception, match="longer than"):
            await store.read(lambda connection: connection.execute(text(endless)).scalar(), 0.05)
    finally:
        await store.close()
