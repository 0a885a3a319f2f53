"""What time does: deadlines, schedules, a clock that steps, and what is asked later."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from pipe.errors import NoAnswer, PeerFailed, Unreachable
from pipe.store import schema
from tests.pipe.house import House

HEAD = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
  asked: {type: memory_sink, breaker: false}
routes:
"""
DEADLINE = (
    HEAD
    + """
  r:
    from: {connection: in}
    deadline: 60s
    retry: {attempts: 9, first: 10s, factor: 1}
    to: {connection: out, put: x}
"""
)


@pytest.mark.key("routes.deadline")
async def test_a_message_expires_on_time(house: House) -> None:
    """Waiting for its next try it ends as expired, and is never sent afterwards."""
    await house.start(DEADLINE)
    house.partner("out").decide = lambda outgoing: PeerFailed("no")
    await house.put("x")
    await house.pass_time(120)
    (row,) = await house.done(1)
    sent = len(house.partner("out").asked)
    await house.pass_time(600)
    assert (row["state"], row["code"]) == ("expired", "PIPE-6001")
    assert row["done_at"] - row["expires_at"] <= 10
    assert len(house.partner("out").asked) == sent


async def test_deadlines_that_follow_each_other_closely_are_each_noticed_on_time(house: House) -> None:
    """The end of the first does not hide when the next one ends, though nothing else is due for long."""
    await house.start(DEADLINE.replace("first: 10s", "first: 1h, max: 1h"))
    house.partner("out").decide = lambda outgoing: PeerFailed("no")
    for waiting in (1, 2, 3):
        await house.put("x")
        await house.reaches(*["retry"] * waiting)
        await house.pass_time(1)
    await house.pass_time(56)
    for ended in (1, 2, 3):
        await house.pass_time(1)
        await house.reaches(*["expired"] * ended, *["retry"] * (3 - ended))


async def test_the_deadline_goes_on_while_the_connection_is_down(house: House) -> None:
    """It never stands still."""
    await house.start(DEADLINE)
    house.partner("out").down = True
    await house.put("x")
    await house.pass_time(90)
    assert [row["state"] for row in await house.done(1)] == ["expired"]


async def test_an_attempt_under_way_is_not_expired_beneath_it(house: House) -> None:
    """Its result is what counts."""
    await house.start(DEADLINE)
    house.partner("out").hold()
    await house.put("x")
    await house.partner("out").reached(1)
    await house.pass_time(90)
    assert await house.states() == ["ready"]
    house.partner("out").release()
    assert [row["state"] for row in await house.done(1)] == ["delivered"]


async def test_a_result_that_comes_after_a_person_ended_it_is_recorded(house: House) -> None:
    """D2: the final state stays, the late answer is among the attempts."""
    from pipe.store.journal import Outcome

    await house.start(DEADLINE)
    house.partner("out").hold()
    await house.put("x")
    await house.partner("out").reached(1)
    works = await house.store.read(lambda c: house.store.loader.works(c, schema.delivery.c.id == 1)[0])
    await house.store.write(
        lambda tx: house.engine.outcomes.end(
            tx, works[0], Outcome("discarded", note="by a person", attempted=False), []
        )
    )
    house.partner("out").release()
    await house.until(lambda: house.rows(select(schema.attempt)))
    (attempt,) = await house.rows(select(schema.attempt))
    assert (await house.states(), attempt["outcome"]) == (["discarded"], "late delivered")


async def test_a_clock_that_steps_expires_nothing(house: House) -> None:
    """Ten minutes in which people can look; then what is over is over."""
    await house.start(DEADLINE)
    house.partner("out").script = [PeerFailed("no")]
    await house.put("x")
    await house.reaches("retry")
    house.clock.step(86400)  # type: ignore[attr-defined]
    await house.pass_time(15)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]
    assert house.engine.scheduler.steps == 1


@pytest.mark.key("from every.every")
async def test_a_schedule_fires_once_when_it_is_due(house: House) -> None:
    """`every: 5m` twice in eleven minutes."""
    await house.start(HEAD + "  r:\n    from: {every: 5m}\n    to: {connection: out, put: x}\n")
    await house.pass_time(660)
    await house.done(2)
    assert len(house.partner("out").taken) == 2


