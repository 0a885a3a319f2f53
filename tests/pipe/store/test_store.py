"""The store as a whole: its lock, tables, feeds, damaged rows, what is sealed, large bodies."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, select, update

from pipe.contract import Blob
from pipe.errors import RowDamaged, SchemaTooNew, SecretMissing, StoreLocked, TooLarge
from pipe.store import audit, schema
from pipe.store.vault import Vault
from pipe.testing import FakeClock
from tests.pipe.house import House, altered

CANARY = "+380671234567"
ROUTE = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    retry: {attempts: 3, first: 10s}
    to: {connection: out, put: x}
"""
OPEN = "import sys, asyncio\nfrom pathlib import Path\n"
OPEN += "from pipe.clock import SystemClock\nfrom pipe.store.store import Store\n"
SECOND = OPEN + "asyncio.run(Store(Path(sys.argv[1]), url=None, clock=SystemClock()).open())\n"


async def test_a_second_process_is_refused_with_the_number_of_the_first(tmp_path: Path, clock: FakeClock) -> None:
    """F5: one gateway for each data folder."""
    house = House(tmp_path, lambda: None, clock)
    await house.open()
    second = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", SECOND, str(house.data)], capture_output=True, text=True, check=False
    )
    await house.store.close()
    assert second.returncode != 0
    assert f"in use by process {os.getpid()}" in second.stderr


async def test_two_folders_cannot_share_one_database(house: House, tmp_path: Path, clock: FakeClock) -> None:
    """On PostgreSQL the database itself is locked, wherever the folders lie."""
    await house.open()
    if house.url is None:
        house.url = f"sqlite:///{house.data / 'pipe.db'}"
        other = House(tmp_path, lambda: house.url, clock)
    else:
        other = House(tmp_path / "other", lambda: house.url, clock)
    with pytest.raises(StoreLocked):
        await other.open()


async def test_the_lock_is_free_after_a_stop(house: House) -> None:
    """The next gateway may open the folder."""
    await house.open()
    await house.store.close()
    await house.open()


async def test_each_migration_runs_once(house: House) -> None:
    """A flow's tables are made at the first start and found at the second; a new migration runs alone."""
    ran: list[str] = []
    table = Table("of_flow", MetaData(), Column("id", Integer, primary_key=True), Column("name", String))

    def first(connection: Connection) -> None:
        ran.append("first")
        table.create(connection)

    def second(connection: Connection) -> None:
        ran.append("second")

    for migrations in ((first,), (first,), (first, second)):
        house.migrations = migrations
        await house.open()
        await house.store.close()
    assert ran == ["first", "second"]


async def test_a_migration_that_fails_changes_nothing(house: House) -> None:
    """Its tables and its number are undone together, and the next start tries again."""
    table = Table("of_flow", MetaData(), Column("id", Integer, primary_key=True))

    def breaks(connection: Connection) -> None:
        raise ZeroDivisionError

    house.migrations = (table.create, breaks)
    with pytest.raises(ZeroDivisionError):
        await house.open()
    house.migrations = (table.create,)
    await house.open()
    assert await house.count(table) == 0


async def test_a_folder_of_a_newer_gateway_is_refused(house: House) -> None:
    """Nothing is read with the wrong idea of its tables."""
    store = await house.open()
    await store.write(lambda tx: tx.execute(update(schema.version).values(version=999)) and None)
    await store.close()
    with pytest.raises(SchemaTooNew, match="999"):
        await house.open()


async def test_a_feed_is_followed_in_order_without_a_gap(house: House) -> None:
    """A reader that waits gets every event once, also those of many writers at once."""
    store = await house.open()
    seen: list[int] = []

    async def follow() -> None:
        after = 0
        while len(seen) < 200:
            for seq, _, event in await store.follow("t", after):
                assert event == b'{"n":%d}' % seq
                seen.append(seq)
                after = seq

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for _ in range(200):
            group.create_task(_publish(house))
    assert seen == list(range(1, 201))


async def _publish(house: House) -> None:
    await house.store.write(lambda tx: tx.publish("t", {"n": tx._sequences.get("feed", 0) + 1}))


async def test_a_reader_of_a_feed_goes_on_where_it_left_off(house: House) -> None:
    """`Last-Event-ID` works over a restart, and other topics are not in the way."""
    store = await house.open()
    await store.write(lambda tx: [tx.publish(topic, {"n": n}) for n, topic in enumerate(("a", "b", "a", "a"))])
    await store.close()
    await house.open()
    assert [seq for seq, *_ in await house.store.follow("a", 1)] == [3, 4]


