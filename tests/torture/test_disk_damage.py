"""Rows whose bits have turned over: set aside with an alarm, never delivered altered; and folders that two want."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, NullPool, create_engine, select, update

from pipe.store.schema import delivery, message
from tests.journeys.books import quiet, seen
from tests.journeys.conftest import World, a_world, until
from tests.journeys.gateway import Gateway
from tests.journeys.ledger import check
from tests.torture.crash import TORTURE
from tests.torture.nursery import Reared

pytestmark = [pytest.mark.journey, pytest.mark.debian, pytest.mark.timeout(600)]

DEEP = os.environ.get("PIPE_DEEP") == "1"
PHONES = [f"+38067000000{n}" for n in range(6)]
M = message.c
PLACES = [M.body, M.envelope, M.id, M.kind, M.checksum]
FLIPS = 60 if DEEP else 6
"""bits of the file of a whole store, one at a time"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway that has accepted one appeal of each phone, could deliver none, and was killed."""
    async with a_world(tmp_path, TORTURE, kind=Reared, apart=True) as made:
        await made.gateway.start()
        await made.tell("stop")
        for phone in PHONES:
            await made.client.hand_in(phone, 0)
        await made.gateway.kill9()
        await made.tell("start")
        yield made


@pytest.mark.parametrize("column", PLACES, ids=[column.name for column in PLACES])
async def test_a_bit_that_turned_over_sets_its_message_aside_with_an_alarm(world: World, column: Column[Any]) -> None:
    """The one is a dead letter that names the damage; the five others arrive as they were sent."""
    flip_in_row(world.gateway.data, column)
    await world.gateway.start()
    await until(lambda: quiet(world.gateway))
    letters = await world.gateway.ask("dead.list")
    assert [letter["code"] for letter in letters] == ["PIPE-4005"]
    assert "row_damaged" in world.gateway.last_words()
    there = {row.meaning for row in seen(world.house / "partners/registry/seen.jsonl") if row.answer == "ok"}
    wanted = {row.meaning for row in world.client.rows if row.outcome == "accepted"}
    assert (there < wanted, len(there)) == (True, len(PHONES) - 1)
    assert (await world.gateway.ask("ledger.verify"))["good"]


async def test_a_state_that_is_none_is_found_by_the_ledger(world: World) -> None:
    """Nothing of it is delivered; `pipe ledger verify` says that the row is in no state that there is."""
    flip_in_row(world.gateway.data, delivery.c.state)
    await world.gateway.start()
    await until(lambda: arrived(world, len(PHONES) - 1))
    wrong = (await world.gateway.ask("ledger.verify"))["wrong"]
    assert ["no known state" in sentence for sentence in wrong] == [True]


async def arrived(world: World, count: int) -> bool:
    """Whether the partner has confirmed so many."""
    rows = seen(world.house / "partners/registry/seen.jsonl")
    return len({row.id for row in rows if row.answer == "ok"}) >= count


async def test_a_bit_that_turned_over_anywhere_in_the_file_alters_nothing_that_arrives(
    world: World, tmp_path: Path
) -> None:
    """Start after start on the same file, each with another bit wrong: no end but an honest one, nothing invented."""
    data = world.gateway.data
    with closing(sqlite3.connect(data / "pipe.db")) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (data / "pipe.db").read_bytes()
    wanted = {row.meaning for row in world.client.rows if row.outcome == "accepted"}
    chance = random.Random(20261123)
    for _ in range(FLIPS):
        for file in data.glob("pipe.db-*"):
            file.unlink()
        (data / "pipe.db").write_bytes(flipped(whole, chance.randrange(len(whole) * 8)))
        await one_life(world.gateway)
        assert {row.meaning for row in seen(world.house / "partners/registry/seen.jsonl")} <= wanted


async def one_life(gateway: Gateway) -> None:
    """It delivers what it can for a moment, or ends by itself: with 2, and a sentence."""
    await gateway.spawn()
    assert gateway.process is not None
    ready = asyncio.create_task(gateway.until_ready(10))
    await asyncio.wait({ready}, timeout=10)
    if ready.exception() is None:
        await asyncio.sleep(0.3)
        await gateway.kill9()
    else:
        assert await asyncio.wait_for(gateway.process.wait(), 40) == 2, gateway.last_words()
        assert "PIPE-" in gateway.last_words()


def flip_in_row(data: Path, column: Column[Any]) -> None:
    """Turns one bit over in the middle of a value of the second row."""
    engine = create_engine(f"sqlite:///{data / 'pipe.db'}", poolclass=NullPool)
    second = next(iter(column.table.primary_key)) == 2
    with engine.begin() as store:
        value = store.execute(select(column).where(second)).scalar_one()
        if isinstance(value, int):
            changed: object = value ^ 4
        elif isinstance(value, str):
            changed = flipped(value.encode(), len(value) // 2 * 8).decode()
        else:
            changed = flipped(bytes(value), len(value) // 2 * 8)
        store.execute(update(column.table).where(second).values({column: changed}))


def flipped(data: bytes, bit: int) -> bytes:
    """The same but for one bit."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# --- two that want one folder -------------------------------------------------------------------------------------


async def test_a_second_gateway_on_the_folder_is_refused_and_the_first_goes_on(world: World, tmp_path: Path) -> None:
    """It ends with 2 and names the process that is in its way; nothing that the first has accepted suffers."""
    await world.gateway.start()
    second = Gateway(world.gateway.data, world.gateway.config, world.gateway.environment)
    second.log = tmp_path / "second.log"
    address = world.gateway.address
    assert world.gateway.process is not None
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pipe", *second.arguments),
        cwd=second.root,
        env=second.environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, words = await asyncio.wait_for(process.communicate(), 40)
    assert (process.returncode, "PIPE-4006" in words.decode()) == (2, True), words.decode()
    assert f"process {world.gateway.process.pid}" in words.decode() or "a gateway runs" in words.decode()
    assert world.gateway.address == address
    await world.client.hand_in(PHONES[0], 1)
    assert check(await world.settled(in_flight=1)) == []


async def test_a_stranger_that_holds_the_databases_lock_is_waited_for_and_then_refused(world: World) -> None:
    """Five seconds of patience; then 503, not an end; when the stranger lets go all is taken up by itself."""
    await world.gateway.start()
    await until(lambda: quiet(world.gateway))
    with closing(sqlite3.connect(world.gateway.data / "pipe.db", isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        call = asyncio.create_task(world.client.hand_in(PHONES[0], 1))
        await until(lambda: refused(world))
        assert world.gateway.running
        stranger.execute("ROLLBACK")
    await asyncio.wait_for(call, 20)
    assert check(await world.settled(in_flight=1)) == []


async def refused(world: World) -> bool:
    """Whether a client was told no, or heard nothing in its patience."""
    return any(row.outcome != "accepted" for row in world.client.rows)
