"""The power fails at any moment: what was acknowledged is there, whole, and what was not synced may be gone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select, text

from pipe.clock import SystemClock
from pipe.contract import Blob
from pipe.store import schema
from pipe.store.store import Store
from tests import mutants
from tests.journeys.books import quiet
from tests.journeys.conftest import a_world, until
from tests.journeys.gateway import ROOT
from tests.journeys.test_ledger_under_traffic import LEFT_OUT
from tests.torture.crash import TORTURE, attached, sound
from tests.torture.nursery import Reared
from tests.torture.power import RECORDED, Call, Disk, recorded
from tests.torture.stories import LARGE

pytestmark = [
    pytest.mark.journey,
    pytest.mark.debian,
    pytest.mark.timeout(3600 if os.environ.get("PIPE_DEEP") == "1" else 300),
]

DEEP = os.environ.get("PIPE_DEEP") == "1"
FAILURES = 10_000 if DEEP else 25
PHONES = [f"+38067000001{n}" for n in range(4)]


@dataclass
class Life:
    """What one gateway did to its disk, and what it told callers."""

    calls: list[Call]
    told: list[tuple[float, str]]
    """when which id was known to a caller"""


async def life(folder: Path, root: Path = ROOT) -> Life:
    """The first start on an empty folder, and traffic with a large body; all of it written down by strace."""
    told: list[tuple[float, str]] = []
    async with a_world(folder, TORTURE, kind=Reared, apart=True, root=root) as world:
        gateway = world.gateway
        assert isinstance(gateway, Reared)
        gateway.held = True
        await gateway.spawn()
        assert gateway.process is not None
        async with attached(gateway.process.pid, *RECORDED, output=folder / "calls"):
            gateway.process.send_signal(signal.SIGCONT)
            await gateway.until_ready(60)

            async def hand_in(phone: str, n: int, **fields: str) -> None:
                row = await world.client.hand_in(phone, n, **fields)
                assert row.id is not None
                told.append((time.time(), row.id))

            for n in range(8):
                await asyncio.gather(*(hand_in(phone, n) for phone in PHONES))
            await hand_in(PHONES[0], 8, ballast=LARGE)
            await until(lambda: quiet(gateway))
            await gateway.kill9()
    return Life(recorded(folder / "calls"), told)


async def wrong_after_failures(life: Life, folder: Path, failures: int) -> list[str]:
    """The power fails so often, each time at another call, with and without pages that happened to be written."""
    chance, disk = Random(20261127), Disk(folder / "data")
    cuts = set(chance.sample(range(len(life.calls)), min(failures, len(life.calls)))) | {len(life.calls) - 1}
    found: list[str] = []
    for number, call in enumerate(disk.replay(life.calls)):
        if number not in cuts:
            continue
        known = {known for at, known in life.told if at <= call.at}
        for with_remains in (False, True):
            left = folder / "left"
            disk.left(left, Random(number) if with_remains else None)
            found += [f"call {number}, remains {with_remains}: {what}" for what in await _wrong(left, known)]
            shutil.rmtree(left, ignore_errors=True)
    return found


async def _wrong(left: Path, known: set[str]) -> list[str]:
    """What the gateway's own store finds in a folder, against what callers were told."""
    if known and not (left / "pipe.db").exists():
        return [f"no store, though {len(known)} were told that it is accepted"]
    if not known and not (left / "pipe.db").exists():
        return []
    sound(left)
    store = Store(left, url=None, clock=SystemClock())
    await store.open()
    try:
        works, damaged = await store.read(store.loader.works)
        keyed = await store.read(lambda c: c.execute(select(schema.idempotency.c.message)).scalars().all())
        ids = dict(await store.read(lambda c: [tuple(row) for row in c.execute(text("SELECT id, seq FROM message"))]))
        found = [f"{gone} was told and is gone" for gone in known - ids.keys()]
        found += [f"the key of {one} is gone" for one in known & ids.keys() if ids[one] not in keyed]
        found += [f"{work.message.id} is damaged: {error}" for work, error in damaged]
        for work in works:
            if isinstance(work.message.body, Blob):
                assert len(work.message.body.read()) == work.message.body.size
        return found
    finally:
        await store.close()


async def test_what_was_acknowledged_survives_a_power_failure(tmp_path: Path) -> None:
    """At calls all over a life that began on an empty folder; ids, keys and bodies, the one in a file too."""
    lived = await life(tmp_path)
    assert len(lived.told) == 33
    assert await wrong_after_failures(lived, tmp_path, FAILURES) == []


async def test_a_store_that_does_not_sync_its_commits_is_found_out(tmp_path: Path) -> None:
    """The proof that such failures show what they are for."""
    copy = tmp_path / "tree"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    shutil.copytree(ROOT / "tests", copy / "tests")
    mutants.read(mutants.FOLDER / "sync_normal.mutant").plant(copy)
    lived = await life(tmp_path, copy)
    assert any("is gone" in what for what in await wrong_after_failures(lived, tmp_path, 10))
