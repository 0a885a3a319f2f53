"""A process that stands still for a while, and goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from partners import tell
from tests.conftest import DEEP
from tests.journeys.attacks import soon
from tests.journeys.books import lines
from tests.journeys.gateway import ROOT
from tests.torture.strait import a_strait, phone

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

STILL_S = 60 if DEEP else 1.5
"""longer than every time-out of the story: connect 0.4 s, read 0.4 s, total 0.8 s"""


@asynccontextmanager
async def standing_still(pid: int) -> AsyncIterator[None]:
    """SIGSTOP, and SIGCONT at the end."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_gateway_that_stands_still_amid_attempts_repeats_each_at_most_once(tmp_path: Path) -> None:
    """The partner answers meanwhile: that is heard, or asked for again with the same key; nothing is there twice."""
    async with a_strait(tmp_path, ["well"]) as strait:
        gateway = strait.world.gateway
        assert gateway.process is not None
        await strait.world.tell("slow", "0.3")
        for place in range(8):
            await strait.callers["well"].hand_in(phone(place), 0)
        async with standing_still(gateway.process.pid):
            waiting = [asyncio.create_task(strait.callers["well"].hand_in(phone(place), 1)) for place in range(8)]
            await asyncio.sleep(STILL_S)
        await asyncio.gather(*waiting)
        await strait.world.tell("well")
        await strait.delivered("well")
        seen = len(lines(strait.world.partners.stand_ins["registry"].recorder._lines.path))
        wrong, rows = await strait.wrong(), strait.rows
    assert (wrong, rows) == ([], 16)
    assert seen <= 2 * 16


@asynccontextmanager
async def partners_beside(folder: Path) -> AsyncIterator[tuple[int, int]]:
    """The stand-ins as a process of their own: its number, and the register's port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "partners", "--data", str(folder), "--port-base", "0", cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    ports = {}
    for _ in range(3):
        name, address = (await process.stdout.readline()).decode().split()
        ports[name] = int(address.rpartition(":")[2])
    await tell(folder, "registry", "bodies", "on")
    try:
        yield process.pid, ports["registry"]
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        await process.wait()


async def test_a_partner_that_stands_still_gets_everything_once(tmp_path: Path) -> None:
    """Its system goes on taking connections and bytes: attempts end by time, their key makes repeating harmless."""
    async with a_strait(tmp_path, ["frozen", "well"]) as strait, partners_beside(tmp_path / "beside") as (pid, port):
        strait.back["frozen"].server = ("127.0.0.1", port)
        async with standing_still(pid):
            for place in range(4):
                await strait.callers["frozen"].hand_in(phone(place), 0)
            await soon(lambda: strait.codes("frozen") == {"PIPE-2002"}, 20)
            for n in range(10):
                await strait.callers["well"].hand_in(phone(100), n)
            await strait.delivered("well", within=10)
            await asyncio.sleep(STILL_S)
        await strait.delivered("frozen")
        await asyncio.sleep(0.2)  # what the partner still has in its buffers
        rows = lines(tmp_path / "beside/partners/registry/rows.jsonl")
        seen = lines(tmp_path / "beside/partners/registry/seen.jsonl")
    ids = {row.id for row in strait.callers["frozen"].rows}
    assert len(rows) == 4
    assert {row["key"] for row in seen} == ids
