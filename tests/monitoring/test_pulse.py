"""Open pages hear of what changes, and of nothing else."""

from __future__ import annotations

from sqlalchemy import func, select

from monitoring.pulse import TOPIC, Pulse
from pipe.store.schema import feed
from tests.pipe.house import House
from tests.pipe.operations.test_dead_letters import PLAIN


async def told(house: House) -> int:
    """How many events of the feed there are."""
    return await house.store.read(lambda c: c.execute(select(func.count()).where(feed.c.topic == TOPIC)).scalar_one())


async def test_what_changes_is_told_once_and_silence_is_silent(house: House) -> None:
    """A message, a turn of a connection; its own event is no change."""
    await house.start(PLAIN)
    pulse = Pulse(house.engine)
    while await pulse.once():  # until what the start wrote is told
        pass
    before = await told(house)
    await house.put("x")
    await house.done(1)
    assert await pulse.once() is True
    while await pulse.once():
        before += 1
    house.engine.connections["out"].pause()
    assert await pulse.once() is True
    assert await told(house) == before + 2
