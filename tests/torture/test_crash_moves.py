"""kill -9 in the middle of a migration, of a replay and of pruning: each is done, or undone, or goes on."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.books import audited, quiet
from tests.journeys.conftest import World, a_world, until
from tests.torture.crash import NAMES, PAGES, SYNCS, TORTURE, WORDS, calls, killing, sample, sound, watching
from tests.torture.nursery import Reared

pytestmark = [pytest.mark.journey, pytest.mark.debian]

DEEP = os.environ.get("PIPE_DEEP") == "1"
TRACED = [SYNCS, PAGES, WORDS, NAMES] if DEEP else [SYNCS, PAGES]
TIMEOUT = pytest.mark.timeout(1800 if DEEP else 120)
PHONE = "+380670000001"


def points(trace: Path) -> list[int]:
    """Where to cut: everywhere in the deep suite, else a few at each end and a seeded choice."""
    total = calls(trace)
    return list(range(1, total + 1)) if DEEP else sample(total, ends=2, between=2, seed=20261123)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway out of the nursery that does not run yet."""
    async with a_world(tmp_path, TORTURE, kind=Reared, apart=True) as made:
        yield made


def reared(world: World) -> Reared:
    """The world's gateway, as what it is."""
    assert isinstance(world.gateway, Reared)
    return world.gateway


class Folder:
    """A data folder as it was, as often as it is wanted."""

    def __init__(self, data: Path) -> None:
        self._data, self._kept = data, data.with_name("kept")
        shutil.copytree(data, self._kept)

    def restore(self) -> None:
        """Back to where it was."""
        shutil.rmtree(self._data)
        shutil.copytree(self._kept, self._data)


@TIMEOUT
@pytest.mark.parametrize("traced", TRACED, ids=lambda traced: traced.partition(",")[0])
async def test_a_migration_that_is_killed_is_done_by_the_next_start(world: World, tmp_path: Path, traced: str) -> None:
    """The tables are all there or none; the next start brings them to what they are after a quiet one."""
    gateway, trace = reared(world), tmp_path / "calls"
    empty = Folder(gateway.data)
    (gateway.data / "pipe.db").touch()
    assert await gateway.act("ledger", "--data", str(gateway.data), cut=watching(traced), trace=trace) == 0
    wanted = tables(gateway.data)
    assert len(wanted) > 20
    killed = 0
    for at in points(trace):
        empty.restore()
        (gateway.data / "pipe.db").touch()
        killed += await gateway.act("ledger", "--data", str(gateway.data), cut=killing(traced, at)) == -9
        sound(gateway.data)
        assert tables(gateway.data) in ([], wanted)
        assert await gateway.act("ledger", "--data", str(gateway.data)) == 0
        assert tables(gateway.data) == wanted
    assert killed > 1


@pytest.mark.parametrize("traced", ["write", "rename"])
async def test_a_first_start_that_is_killed_leaves_no_half_of_a_master_key(world: World, traced: str) -> None:
    """Killed at its write or at its rename: the next start makes a whole one."""
    gateway = reared(world)
    (gateway.data / "pipe.db").touch()
    cut = (*killing(traced, 1), "-P", str(gateway.data / "keys" / "master.keys.new"))
    assert await gateway.act("ledger", "--data", str(gateway.data), cut=cut) == -9
    assert await gateway.act("ledger", "--data", str(gateway.data)) == 0
    assert len((gateway.data / "keys" / "master.keys").read_text()) == len("k1:") + 64 + len("\n")


