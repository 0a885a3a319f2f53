"""The history says what happened, minute by minute and by quarters, and grows no further; on either database."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import func, select

from monitoring.history import MIGRATIONS, Hour, Recorder, points_of, turns_of
from monitoring.history.recorder import Tally, put
from monitoring.history.tables import MINUTE, QUARTER, sample, turn
from monitoring.history.times import class_of, longest, packed, percentile, unpacked
from pipe.errors import PeerFailed, Refused, StoreFull
from tests.pipe.house import House
from tests.pipe.operations.test_dead_letters import PLAIN

DAY = 86400.0


async def begin(house: House) -> Recorder:
    """A gateway whose history is written when the test says so."""
    house.migrations = MIGRATIONS
    await house.start(PLAIN)
    return Recorder(house.engine)


@pytest.mark.parametrize("seconds", [0.0004, 0.001, 0.0123, 0.2, 1.0, 59.0])
def test_a_time_is_kept_at_most_a_fifth_too_long(seconds: float) -> None:
    """Whichever percentile is asked of one time, it is that time, near enough."""
    times = unpacked([packed(Counter({class_of(seconds): 3}))])
    for share in (0.01, 0.5, 1.0):
        told = percentile(times, share)
        assert told is not None
        assert max(seconds, 0.001) <= told * 1.000001 <= max(seconds, 0.001) * 1.2001
    assert class_of(1e9) == class_of(1e12)
    assert longest(0) == 0.001


def test_percentiles_fall_where_so_many_are_shorter() -> None:
    """Ninety quick ones and ten slow ones: half are quick, and of 95 the slowest is slow."""
    times = Counter({class_of(0.01): 90, class_of(2.0): 10})
    quick, slow = percentile(times, 0.5), percentile(times, 0.95)
    assert quick is not None
    assert slow is not None
    assert quick < 0.013
    assert 1.9 < slow < 2.5
    assert percentile(times, 0.9) == quick
    assert percentile(Counter(), 0.5) is None


async def test_a_minute_says_what_came_and_what_became_of_it(house: House) -> None:
    """Accepted, delivered, failed, dead and waiting, of the route and of its connection."""
    recorder = await begin(house)
    house.partner("out").script = [None, Refused(), PeerFailed()]
    for states in (["delivered"], ["delivered", "dead"], ["delivered", "dead", "retry"]):
        await house.put("x")
        await house.reaches(*states)
    await recorder.once()
    now = house.clock.now()
    summed, _, _ = await house.store.read(lambda c: Hour().look(c, now + 60))
    gauges = {each.connection: each for each in summed}
    assert (gauges[""].came, gauges["out"].done, gauges["out"].failed, gauges["out"].dead) == (3, 1, 1, 1)
    points = await house.store.read(lambda c: points_of(c, now - 3600, now + 60))
    assert len(points) == 61
    busy = [each for each in points if each.came]
    assert [(each.came, each.done, each.waiting) for each in busy] == [(3, 1, 1)]
    assert busy[0].median is not None
    of_partner = await house.store.read(lambda c: points_of(c, now - 120, now + 60, partner="out"))
    assert sum(each.came for each in of_partner) == 0


async def test_an_hour_that_is_kept_says_what_one_that_is_read_afresh_says(house: House) -> None:
    """Whatever comes and goes: minutes that end, one that is written late, and one whose hour is over."""
    await begin(house)
    begins, kept = int(house.clock.now() // MINUTE * MINUTE), Hour()

    def tally(at: int, route: str) -> Tally:
        return Tally(came=at % 7, done=at % 5, failed=at % 3, waiting=at % 2, times=Counter({at % 4: 2, 9: 1}))

    for minute in [*range(70), 69, 68, 71, 72, 140]:
        at = begins + minute * MINUTE
        rows = {(f"r{minute % 3}", partner): tally(minute, partner) for partner in ("", f"p{minute % 2}")}
        await house.store.write(lambda tx, at=at, rows=rows: put(tx, MINUTE, at, rows))  # type: ignore[misc]
        until = begins + (minute + 1) * MINUTE if minute not in (68, 69) else begins + 70 * MINUTE
        one, other = await house.store.read(lambda c, until=until: (kept.look(c, until), Hour().look(c, until)))  # type: ignore[misc]
        assert one == other
        assert sum(each.came for each in one[1]) == sum(each.came for each in one[0])
    assert [each.came for each in one[0]] == [140 % 7, 0]


async def test_a_quiet_minute_has_no_row_and_a_store_without_room_loses_no_count(house: House) -> None:
    """What could not be written is in the next row."""
    recorder = await begin(house)
    await recorder.once()
    assert await house.store.read(lambda c: c.execute(select(func.count()).select_from(sample)).scalar()) == 0
    await house.put("x")
    await house.done(1)

    class Full:
        def __init__(self, engine: object) -> None:
            self.engine = engine

        def __getattr__(self, name: str) -> object:
            if name == "store":
                raise StoreFull("no room")
            return getattr(self.engine, name)

    good, recorder._engine = recorder._engine, Full(recorder._engine)  # type: ignore[assignment]
    with pytest.raises(StoreFull):
        await recorder.once()
    recorder._engine = good
    await recorder.once()
    rows = await house.store.read(lambda c: c.execute(select(sample.c.came, sample.c.connection)).fetchall())
    assert [row.came for row in rows if not row.connection] == [1]


async def test_a_gateway_that_is_started_anew_goes_on_in_the_same_minute(house: House) -> None:
    """Two rows of one minute become one, with the sum of both."""
    recorder = await begin(house)
    await house.pass_time(20)
    for _ in range(2):
        await house.put("x")
        await recorder.once()
    rows = await house.store.read(
        lambda c: c.execute(select(sample.c.came).where(sample.c.connection == "")).scalars().all()
    )
    assert list(rows) == [2]


async def test_old_minutes_are_quarters_and_old_quarters_go(house: House) -> None:
    """Two days of minutes, ninety of quarters: no row is older, and no count is lost on the way."""
    recorder = await begin(house)
    for _ in range(3):
        await house.put("x")
        await house.pass_time(400)
        await recorder.once()
    await house.pass_time(QUARTER)
    await recorder.once()

    async def counts() -> dict[int, int]:
        grains = select(sample.c.grain, func.sum(sample.c.came)).where(sample.c.connection == "").group_by("grain")
        return await house.store.read(lambda c: {row[0]: row[1] for row in c.execute(grains)})

    assert await counts() == {MINUTE: 3, QUARTER: 3}
    await house.pass_time(2.1 * DAY)
    await recorder.once()
    assert await counts() == {QUARTER: 3}
    await house.pass_time(90 * DAY)
    await recorder.once()
    assert await counts() == {}


async def test_turns_of_a_connection_are_kept_with_their_reason(house: House) -> None:
    """The newest first; they go after ninety days."""
    recorder = await begin(house)
    house.engine.connections["out"].pause()
    await house.pass_time(1)
    house.engine.connections["out"].resume()
    await recorder.once()
    found = await house.store.read(lambda c: turns_of(c, "out", 0.0))
    assert [each.state for each in found] == ["unknown", "paused"]
    assert (found[1].reason, found[1].code) == ("paused by a person", "paused")
    await house.pass_time(91 * DAY)
    await recorder.once()
    assert await house.store.read(lambda c: c.execute(select(func.count()).select_from(turn)).scalar()) == 0
