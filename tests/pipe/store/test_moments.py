"""The numbers between which the messages of a time lie leave none of them out, whatever order times are in."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import select, update

from pipe.store import moments
from pipe.store.schema import delivery, message
from tests.pipe.house import House
from tests.pipe.store.test_store import ROUTE


async def test_no_message_of_a_time_is_outside_of_its_numbers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks that were set back, parts of a split that bear an older time, bodies that are gone: all are within."""
    monkeypatch.setattr(moments, "BLOCK", 4)
    monkeypatch.setattr(moments, "_AT_ONCE", 2)
    await house.start(ROUTE)
    chance, known = random.Random(5), moments.Moments()

    async def check(since: float | None, until: float | None) -> None:
        low, high = since if since is not None else 0.0, until if until is not None else 9e9
        of = select(delivery.c.id).join(message, message.c.seq == delivery.c.message)
        exact = set(
            await house.store.read(
                lambda c: (
                    c.execute(of.where(message.c.received_at >= low, message.c.received_at < high)).scalars().all()
                )
            )
        )
        for asked in (known, moments.Moments()):
            found = await house.store.read(lambda c, asked=asked: asked.deliveries(c, since, until))  # type: ignore[misc]
            assert found is not None or not exact
            assert found is None or exact <= set(range(found[0], found[1] + 1))

    for count in range(23):
        await house.put(f"{count}")
        at, kind = chance.choice([count, count, count, 0, 40 - count]), chance.choice(["gone", "bytes"])
        await house.store.write(
            lambda tx, n=count, at=at, kind=kind: (
                tx.execute(  # type: ignore[misc]
                    update(message).where(message.c.seq == n + 1).values(received_at=float(at), kind=kind)
                )
                and None
            )
        )
        if count % 5 == 4:
            for since, until in ((None, 5.0), (3.0, None), (4.0, 9.0), (100.0, None), (None, 0.0), (0.0, 9e8)):
                await check(since, until)


async def test_what_is_long_over_is_passed_over(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds are narrow where times go with numbers: that is what they are for."""
    monkeypatch.setattr(moments, "BLOCK", 4)
    await house.start(ROUTE)
    for _ in range(16):
        await house.put("x")
    await house.store.write(lambda tx: tx.execute(update(message).values(received_at=message.c.seq * 1.0)) and None)
    read = house.store.moments.deliveries
    assert await house.store.read(lambda c: read(c, None, 4.0)) == (1, 3)
    assert await house.store.read(lambda c: read(c, 12.0, None)) == (12, 16)
    assert await house.store.read(lambda c: read(c, 99.0, None)) is None
    assert await house.store.read(lambda c: read(c, None, 0.5)) is None
