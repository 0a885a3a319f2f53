"""The audit cannot be altered unseen: whatever is done to it, verifying names the kind and the place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from pipe.checkpointing import ROWS, Checkpointing
from pipe.errors import BadRequest, StoreUnavailable
from pipe.store import audit_guard, checkpoints, schema
from pipe.store.audit import GENESIS, chain_hash
from pipe.store.audit_verify import Verified, verify
from pipe.store.checkpoints import Signer
from pipe.store.store import Store
from pipe.store.transaction import Tx
from pipe.testing import FakeClock

COUNT = 20


@pytest.fixture
async def store(tmp_path: Path, url: Callable[[], str | None], clock: FakeClock) -> AsyncIterator[Store]:
    """A store whose audit has twenty rows, on either database."""
    made = Store(tmp_path / "data", url=url(), clock=clock)
    await made.open()
    made.start()
    await fill(made, COUNT)
    yield made
    await made.close()


async def fill(store: Store, count: int) -> None:
    """Some rows more."""
    for number in range(count):
        await store.write(lambda tx, number=number: tx.audit("role.changed", after={"n": number}, target=f"t{number}"))  # type: ignore[misc]


async def intrude(store: Store, *statements: str) -> None:
    """Does what somebody can who owns the database: takes the guard away first."""
    guard = audit_guard.removal("sqlite" if "sqlite" in store.url else "postgresql")

    def unit(tx: Tx) -> None:
        for each in (*guard, *statements):
            tx.execute_text(each)

    await store.write(unit)


async def found(store: Store, files: list[Path] | None = None, key: str | None = None) -> list[tuple[str, int]]:
    """Kinds and places."""
    done = await store.read(lambda connection: verify(connection, files or [], key))
    return [(each.kind, each.seq) for each in done.findings]


async def one(store: Store, seq: int) -> dict[str, Any]:
    """A row as it is."""
    query = schema.audit.select().where(schema.audit.c.seq == seq)
    row = await store.read(lambda connection: connection.execute(query).mappings().one())
    return {str(name): value for name, value in row.items()}


def beside(store: Store) -> list[Path]:
    """The file that lies next to the log."""
    return [store.data / checkpoints.FILE]


async def test_a_log_as_it_was_written_is_whole(store: Store) -> None:
    """All rows are counted and nothing is found."""
    done = await store.read(lambda connection: verify(connection, [], None))
    assert (done.rows, done.last, done.findings) == (COUNT, COUNT, [])


async def test_the_database_itself_refuses_to_alter_or_remove(store: Store) -> None:
    """Also for the gateway's own connection."""
    for statement in ("UPDATE audit SET actor = 'mallory'", "DELETE FROM audit WHERE seq = 2"):
        with pytest.raises(DBAPIError, match="only added to"):
            await store.write(lambda tx, sql=statement: tx.execute_text(sql))  # type: ignore[misc]
    assert await found(store) == []


@pytest.mark.parametrize("column", ["at", "actor", "event", "target", "after", "prev", "hash"])
async def test_one_altered_value_is_found_where_it_is(store: Store, column: str) -> None:
    """Whichever of the row it is, and nothing else is said to be wrong."""
    value = "1.5" if column == "at" else "'{\"n\":99}'" if column == "after" else f"'{'0' * 64}'"
    await intrude(store, f"UPDATE audit SET {column} = {value} WHERE seq = 7")
    assert await found(store) == [("altered", 7)]


async def test_an_altered_row_with_a_fitting_hash_is_found(store: Store) -> None:
    """The row after it does not follow it any more."""
    row = await store.read(lambda c: c.execute(schema.audit.select().where(schema.audit.c.seq == 7)).mappings().one())
    forged = {**{str(key): value for key, value in row.items()}, "actor": "somebody"}
    await intrude(store, f"UPDATE audit SET actor = 'somebody', hash = '{chain_hash(forged)}' WHERE seq = 7")
    assert await found(store) == [("altered", 7)]


async def test_missing_rows_are_found_where_they_were(store: Store) -> None:
    """At the beginning and in the middle."""
    await intrude(store, "DELETE FROM audit WHERE seq IN (1, 9, 10)")
    assert await found(store) == [("deleted", 1), ("deleted", 9)]


async def test_rows_that_changed_places_are_told_as_that(store: Store) -> None:
    """Neither is called altered."""
    await intrude(
        store,
        "UPDATE audit SET seq = 100 WHERE seq = 4",
        "UPDATE audit SET seq = 4 WHERE seq = 12",
        "UPDATE audit SET seq = 12 WHERE seq = 100",
    )
    assert await found(store) == [("swapped", 4)]


