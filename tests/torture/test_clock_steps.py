"""A wall clock that is set: what waits keeps its pause, what is known stays known, nothing ends before its time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipe.contract import Receipt
from pipe.errors import NoAnswer, PeerFailed, StoreLocked
from pipe.store.schema import idempotency
from pipe.testing import FakeClock
from tests.pipe.house import House

DAY_S = 86400.0
BACK, FORWARD = -3 * DAY_S, 30 * DAY_S
HEAD = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
  asked: {type: memory_sink, breaker: false}
routes:
"""
RETRYING = (
    HEAD
    + """
  r:
    from: {connection: in}
    idempotency: {key: "header('Key')"}
    retry: {attempts: 9, first: 60s, factor: 1}
    to: {connection: out, put: x}
"""
)
UNCERTAIN = (
    HEAD
    + """
  r:
    from: {connection: in}
    order_by: "'one'"
    on_stuck: {hold: 1h, then: dead}
    retry: {attempts: 3, first: 1s, within: 1m}
    to: {connection: out, put: x}
"""
)
CONFIRMED = (
    HEAD
    + """
  r:
    from: {connection: in}
    to:
      connection: out
      put: x
      on_uncertain: {confirm: {connection: asked, put: y, after: 60s, success: "status == `200`"}}
"""
)
GATHERED = (
    HEAD
    + """
  r:
    from: {connection: in}
    steps: [{decode: json}, {split: {items: body}}]
    to: {connection: out, put: x}
    gather: {within: 1h, to: {connection: asked, put: all}}
"""
)
EVERY = (
    HEAD
    + """
  r:
    from: {every: 5m}
    to: {connection: out, put: x}
"""
)


ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
"""where no statement of the scheduler's own is in play"""


def step(house: House, seconds: float) -> None:
    """What an administrator or a time server does."""
    assert isinstance(house.clock, FakeClock)
    house.clock.step(seconds)


async def waiting(house: House, text: str, error: Exception) -> Any:
    """A message that failed once; the partner is well from now on."""
    await house.start(text)
    house.partner("out").script = [error]  # type: ignore[list-item]
    accepted = await house.put("x", headers={"key": "k"})
    await house.reaches("retry" if isinstance(error, PeerFailed) else "uncertain")
    return accepted


async def started_again(house: House, text: str) -> None:
    """PostgreSQL takes a moment to see that the crashed one is gone."""
    async with asyncio.timeout(30):
        while True:
            try:
                await house.start(text)
            except StoreLocked:
                await asyncio.sleep(0.1)
            else:
                return


@pytest.mark.parametrize("seconds", [BACK, FORWARD])
async def test_what_waits_is_tried_after_its_pause_wherever_the_clock_goes(house: House, seconds: float) -> None:
    """A minute is a minute: not three days, and not at once."""
    await waiting(house, RETRYING, PeerFailed("no"))
    step(house, seconds)
    await house.pass_time(20)
    early = len(house.partner("out").asked)
    await house.pass_time(80)
    assert (early, await house.states()) == (1, ["delivered"])


@ON_SQLITE
@pytest.mark.parametrize("seconds", [-30.0, 30.0])
async def test_a_step_that_is_shorter_than_a_pause_shifts_it_by_no_more_than_itself(
    house: House, seconds: float
) -> None:
    """Then nobody can tell which due times are from before it."""
    await waiting(house, RETRYING, PeerFailed("no"))
    step(house, seconds)
    await house.pass_time(100)
    assert await house.states() == ["delivered"]


@pytest.mark.parametrize("seconds", [BACK, FORWARD])
async def test_a_pause_outlives_a_restart_with_another_clock(house: House, seconds: float) -> None:
    """Nobody saw the clock go, but what is stored tells of it: what waits is tried after its pause."""
    await waiting(house, RETRYING, PeerFailed("no"))
    await house.crash()
    step(house, seconds)
    await started_again(house, RETRYING)
    await house.pass_time(100)
    assert await house.states() == ["delivered"]


@ON_SQLITE
async def test_a_retry_that_began_after_the_step_keeps_its_pause(house: House) -> None:
    """It knows the new time already."""
    await house.start(RETRYING)
    house.partner("out").script = [PeerFailed("no")]
    step(house, FORWARD)
    await house.put("x")
    await house.reaches("retry")
    await house.pass_time(100)
    assert await house.states() == ["delivered"]


