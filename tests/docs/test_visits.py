"""The flow of docs/howto/own-step.md, in a real engine over a real store."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from sqlalchemy import select

from tests.docs import visits
from tests.pipe.house import House

ROUTES = Path(__file__).with_name("visits.yaml").read_text(encoding="utf-8").removeprefix("version: 1\n")
IN_THREE_DAYS = 3 * visits.DAY_S


@pytest.fixture
async def office(house: House) -> House:
    """A gateway with the flow and nothing booked."""
    house.flows = {step.name: step.function for step in visits.FLOW.steps}
    house.migrations = list(visits.FLOW.migrations)
    await house.start(ROUTES)
    return house


async def booked(office: House) -> str:
    """Books a visit and returns its id."""
    accepted = await office.put(orjson.dumps({"at": office.clock.now() + IN_THREE_DAYS}), "visits")
    await office.reaches("consumed", "timer", "delivered")
    return accepted.id


async def test_a_booking_goes_on_with_its_id(office: House) -> None:
    """The office gets the record that the step made."""
    visit = await booked(office)
    [body] = office.partner("office").bodies
    assert orjson.loads(body)["visit"] == visit


async def test_a_reminder_is_sent_a_day_before(office: House) -> None:
    """Not earlier, and also after the gateway was killed meanwhile."""
    await booked(office)
    await office.crash()
    await office.start(ROUTES)
    await office.pass_time(2 * visits.DAY_S - 60)
    before = len(office.partner("phone").taken)
    await office.pass_time(120)
    await office.done(3)
    assert (before, len(office.partner("phone").taken)) == (0, 1)


async def test_a_cancelled_visit_is_not_reminded_of(office: House) -> None:
    """The timer is taken back in the transaction that cancels."""
    visit = await booked(office)
    await office.put(orjson.dumps({"visit": visit}), "cancellations")
    assert [row["state"] for row in await office.done(4)] == ["consumed", "discarded", "delivered", "consumed"]
    assert [row["state"] for row in await office.rows(select(visits.visit))] == ["cancelled"]


async def test_a_step_that_fails_leaves_nothing_behind(office: House) -> None:
    """A dead letter, and no row, no reminder: all of it commits together or not at all."""
    await office.put(b'{"at": "soon"}', "visits")
    assert [row["state"] for row in await office.done(1)] == ["dead"]
    assert await office.count(visits.visit) == 0