async def test_what_a_schedule_missed_is_made_up_once(house: House) -> None:
    """However long the gateway stood."""
    text = HEAD + "  r:\n    from: {every: 5m}\n    to: {connection: out, put: x}\n"
    await house.start(text)
    await house.until(lambda: house.count(schema.schedule))
    await house.stop()
    await house.clock.advance(86400)  # type: ignore[attr-defined]
    await house.start(text)
    await house.done(1)
    await house.pass_time(60)
    assert len(house.partner("out").taken) == 1


@pytest.mark.key("from schedule.schedule")
async def test_a_schedule_knows_local_time(house: House) -> None:
    """`0 13 * * *` is one o'clock in Kyiv, an hour after the beginning of this test's day at 12:00."""
    await house.start(HEAD + '  r:\n    from: {schedule: "0 13 * * *"}\n    to: {connection: out, put: x}\n')
    await house.pass_time(3590)
    assert house.partner("out").taken == []
    await house.pass_time(20)
    await house.done(1)


CONFIRM = (
    HEAD
    + """
  r:
    from: {connection: in}
    retry: {attempts: 3, first: 10s}
    to:
      connection: out
      put: x
      on_uncertain: {confirm: {connection: asked, put: q, success: "body.done", failure: "body.lost", after: 5s}}
"""
)


async def uncertain(house: House) -> None:
    """One message whose answer never came."""
    from pipe.contract import Receipt

    house.partner("asked").reply = Receipt(200, body={})
    house.partner("out").script = [NoAnswer("silence")]
    await house.put("x")
    await house.until(lambda: house.states(schema.delivery.c.state == "uncertain"))


@pytest.mark.key(
    "to.on_uncertain",
    "on_uncertain.confirm",
    "on_uncertain.confirm.connection",
    "on_uncertain.confirm.success",
)
async def test_a_confirmed_delivery_is_delivered_without_being_sent_again(house: House) -> None:
    """The partner says yes."""
    from pipe.contract import Receipt

    await house.start(CONFIRM)
    house.partner("asked").script = [Receipt(200, body={"done": True})]
    await uncertain(house)
    await house.pass_time(8)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]
    assert len(house.partner("out").asked) == 1


async def test_a_refuted_delivery_is_sent_again(house: House) -> None:
    """The partner says that nothing arrived."""
    from pipe.contract import Receipt

    await house.start(CONFIRM)
    house.partner("asked").script = [Receipt(200, body={"lost": True})]
    await uncertain(house)
    await house.pass_time(8)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]
    assert len(house.partner("out").asked) == 2


async def test_a_delivery_that_is_refuted_time_and_again_dies_when_its_tries_are_used_up(house: House) -> None:
    """Asking is no way round `attempts`."""
    from pipe.contract import Receipt

    await house.start(CONFIRM)
    house.partner("asked").decide = lambda outgoing: Receipt(200, body={"lost": True})
    house.partner("out").decide = lambda outgoing: NoAnswer("silence")
    await house.put("x")
    await house.pass_time(200)
    (row,) = await house.done(1)
    assert (row["state"], len(house.partner("out").asked)) == ("dead", 3)


async def test_a_partner_that_does_not_know_is_asked_ten_times_at_growing_pauses(house: House) -> None:
    """Then a person must decide; a question that fails counts as one."""
    await house.start(CONFIRM)
    house.partner("asked").script = [Unreachable("away")]
    await uncertain(house)
    await house.pass_time(20_000)
    assert await house.states() == ["uncertain"]
    assert len(house.partner("asked").asked) == 10


async def test_a_question_that_died_with_the_process_is_asked_again_at_once(house: House) -> None:
    """Nobody else is asking any more, so nothing is waited for but the start."""
    from pipe.contract import Receipt

    await house.start(CONFIRM)
    await uncertain(house)
    house.partner("asked").hold()
    await house.pass_time(8)
    await house.partner("asked").reached(1)
    await house.crash()
    house.partner("asked").release()
    house.partner("asked").script = [Receipt(200, body={"done": True})]
    await house.start(CONFIRM)
    await house.pass_time(1)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]
    assert len(house.partner("out").asked) == 1