@TIMEOUT
@pytest.mark.parametrize("traced", TRACED, ids=lambda traced: traced.partition(",")[0])
async def test_a_replay_that_is_killed_is_done_or_not_begun(world: World, tmp_path: Path, traced: str) -> None:
    """The letter is dead without a word in the audit, or pending with one; asked again it arrives, told once."""
    gateway, trace = reared(world), tmp_path / "calls"
    await gateway.start()
    await world.tell("refuse")
    letter = await world.client.hand_in(PHONE, 0)
    assert letter.id is not None
    world.replayed.add(letter.id)
    await until(lambda: quiet(gateway))
    await gateway.ask("pause", name="registry", reason="the replay is to be seen alone")
    assert await gateway.stop() == 0
    before = Folder(gateway.data)
    where = ("--data", str(gateway.data), "--config", str(gateway.config))
    replay = ("dead", "replay", letter.id, "--reason", "it was a storm", *where)
    assert await gateway.act(*replay, cut=watching(traced), trace=trace) == 0
    killed = 0
    for at in points(trace):
        before.restore()
        killed += await gateway.act(*replay, cut=killing(traced, at)) == -9
        sound(gateway.data)
        assert (state(gateway.data), len(audited(gateway.data))) in {("dead", 0), ("ready", 1)}
        assert await gateway.act(*replay) in (0, 1)
        assert (state(gateway.data), len(audited(gateway.data))) == ("ready", 1)
    assert killed > 1
    await world.tell("well")
    await gateway.start()
    await gateway.ask("resume", name="registry")
    await until(lambda: quiet(gateway))
    assert (state(gateway.data), (await gateway.ask("ledger.verify"))["good"]) == ("delivered", True)


@TIMEOUT
@pytest.mark.parametrize("traced", TRACED, ids=lambda traced: traced.partition(",")[0])
async def test_pruning_that_is_killed_goes_on_and_takes_nothing_that_waits(
    world: World, tmp_path: Path, traced: str
) -> None:
    """What is finished goes in the end, blobs included; what waits stays and arrives; the totals never change."""
    gateway, trace = reared(world), tmp_path / "calls"
    await gateway.start()
    for n in range(6):
        await world.client.hand_in(PHONE, n, ballast="ж" * (600 << 10) if n == 3 else "")
    await until(lambda: quiet(gateway))
    await world.tell("refuse")
    await world.client.hand_in(PHONE, 6)
    await until(lambda: quiet(gateway))
    await world.tell("well")
    await gateway.ask("pause", name="registry", reason="something is to wait")
    waiting = await world.client.hand_in(PHONE, 7)
    totals = await gateway.ask("ledger")
    assert await gateway.stop() == 0
    before, prune = Folder(gateway.data), (str(gateway.config), str(gateway.data))
    assert await gateway.act(*prune, main="tests.torture.acts:prune", cut=watching(traced), trace=trace) == 0
    killed = 0
    for at in points(trace):
        before.restore()
        killed += await gateway.act(*prune, main="tests.torture.acts:prune", cut=killing(traced, at)) == -9
        sound(gateway.data)
        assert await gateway.act(*prune, main="tests.torture.acts:prune") == 0
        assert ids(gateway.data) == [waiting.id]
        assert list((gateway.data / "blobs").iterdir()) == []
    assert killed > 1
    await gateway.start()
    assert (await gateway.ask("ledger"), (await gateway.ask("ledger.verify"))["good"]) == (totals, True)
    await gateway.ask("resume", name="registry")
    await until(lambda: quiet(gateway))
    assert state(gateway.data) == "delivered"


def looked(data: Path, query: str) -> list[Any]:
    """Rows of the store, read past the gateway."""
    with closing(sqlite3.connect(data / "pipe.db")) as store:
        return store.execute(query).fetchall()


def tables(data: Path) -> list[Any]:
    """Every table and index with its SQL, and the versions that they claim."""
    found = looked(data, "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
    return found + looked(data, "SELECT * FROM schema_version ORDER BY component") if found else []


def state(data: Path) -> str:
    """Of the newest delivery."""
    return str(looked(data, "SELECT state FROM delivery ORDER BY id DESC LIMIT 1")[0][0])


def ids(data: Path) -> list[str]:
    """Of all messages whose story is still kept."""
    return [row[0] for row in looked(data, "SELECT id FROM message ORDER BY seq")]