@pytest.mark.parametrize("column", ["body", "envelope"])
async def test_a_flipped_byte_is_buried_and_never_delivered(house: House, column: str) -> None:
    """F4: the damaged message is a dead letter of its own class; others flow."""
    await house.start(ROUTE)
    house.engine.switches.routes.add("r")
    for body in ("one", "two"):
        await house.put(body, headers={"a": "b"})
    await house.crash()
    await house.open()
    await house.store.write(lambda tx: _flip(tx, column))
    await house.store.close()
    await house.start(ROUTE)
    rows = await house.done(2)
    assert [(row["state"], row["code"]) for row in rows] == [("dead", RowDamaged.code), ("delivered", None)]
    assert house.partner("out").bodies == [b"two"]


def _flip(tx: Any, column: str) -> None:
    at = schema.message.c.seq == 1
    data = bytearray(tx.execute(select(schema.message.c[column]).where(at)).scalar())
    data[1] ^= 1
    tx.execute(update(schema.message).where(at).values({column: bytes(data)}))


async def test_a_flipped_byte_in_what_the_steps_made_is_never_delivered(house: House) -> None:
    """The stored output of the steps is as much guarded as the original."""
    await house.start(ROUTE)
    house.partner("out").script = [_temporary()]
    await house.put("hello")
    await house.reaches("retry")
    await house.crash()
    await house.open()

    def flip(tx: Any) -> None:
        data = bytearray(tx.execute(select(schema.message.c.output)).scalar())
        data[-1] ^= 1
        tx.execute(update(schema.message).values(output=bytes(data)))

    await house.store.write(flip)
    await house.store.close()
    await house.start(ROUTE)
    await house.pass_time(20)
    (row,) = await house.done(1)
    assert (row["state"], row["code"], house.partner("out").bodies) == ("dead", RowDamaged.code, [])


def _temporary() -> Any:
    from pipe.errors import PeerFailed

    return PeerFailed("not now")


SENSITIVE = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
  other: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    order_by: body.phone
    subject: body.phone
    idempotency: {key: body.phone}
    sensitive: [body.phone]
    retry: {attempts: 2, first: 10s}
    steps:
      - decode: json
      - map: {to: body.phone, text: "concat('to ', body.phone)"}
    to: [{connection: out, put: x}, {connection: other, put: y, steps: [{set: {headers.p: body.to}}]}]
