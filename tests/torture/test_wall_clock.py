"""The gateway's process under a clock that is set while it runs, and a machine that stood still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipe.testing import faults
from tests.journeys.attacks import soon
from tests.torture.strait import Plan, Strait, a_strait, phone

pytestmark = [pytest.mark.journey, pytest.mark.debian, pytest.mark.timeout(120)]

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
"""Debian's package `faketime`; the wheel of the same library is for one processor only"""
PATIENCE_S = 50


class Time:
    """What a process believes that time is: a file that libfaketime reads once a second."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")

    def set(self, offset: str) -> None:
        """`+0`, `-3d`, `+365d`: from now on the process's clock is so far off."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(offset)
        fresh.replace(self._file)

    def environment(self, *, monotonic: bool) -> dict[str, str]:
        """What the process must find; with `monotonic` every clock steps, as after a machine stood still."""
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "0" if monotonic else "1",
        }


@asynccontextmanager
async def timed(folder: Path, *, monotonic: bool = False) -> AsyncIterator[tuple[Strait, Time]]:
    """A gateway whose clock the test sets."""
    if not LIBRARIES:
        pytest.skip("needs libfaketime: apt-get install faketime")
    clock = Time(folder / "clock")
    async with a_strait(folder, ["well"], Plan(environment=clock.environment(monotonic=monotonic))) as strait:
        yield strait, clock


def steps(strait: Strait) -> int:
    """How often the gateway said that its clock stepped."""
    return strait.world.gateway.log.read_text().count('"clock_step"')


async def waiting(strait: Strait) -> None:
    """An appeal that has failed, and appeals of the same phone behind it."""
    await strait.back["well"].turn(faults.Refuse())
    for n in range(3):
        await strait.callers["well"].hand_in(phone(1), n)
    await soon(lambda: strait.codes("well") == {"PIPE-2001"}, PATIENCE_S)


@pytest.mark.parametrize("offset", ["-3d", pytest.param("+365d", marks=pytest.mark.deep)])
async def test_a_clock_that_is_set_raises_an_alarm_and_delays_nothing(tmp_path: Path, offset: str) -> None:
    """What waited and what comes later is delivered in order and in seconds; so it is when set right over a kill."""
    async with timed(tmp_path) as (strait, clock):
        await waiting(strait)
        clock.set(offset)
        await soon(lambda: steps(strait) == 1, PATIENCE_S)
        await strait.callers["well"].hand_in(phone(1), 3)
        await strait.back["well"].heal()
        await strait.delivered("well", within=PATIENCE_S)
        await strait.back["well"].turn(faults.Reset())
        await strait.callers["well"].hand_in(phone(1), 4)
        await soon(lambda: strait.codes("well") == {"PIPE-2001", "PIPE-2002"}, PATIENCE_S)
        clock.set("+0")
        await strait.restart()
        await strait.back["well"].heal()
        await strait.delivered("well", within=PATIENCE_S)
        wrong = await strait.wrong()
    assert wrong == []


async def test_a_machine_that_stood_still_goes_on(tmp_path: Path) -> None:
    """All clocks leap by an hour, the monotonic one too: time-outs end, and nothing waits for that hour again."""
    async with timed(tmp_path, monotonic=True) as (strait, clock):
        await waiting(strait)
        clock.set("+1h")
        await strait.callers["well"].hand_in(phone(2), 0)
        await strait.back["well"].heal()
        await strait.delivered("well", within=PATIENCE_S)
        wrong, stepped = await strait.wrong(), steps(strait)
    assert (wrong, stepped) == ([], 0)


async def test_a_gateway_may_begin_on_another_day(tmp_path: Path) -> None:
    """Accepted today, killed, started again three days ago: what waited and what is new arrives."""
    async with timed(tmp_path) as (strait, clock):
        await waiting(strait)
        clock.set("-3d")
        await strait.restart()
        await strait.callers["well"].hand_in(phone(1), 3)
        await strait.back["well"].heal()
        await strait.delivered("well", within=PATIENCE_S)
        wrong = await strait.wrong()
    assert wrong == []


@pytest.mark.deep
async def test_a_leap_second_is_no_alarm(tmp_path: Path) -> None:
    """A second twice, a second left out."""
    async with timed(tmp_path) as (strait, clock):
        for offset in ("-1", "+1", "+0"):
            clock.set(offset)
            await asyncio.sleep(0.1)
            await strait.callers["well"].hand_in(phone(1), len(strait.callers["well"].rows))
        await strait.delivered("well", within=PATIENCE_S)
        wrong, stepped = await strait.wrong(), steps(strait)
    assert (wrong, stepped) == ([], 0)