async def test_contents_that_changed_places_are_told_as_that_too(store: Store) -> None:
    """Numbers and hashes stayed where they were."""
    await intrude(
        store,
        "CREATE TEMPORARY TABLE kept AS SELECT seq, target, after FROM audit WHERE seq IN (4, 12)",
        *(
            f"UPDATE audit SET {name} = (SELECT {name} FROM kept WHERE kept.seq = {other}) WHERE seq = {seq}"
            for seq, other in ((4, 12), (12, 4))
            for name in ("target", "after")
        ),
        "DROP TABLE kept",
    )
    assert await found(store) == [("swapped", 4)]


async def test_a_fork_is_found(store: Store) -> None:
    """Two rows that follow the same one."""
    row = await store.read(lambda c: c.execute(schema.audit.select().where(schema.audit.c.seq == 15)).mappings().one())
    other = {**{str(key): value for key, value in row.items()}, "seq": COUNT + 1, "actor": "twin"}
    other["hash"] = chain_hash(other)
    await store.write(lambda tx: tx.insert(schema.audit, **other))
    assert await found(store) == [("fork", COUNT + 1)]


async def test_a_log_that_was_cut_off_is_shorter_than_what_was_signed(store: Store, clock: FakeClock) -> None:
    """The chain alone cannot tell; the checkpoint that lies beside it does, unasked for."""
    await Checkpointing(store, clock).start()
    await intrude(store, "DELETE FROM audit WHERE seq > 15")
    assert await found(store) == []
    assert await found(store, beside(store)) == [("truncated", 15)]


async def test_a_log_that_was_cut_off_and_went_on_is_not_what_was_signed(store: Store, clock: FakeClock) -> None:
    """Also where there are as many rows again."""
    await Checkpointing(store, clock).start()
    await intrude(store, "DELETE FROM audit WHERE seq > 15")
    store.writer.sequences["audit"] = 15
    await fill(store, 10)
    assert await found(store) == []
    assert await found(store, beside(store)) == [("rewritten", COUNT)]


async def test_a_log_that_was_computed_anew_is_found(store: Store, clock: FakeClock) -> None:
    """Every hash fits the next, and none fits the checkpoint."""
    await Checkpointing(store, clock).start()
    rows = await store.read(lambda c: [dict(row) for row in c.execute(schema.audit.select()).mappings()])
    prev, changes = GENESIS, []
    for row in sorted(rows, key=lambda row: row["seq"]):
        row["actor"] = "an angel"
        row["prev"] = prev
        prev = row["hash"] = chain_hash(row)
        fresh = f"actor='an angel', prev='{row['prev']}', hash='{prev}'"
        changes.append(f"UPDATE audit SET {fresh} WHERE seq={row['seq']}")
    await intrude(store, *changes)
    assert await found(store) == []
    assert await found(store, beside(store)) == [("rewritten", COUNT)]


async def test_checkpoints_that_were_altered_forged_or_taken_away_are_found(store: Store, clock: FakeClock) -> None:
    """By the signature, and because each line names the one before."""
    signing = Checkpointing(store, clock)
    await signing.start()
    for _ in range(3):
        await fill(store, 2)
        await signing.once()
    (path,), key = beside(store), Signer(store.data / "keys" / "audit.key").public
    assert await found(store, [path], key) == []
    lines = path.read_bytes().splitlines(keepends=True)
    forged = replace(checkpoints.Checkpoint(**orjson.loads(lines[1])), count=21)
    for altered, wanted in (
        ([lines[0], *lines[2:]], [("checkpoint", 24)]),
        ([lines[0], forged.line(), *lines[2:]], [("checkpoint", 22), ("checkpoint", 24)]),
        ([lines[0], b"garbage\n", *lines[2:]], [("checkpoint", 0), ("checkpoint", 24)]),
    ):
        path.write_bytes(b"".join(altered))
        assert await found(store, [path], key) == wanted
    path.write_bytes(b"".join([*lines[:-1], lines[-1][:40]]))
    assert await found(store, [path], key) == []  # a kill may cut the last line short


async def test_what_a_full_disk_left_of_a_checkpoint_is_no_forgery(store: Store, clock: FakeClock) -> None:
    """Half a line at the end goes when the next one is written; nothing is found then, nor before."""
    (file,) = beside(store)
    key = Signer(store.data / "keys" / "audit.key").public
    for part in (b'{"at":1,"bef', b"{"):
        await Checkpointing(store, clock).start()
        with file.open("ab") as torn:
            torn.write(part)
        assert await found(store, [file], key) == []
        await fill(store, 1)
        await Checkpointing(store, clock).start()
        assert await found(store, [file], key) == []


