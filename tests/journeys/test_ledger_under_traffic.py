"""The ledger finds defects that are planted in a running gateway, and nothing where none is planted."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import mutants
from tests.journeys.books import quiet
from tests.journeys.conftest import World, a_world, until
from tests.journeys.gateway import ROOT, Gateway
from tests.journeys.ledger import check
from tests.mutants import Mutant
from tests.torture.crash import attached

pytestmark = [pytest.mark.journey, pytest.mark.debian]

PHONES = [f"+38067000000{n}" for n in range(8)]
OWN = Path(__file__).with_name("mutants")
LEFT_OUT = shutil.ignore_patterns(".*", "data", "docs", "benchmarks", "tests")
SLOW_DISK = ("-e", "trace=pwrite64", "-e", "inject=pwrite64:delay_enter=40000")
"""microseconds before each page is written: what is acknowledged too early is acknowledged long before it is there"""
PLANTED = [
    ("drop_one_in_a_thousand", OWN, "L1", 560),
    ("ack_before_commit", mutants.FOLDER, "L1", 40),
    ("order_ignored", mutants.FOLDER, "L5", 120),
    ("delivered_and_dead", OWN, "L2", 120),
    ("cut_bodies", OWN, "L6", 120),
]
"""mutant, where it lies, the rule that must find it, and how many messages that takes"""


def the_mutant(name: str, folder: Path) -> Mutant:
    """As it is written."""
    return mutants.read(folder / f"{name}.mutant")


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Mutant], Path]:
    """Plants a mutant in a copy of the gateway's code."""

    def planted(mutant: Mutant) -> Path:
        copy = tmp_path / "tree"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        mutant.plant(copy)
        return copy

    return planted


@pytest.mark.parametrize(("name", "folder", "rule", "count"), PLANTED, ids=[name for name, *_ in PLANTED])
async def test_a_defect_in_the_running_gateway_is_found_by_its_rule(
    tmp_path: Path, tree: Callable[[Mutant], Path], name: str, folder: Path, rule: str, count: int
) -> None:
    """Traffic and a crash; the books of client, partner and gateway do not agree, and the rule says so."""
    root = tree(the_mutant(name, folder))
    async with a_world(tmp_path, root=root) as world:
        assert rule in {finding.split(":")[0] for finding in await story(world, count)}


async def test_without_a_defect_the_same_story_balances(tmp_path: Path) -> None:
    """No false alarm: the same traffic, the same slow disk, the same crash."""
    async with a_world(tmp_path) as world:
        assert await story(world, 560) == []


@pytest.mark.parametrize("file", sorted(OWN.glob("*.mutant")), ids=lambda file: file.stem)
def test_the_ledgers_mutants_fit_the_code(file: Path) -> None:
    """Whoever changes a line that a mutant names hears of it at once."""
    assert mutants.read(file).fits(ROOT) == ""


async def story(world: World, count: int) -> list[str]:
    """Some traffic, the partner failing at first, then a crash on a slow disk; what the ledger finds in the end."""
    await world.gateway.start()
    await world.tell("fail", "503", f"for={len(PHONES)}")
    await asyncio.gather(*(orderly(world, phone, 0, count // len(PHONES)) for phone in PHONES))
    await until(lambda: quiet(world.gateway), 60)
    await crash_with_a_slow_disk(world, world.gateway, count)
    found = await world.settled(in_flight=2 * len(PHONES))
    return check(found)


async def crash_with_a_slow_disk(world: World, gateway: Gateway, count: int) -> None:
    """More traffic, and a kill before the first page of it can be on disk; what was accepted is not handed in again."""
    assert gateway.process is not None
    async with attached(gateway.process.pid, *SLOW_DISK):
        calls = [asyncio.create_task(orderly(world, phone, count, 3)) for phone in PHONES]
        await asyncio.sleep(0.3)
        await gateway.kill9()
    await gateway.start()
    await asyncio.gather(*calls)


async def orderly(world: World, phone: str, first: int, count: int) -> None:
    """One after the other, each when the one before is accepted."""
    for n in range(first, first + count):
        await world.client.hand_in(phone, n)