"""


@pytest.mark.key("routes.sensitive")
async def test_a_sensitive_value_is_nowhere_in_the_files(tmp_path: Path, clock: FakeClock) -> None:
    """Original, output, dead letter, attempts, keys: whatever reached the disk is searched for a canary."""
    from pipe.contract import Receipt
    from pipe.errors import PeerFailed, Refused

    house = House(tmp_path, lambda: None, clock)
    await house.start(SENSITIVE)
    echo = Receipt(500, body={"you sent": CANARY})
    house.partner("out").script = [
        PeerFailed(f"cannot reach {CANARY}", reply=echo),
        Refused(f"no {CANARY}", reply=echo),
    ]
    house.partner("other").script = [PeerFailed(f"cannot reach {CANARY}", reply=echo)]
    await house.put(f'{{"phone": "{CANARY}"}}', headers={"x": CANARY})
    await house.pass_time(60)
    await house.done(2)
    on_disk = b"".join(path.read_bytes() for path in house.data.glob("pipe.db*"))
    await house.stop()
    assert CANARY.encode() not in on_disk
    assert len(house.partner("other").taken) == 1


async def test_a_large_body_is_a_file_that_is_synced_before_the_commit(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to 1 MiB stays in memory; beyond it the file and its folder are synced by `finish`."""
    store = await house.open()
    synced: list[int] = []
    real = os.fsync

    def sync(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", sync)
    small, large = store.spool(10 << 20), store.spool(10 << 20)
    await small.write(b"a" * (1 << 20))
    assert (await small.finish(), synced) == (b"a" * (1 << 20), [])
    for _ in range(3):
        await large.write(b"b" * (1 << 20))
    blob = await large.finish()
    assert isinstance(blob, Blob)
    assert (blob.size, blob.read()) == (3 << 20, b"b" * (3 << 20))
    assert synced == [blob.path.stat().st_ino, store.blobs.stat().st_ino]


async def test_a_body_past_its_limit_leaves_no_file(house: House) -> None:
    """The spool refuses and cleans up."""
    store = await house.open()
    spool = store.spool(2 << 20)
    await spool.write(b"a" * (2 << 20))
    with pytest.raises(TooLarge):
        await spool.write(b"a")
    assert list(store.blobs.iterdir()) == []


async def test_a_large_body_is_delivered_after_a_restart(house: House) -> None:
    """The row names the file; the file outlives the process."""
    await house.start(ROUTE)
    house.engine.switches.routes.add("r")
    spool = house.store.spool(10 << 20)
    await spool.write(b"c" * (2 << 20))
    blob = await spool.finish()
    assert isinstance(blob, Blob)
    await house.door("r").accept(_arrival(blob))
    await house.crash()
    await house.start(ROUTE)
    await house.done(1)
    (body,) = house.partner("out").bodies
    assert body.read() == b"c" * (2 << 20)


def _arrival(blob: Blob) -> Any:
    from pipe.contract import Arrival

    return Arrival(blob)


def test_a_rotated_vault_opens_what_the_older_key_sealed(tmp_path: Path) -> None:
    """The last key seals, every key opens, and hashes do not change with rotation."""
    path = tmp_path / "keys"
    old = Vault(path)
    sealed, hashed = old.seal(b"secret", "a"), old.hash("subject", CANARY)
    path.write_text(path.read_text() + "k2:" + "ab" * 32 + "\n")
    new = Vault(path)
    assert (new.open(sealed, "a"), new.hash("subject", CANARY)) == (b"secret", hashed)
    assert new.seal(b"x", "a").startswith(b"k2:")
    with pytest.raises(SecretMissing, match="k2"):
        old.open(new.seal(b"x", "a"), "a")


def test_what_is_sealed_cannot_be_moved_or_altered(tmp_path: Path) -> None:
    """It opens only for what it was sealed for."""
    vault = Vault(tmp_path / "keys")
    sealed = vault.seal(b"secret", "a")
    with pytest.raises(RowDamaged):
        vault.open(sealed, "b")
    with pytest.raises(RowDamaged):
        vault.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "a")


def test_the_master_key_is_for_its_owner_only(tmp_path: Path) -> None:
    """Nobody else on the machine may read it."""
    Vault(tmp_path / "keys" / "master.keys")
    assert (tmp_path / "keys" / "master.keys").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("column", ["actor", "event", "target", "before", "after", "prev", "hash"])
async def test_an_altered_audit_row_shows(house: House, column: str) -> None:
    """Each field is under the hash; the number of the first broken row is told."""
    store = await house.open()
    for n in range(3):
        await store.write(lambda tx, n=n: tx.audit("e", before={"n": n}, after={"n": n + 1}, target="t", actor="me"))  # type: ignore[misc]
    assert await store.read(audit.first_broken) is None
    await store.write(altered(update(schema.audit).where(schema.audit.c.seq == 2).values({column: "x"})))
    assert await store.read(audit.first_broken) == 2


async def test_a_missing_audit_row_shows(house: House) -> None:
    """The chain breaks where a row was taken out."""
    store = await house.open()
    for _ in range(3):
        await store.write(lambda tx: tx.audit("e"))
    await store.write(altered(schema.audit.delete().where(schema.audit.c.seq == 2)))
    assert await store.read(audit.first_broken) == 3


async def test_an_audit_row_vanishes_with_its_unit(house: House) -> None:
    """What was not done was not done by anybody, and the chain goes on."""
    store = await house.open()

    def broken(tx: Any) -> None:
        tx.audit("bad")
        raise ValueError

    await asyncio.gather(
        store.write(lambda tx: tx.audit("a")),
        store.write(broken),
        store.write(lambda tx: tx.audit("b")),
        return_exceptions=True,
    )
    assert [row["event"] for row in await house.rows(schema.audit.select().order_by(schema.audit.c.seq))] == ["a", "b"]
    assert await store.read(audit.first_broken) is None


async def test_the_embedded_store_syncs_every_commit(tmp_path: Path, clock: FakeClock) -> None:
    """WAL with synchronous=FULL: the settings that the promise rests on."""
    house = House(tmp_path, lambda: None, clock)
    store = await house.open()
    found = await store.write(
        lambda tx: [
            tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "auto_vacuum")
        ]
    )
    await store.close()
    assert found == ["wal", 2, 2]
    with sqlite3.connect(house.data / "pipe.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