async def test_a_copy_that_is_away_for_a_while_breaks_neither_file(
    store: Store, clock: FakeClock, tmp_path: Path
) -> None:
    """The file beside the log is signed on; the copy goes on where it was; both hold together."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    copy = folder / "audit.checkpoints"
    signing = Checkpointing(store, clock, copy)
    await signing.start()
    folder.rename(tmp_path / "away")
    for _ in range(2):
        await fill(store, 1)
        with pytest.raises(StoreUnavailable):
            await signing.once()
    (tmp_path / "away").rename(folder)
    assert await signing.once() is not None
    await fill(store, 1)
    assert await signing.once() is not None
    key = Signer(store.data / "keys" / "audit.key").public
    assert await found(store, [*beside(store), copy], key) == []
    assert [len(file.read_bytes().splitlines()) for file in (*beside(store), copy)] == [4, 3]


async def test_a_foreign_key_is_told(store: Store, clock: FakeClock, tmp_path: Path) -> None:
    """Who signs with a key of his own is found by whoever kept the right one."""
    await Checkpointing(store, clock).start()
    other = Signer(tmp_path / "other.key").public
    assert await found(store, beside(store), other) == [("checkpoint", COUNT)]
    with pytest.raises(BadRequest, match="64 hex"):
        await found(store, beside(store), "abc")


async def test_checkpoints_come_every_minute_and_every_thousand_rows(
    store: Store, clock: FakeClock, tmp_path: Path
) -> None:
    """In both files, and never for nothing."""
    copy = tmp_path / "elsewhere" / "copy"
    copy.parent.mkdir()
    signing = Checkpointing(store, clock, copy)
    await signing.start()
    assert await signing.once() is None
    await fill(store, 1)
    await signing._look()
    assert len(list(checkpoints.read(copy))) == 1
    await clock.advance(60)
    await signing._look()
    assert len(list(checkpoints.read(copy))) == 2

    def many(tx: Tx) -> None:
        for _ in range(ROWS):
            tx.audit("many")

    await store.write(many)
    await signing._look()
    marks = [mark for _, mark, _ in checkpoints.read(copy) if mark is not None]
    assert [mark.count for mark in marks] == [COUNT, COUNT + 1, COUNT + 1 + ROWS]
    assert copy.read_bytes() == (store.data / checkpoints.FILE).read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600


async def test_a_start_on_a_log_that_was_cut_off_goes_on_and_stays_findable(store: Store, clock: FakeClock) -> None:
    """The gateway starts, says it loudly, and verifying names it ever after."""
    await Checkpointing(store, clock).start()
    await intrude(store, "DELETE FROM audit WHERE seq > 15")
    store.writer.sequences["audit"] = 15
    await fill(store, 1)
    await Checkpointing(store, clock).start()
    assert ("truncated", 16) in await found(store, beside(store))


# --- whatever byte ------------------------------------------------------------------------------------------------


def small_log() -> Connection:
    """A log in memory, without a guard."""
    connection = create_engine("sqlite://").connect()
    schema.audit.create(connection)
    prev = GENESIS
    for seq in range(1, 9):
        row = {"seq": seq, "at": 1000.5 + seq, "actor": "person/олена", "event": "grant.given", "target": "тарас"}
        row |= {"before": None, "after": f'{{"n":{seq}}}', "prev": prev}
        prev = row["hash"] = chain_hash(row)
        connection.execute(schema.audit.insert(), row)
    return connection


TEXTS = ("actor", "event", "target", "after", "prev", "hash")


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 8), st.sampled_from(TEXTS), st.integers(0, 10_000), st.integers(1, 127))
def test_any_altered_byte_is_found_in_its_row(seq: int, column: str, at: int, change: int) -> None:
    """One byte of any text of any row."""
    with small_log() as connection:
        query = text(f"SELECT {column} FROM audit WHERE seq = :seq")
        data = bytearray(str(connection.execute(query, {"seq": seq}).scalar_one()).encode())
        data[at % len(data)] = (data[at % len(data)] + change) % 128
        value = data.decode(errors="replace")
        connection.execute(text(f"UPDATE audit SET {column} = :value WHERE seq = :seq"), {"value": value, "seq": seq})
        done: Verified = verify(connection, [], None)
        assert [(each.kind, each.seq) for each in done.findings] == [("altered", seq)]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_any_rows_taken_away_but_at_the_end_are_found(seed: int) -> None:
    """Each gap is one finding, at its first row."""
    chance = Random(seed)
    gone = sorted(chance.sample(range(1, 8), chance.randint(1, 5)))
    with small_log() as connection:
        connection.execute(schema.audit.delete().where(schema.audit.c.seq.in_(gone)))
        firsts = [seq for seq in gone if seq - 1 not in gone]
        assert [(each.kind, each.seq) for each in verify(connection, [], None).findings] == [
            ("deleted", seq) for seq in firsts
        ]
