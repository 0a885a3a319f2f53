"""`/live` and `/ready`: they depend on the store and the disk, never on partners."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.health import Health
from pipe.errors import StoreUnavailable
from tests.pipe.house import House
from tests.pipe.operations.hosts import begin
from tests.pipe.operations.test_dead_letters import PLAIN

NOTHING: Any = None


async def test_a_gateway_with_a_dead_partner_is_ready(house: House) -> None:
    """One dead partner must not take it out of the balancer."""
    await begin(house, PLAIN)
    house.partner("out").down = True
    await house.put("hello")
    answers = [
        await probe(NOTHING)
        for probe in (Health(house.engine, house.store).live, Health(house.engine, house.store).ready)
    ]
    assert [(answer.status, answer.text) for answer in answers] == [(200, "live\n"), (200, "ready\n")]


@pytest.mark.parametrize("trouble", ["draining", "disk", "store"])
async def test_a_gateway_that_cannot_accept_is_not_ready(house: House, trouble: str) -> None:
    """It stops, its disk is full, or its store does not write: 503 with a time to come back; alive it is."""
    await begin(house, PLAIN)
    if trouble == "draining":
        house.engine.draining = True
    elif trouble == "disk":
        house.engine.room.disk_low = 5
    else:
        house.store.writer.failed = StoreUnavailable("the disk is gone")
    health = Health(house.engine, house.store)
    answer = await health.ready(NOTHING)
    assert (answer.status, answer.text, answer.headers["Retry-After"]) == (503, "not ready\n", "5")
    assert (await health.live(NOTHING)).status == 200


async def test_asking_often_costs_the_store_nothing(house: House) -> None:
    """One write in two seconds, however often it is asked."""
    await begin(house, PLAIN)
    health = Health(house.engine, house.store)
    await house._settled()
    before = house.store.writer.units
    for _ in range(50):
        await health.ready(NOTHING)
    assert house.store.writer.units - before == 1
    await house.pass_time(2)
    await health.ready(NOTHING)
    assert house.store.writer.units - before >= 2
