"""kill -9 at every sync, every page and every word of a whole journey, and of the recovery from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.conftest import a_world
from tests.torture.crash import NAMES, PAGES, SYNCS, TORTURE, WORDS, calls, killing, sample, watching
from tests.torture.nursery import Reared
from tests.torture.stories import Stories

pytestmark = [pytest.mark.journey, pytest.mark.debian]

SWEPT = [(SYNCS, 2, 6), (PAGES, 2, 6), (WORDS, 2, 6)]
"""calls, and of the normal suite's sample: how many at each end, how many in between"""
BIRTH = [(SYNCS, 3, 2), (PAGES, 3, 6), (WORDS, 3, 2), (NAMES, 3, 6)]


@pytest.mark.parametrize(("traced", "ends", "between"), SWEPT, ids=[traced.partition(",")[0] for traced, _, _ in SWEPT])
async def test_a_journey_killed_at_a_sample_of_its_calls_loses_nothing(
    tmp_path: Path, traced: str, ends: int, between: int
) -> None:
    """The first few, the last few and a seeded choice: the ledger balances after all of these crashes."""
    async with a_world(tmp_path, TORTURE, kind=Reared) as world:
        stories = Stories(world)
        assert not await stories.life(*watching(traced), trace=tmp_path / "calls")
        points = sample(calls(tmp_path / "calls"), ends=ends, between=between, seed=20261123)
        for at in points:
            await stories.life(*killing(traced, at))
        assert await stories.end() == []
        assert stories.cuts > len(points) / 2


@pytest.mark.parametrize(("traced", "ends", "between"), BIRTH, ids=[traced.partition(",")[0] for traced, _, _ in BIRTH])
async def test_a_start_killed_at_a_sample_of_its_calls_starts_again(
    tmp_path: Path, traced: str, ends: int, between: int
) -> None:
    """The recovery from a crash is killed in its turn; nothing is lost by that either."""
    async with a_world(tmp_path, TORTURE, kind=Reared) as world:
        stories = Stories(world)
        await stories.life(*killing(SYNCS, 6))
        assert not await stories.birth(*watching(traced), trace=tmp_path / "calls")
        for at in sample(calls(tmp_path / "calls"), ends=ends, between=between, seed=20261123):
            await stories.birth(*killing(traced, at))
        assert await stories.end() == []
        assert stories.cuts > 1


@pytest.mark.deep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("traced", [SYNCS, PAGES, WORDS, NAMES], ids=["fdatasync", "pwrite64", "write", "openat"])
async def test_a_journey_killed_at_each_of_its_calls_loses_nothing(tmp_path: Path, traced: str) -> None:
    """The n-th call for n = 1, 2, … until three journeys in a row end unkilled."""
    async with a_world(tmp_path, TORTURE, kind=Reared) as world:
        stories, at, whole = Stories(world), 1, 0
        while whole < 3:
            whole = 0 if await stories.life(*killing(traced, at)) else whole + 1
            at += 1
        assert await stories.end() == []
        assert stories.cuts >= at - 4 > 3


@pytest.mark.deep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("traced", [SYNCS, PAGES, WORDS, NAMES], ids=["fdatasync", "pwrite64", "write", "openat"])
async def test_a_start_killed_at_each_of_its_calls_starts_again(tmp_path: Path, traced: str) -> None:
    """From an empty folder on, with a journey after every tenth, until three starts in a row come up."""
    async with a_world(tmp_path, TORTURE, kind=Reared) as world:
        stories, at, whole = Stories(world), 1, 0
        while whole < 3:
            whole = 0 if await stories.birth(*killing(traced, at)) else whole + 1
            at += 1
            if at % 10 == 0:
                await stories.life(*killing(SYNCS, 1 + at // 10))
        assert await stories.end() == []