@ON_SQLITE
async def test_a_key_is_held_for_its_time_though_the_clock_leaps(house: House) -> None:
    """`hold: 1h` is not over because somebody set the clock: the uncertain one still waits for a person."""
    await waiting(house, UNCERTAIN, NoAnswer("no"))
    step(house, FORWARD)
    await house.pass_time(1800)
    before = await house.states()
    await house.pass_time(2400)
    assert (before, await house.states()) == (["uncertain"], ["dead"])


@ON_SQLITE
@pytest.mark.parametrize("seconds", [BACK, FORWARD])
async def test_the_partner_is_asked_in_time_what_became_of_it(house: House, seconds: float) -> None:
    """`after: 60s`."""
    house.partner("asked").reply = Receipt(200)
    await waiting(house, CONFIRMED, NoAnswer("no"))
    step(house, seconds)
    await house.pass_time(120)
    assert await house.states() == ["delivered"]


@pytest.mark.parametrize("seconds", [BACK, FORWARD])
async def test_a_gather_waits_for_its_children_as_long_as_it_says(house: House, seconds: float) -> None:
    """`within: 1h` is neither over at once nor three days long."""
    await house.start(GATHERED)
    house.partner("out").hold()
    await house.put("[1, 2]")
    await house.partner("out").reached(2)
    step(house, seconds)
    await house.pass_time(1800)
    early = len(house.partner("asked").asked)
    await house.pass_time(2400)
    late = len(house.partner("asked").asked)
    house.partner("out").release()
    await house.done(4)
    assert (early, late) == (0, 1)


@ON_SQLITE
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("seconds", [BACK, FORWARD])
async def test_a_schedule_goes_on_in_the_new_time(house: House, seconds: float, restart: bool) -> None:
    """Every five minutes, whatever day it is."""
    await house.start(EVERY)
    await house.pass_time(310)
    if restart:
        await house.stop()
    step(house, seconds)
    if restart:
        await house.start(EVERY)
    await house.pass_time(20)
    before = len(house.partner("out").asked)
    await house.pass_time(600)
    assert len(house.partner("out").asked) - before == 2


@ON_SQLITE
async def test_a_key_that_was_used_stays_known_though_the_clock_leaps(house: House) -> None:
    """The caller repeats within seconds: for it no week has passed."""
    first = await waiting(house, RETRYING, PeerFailed("no"))
    step(house, FORWARD)
    again = await house.put("x", headers={"key": "k"})
    assert (again.id, again.replayed) == (first.id, True)
    assert await house.count(idempotency) == 1


@ON_SQLITE
async def test_order_is_by_acceptance_and_not_by_the_clock(house: House) -> None:
    """Those that came after the step back do not overtake."""
    await house.start(RETRYING.replace("idempotency: {key: \"header('Key')\"}", "order_by: \"'one'\""))
    house.partner("out").script = [PeerFailed("no")]
    accepted = [await house.put("first")]
    await house.reaches("retry")
    step(house, BACK)
    accepted.append(await house.put("second"))
    await house.pass_time(200)
    assert house.partner("out").ids == [each.id for each in accepted]


@ON_SQLITE
async def test_a_leap_second_is_no_step(house: House) -> None:
    """Nothing is suspended, nobody is woken."""
    await waiting(house, RETRYING, PeerFailed("no"))
    for seconds in (1.0, -1.0):
        step(house, seconds)
        await house.pass_time(10)
    assert house.engine.scheduler.steps == 0


async def test_a_gather_outlives_a_year_by_the_clock(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The story of its parent may be old enough to be removed: it is needed until the gather has emitted."""
    monkeypatch.setattr("tests.pipe.house.PATIENCE_S", 3.0)
    await house.start(GATHERED)
    house.partner("out").hold()
    await house.put("[1, 2]")
    await house.partner("out").reached(2)
    step(house, 400 * DAY_S)
    await house.pass_time(1800)
    house.partner("out").release()
    rows = await house.done(4)
    assert [row["state"] for row in rows] == ["consumed", "delivered", "delivered", "delivered"]
