"""kill -9 around an attempt: before its answer, after it, between two attempts, and by the message itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.books import quiet
from tests.journeys.conftest import World, a_world, until
from tests.journeys.ledger import check
from tests.torture.crash import TORTURE, attached
from tests.torture.nursery import Reared

pytestmark = [pytest.mark.journey, pytest.mark.debian]

PHONE, OTHER = "+380670000001", "+380670000002"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A running gateway out of the nursery."""
    async with a_world(tmp_path, TORTURE, kind=Reared, apart=True) as made:
        await made.gateway.start()
        yield made


async def asked_for(world: World, times: int) -> bool:
    """Whether the register has seen so many requests."""
    return world.partners.stand_ins["registry"].recorder.count >= times


async def test_a_kill_after_the_partners_yes_costs_one_repetition_with_the_same_id(world: World) -> None:
    """The answer was read and its outcome not yet on disk: the second request has the same key, and makes no row."""
    assert world.gateway.process is not None
    accepted = await world.client.hand_in(PHONE, 0)
    await until(lambda: quiet(world.gateway))
    slow = ("-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=400000:when=2+")
    async with attached(world.gateway.process.pid, *slow):
        again = await world.client.hand_in(OTHER, 0)
        await until(lambda: asked_for(world, 2))
        await world.gateway.kill9()
    await world.gateway.start()
    found = await world.settled(in_flight=1)
    assert check(found) == []
    assert {row.id for row in found.seen} == {accepted.id, again.id}
    assert len(world.partners.stand_ins["registry"].rows) == 2


async def test_attempts_are_counted_on_after_a_kill_between_two_of_them(world: World) -> None:
    """The partner fails, the gateway waits for its next try and is killed: it goes on counting where it was."""
    await world.tell("fail", "503")
    await world.client.hand_in(PHONE, 0)
    await until(lambda: asked_for(world, 4))
    await world.gateway.kill9()
    before = world.partners.stand_ins["registry"].recorder.count
    await world.gateway.start()
    await until(lambda: asked_for(world, before + 2))
    await world.tell("well")
    found = await world.settled()
    (row,) = await world.gateway.ask("search", route="appeals")
    assert check(found) == []
    assert len(found.seen) - 1 <= row["attempts"] <= len(found.seen)


async def test_a_message_during_which_the_process_dies_three_times_is_set_aside(world: World) -> None:
    """Killed whenever the partner sees it: after the third time it is a dead letter, and others go their way."""
    await world.tell("hang")
    poison = await world.client.hand_in(PHONE, 0)
    for n in range(3):
        await until(lambda n=n: asked_for(world, n + 1))  # type: ignore[misc]
        await world.gateway.kill9()
        await world.gateway.start()
    await world.tell("well")
    await world.client.hand_in(OTHER, 0)
    found = await world.settled(in_flight=1)
    ends = {row.id: (row.state, row.maybe_delivered) for row in found.final}
    assert ends.pop(poison.id or "") == ("dead", True)
    assert list(ends.values()) == [("delivered", False)]
    assert check(found) == []
