"""Deliveries: retries, targets apart from one another, filters, what an answer means."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import select

from pipe.contract import Message, Outgoing, Receipt
from pipe.engine import Engine
from pipe.errors import Busy, NoAnswer, OutOfMemory, PeerFailed, Refused
from pipe.stations.station import ASK_AGAIN_S
from pipe.steps.pipeline import LARGE
from pipe.store import schema
from tests.pipe.house import House
from transformers.decode import Decode
from transformers.encode import Encode

ROUTE = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
  other: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
"""
ONE = ROUTE + "    to: {connection: out, put: x, retry: {attempts: 3, first: 10s, factor: 2, within: 1h}}\n"


async def test_what_is_accepted_is_delivered_once(house: House) -> None:
    """An accepted message reaches its target and ends as delivered."""
    await house.start(ONE)
    accepted = await house.put("hello")
    (row,) = await house.done(1)
    assert (row["state"], house.partner("out").ids, house.partner("out").bodies) == (
        "delivered",
        [accepted.id],
        [b"hello"],
    )


async def test_a_failed_delivery_is_tried_again_when_its_pause_is_over(house: House) -> None:
    """The pause is drawn from the upper half of what the policy says."""
    await house.start(ONE)
    house.partner("out").script = [PeerFailed("not now")]
    await house.put("hello")
    (row,) = await house.reaches("retry")
    assert 5 <= row["next_at"] - house.clock.now() <= 10
    await house.pass_time(4.9)
    assert await house.states() == ["retry"]
    await house.pass_time(5.2)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]


async def test_a_waiting_message_survives_a_restart_with_its_attempts(house: House) -> None:
    """K5: the stored time of the next try and the count of tries are those of before."""
    await house.start(ONE)
    house.partner("out").script = [PeerFailed("not now"), PeerFailed("not yet")]
    await house.put("hello")
    (before,) = await house.reaches("retry")
    await house.crash()
    await house.start(ONE)
    (after,) = await house.deliveries()
    assert (after["state"], after["next_at"], after["attempts"]) == ("retry", before["next_at"], 1)
    await house.pass_time(11)
    (second,) = await house.until(lambda: house.deliveries(schema.delivery.c.attempts == 2))
    assert second["state"] == "retry"
    await house.pass_time(21)
    (row,) = await house.done(1)
    assert (row["state"], row["attempts"]) == ("delivered", 3)


@pytest.mark.parametrize(("size", "where"), [(100, "MainThread"), (LARGE + 1, "steps")])
async def test_a_large_body_goes_through_all_steps_beside_the_loop(
    house: House, monkeypatch: pytest.MonkeyPatch, size: int, where: str
) -> None:
    """Those of the route and the target's own: all other messages would wait for them."""
    seen: set[tuple[type, str]] = set()

    def apply(step: Decode | Encode, message: Message) -> Message:
        seen.add((type(step), threading.current_thread().name.split("_")[0]))
        return message

    monkeypatch.setattr(Decode, "apply", apply)
    monkeypatch.setattr(Encode, "apply", apply)
    text = ROUTE + "    steps: [{decode: text}]\n    to: {connection: out, put: x, steps: [{encode: text}]}\n"
    await house.start(text)
    await house.put("x" * size)
    await house.done(1)
    assert seen == {(Decode, where), (Encode, where)}


async def test_a_large_body_that_comes_while_the_store_is_being_read_is_not_forgotten(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not kept in memory, and the reading had passed it already: it waited until the next start."""
    passed, gate, load = asyncio.Event(), asyncio.Event(), Engine.load

    async def slow(*arguments: Any) -> Any:
        found = await load(*arguments)
        passed.set()
        await gate.wait()
        return found

    monkeypatch.setattr(Engine, "load", slow)
    await house.start(ONE)
    await passed.wait()
    await house.put("x" * (LARGE + 1))
    gate.set()
    assert [row["state"] for row in await house.done(1)] == ["delivered"]


async def test_a_send_that_breaks_may_have_been_delivered(house: House) -> None:
    """A defect amid an attempt: nobody knows how far it came, and the dead letter says so."""

    def broken(outgoing: Outgoing) -> None:
        raise RuntimeError("a defect behind the last byte")

    await house.start(ONE)
    house.partner("out").decide = broken
    await house.put("hello")
    (row,) = await house.done(1)
    (letter,) = await house.rows(select(schema.dead_letter))
    assert (row["state"], row["code"], letter["maybe_delivered"]) == ("dead", "PIPE-6003", 1)


@pytest.mark.parametrize(
    ("error", "ends"), [(RuntimeError, ["dead"]), (Refused, ["dead"]), (PeerFailed, ["dead", "retry"])]
)
async def test_words_that_no_database_takes_hold_up_nothing(
    house: House, error: type[Exception], ends: list[str]
) -> None:
    """NUL and bytes that are no text, as a file's name or a partner's answer has them."""

    def broken(outgoing: Outgoing) -> None:
        raise error("what is b\udcff\x00d")

    await house.start(ONE)
    house.partner("out").decide = broken
    await house.put("hello")
    (row,) = await house.until(lambda: house.deliveries(schema.delivery.c.attempts == 1))
    assert row["state"] == ends[-1]
    await house.pass_time(300)
    (row,) = await house.done(1)
    (letter,) = await house.rows(select(schema.dead_letter))
    assert (row["state"], "b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}d" in letter["note"]) == ("dead", True)


async def test_a_status_that_no_database_takes_is_delivered_all_the_same(house: House) -> None:
    """What the partner calls it is no reason to doubt that it took it."""
    await house.start(ONE)
    house.partner("out").reply = Receipt("2\udcff\x00", body="b\udcff\x00d")
    await house.put("hello")
    (row,) = await house.done(1)
    assert (row["state"], row["status"]) == ("delivered", "2\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}")


async def test_a_step_that_finds_no_memory_is_run_again_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the door it is a refusal that may be repeated; behind it the message waits and spends nothing."""
    short = True

    def apply(step: Decode | Encode, message: Message) -> Message:
        if short:
            raise MemoryError
        return message

    monkeypatch.setattr(Decode, "apply", apply)
    monkeypatch.setattr(Encode, "apply", apply)
    text = ROUTE + "    steps: [{decode: text}]\n    to: {connection: out, put: x, steps: [{encode: text}]}\n"
    await house.start(text)
    with pytest.raises(OutOfMemory):
        await house.put("x")
    assert await house.deliveries() == []
    monkeypatch.setattr(Decode, "apply", lambda step, message: message)
    await house.put("x")
    (row,) = await house.reaches("retry")
    assert row["attempts"] == 0
    short = False
    await house.pass_time(ASK_AGAIN_S + 0.1)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]


@pytest.mark.key("retry.attempts")
async def test_a_message_whose_tries_are_used_up_is_a_dead_letter_with_every_attempt(house: House) -> None:
    """The dead letter names its class; each of the attempts has its row."""
    await house.start(ONE)
    house.partner("out").script = [PeerFailed(f"no {n}") for n in range(3)]
    await house.put("hello")
    for count in (1, 2):
        await house.until(lambda count=count: house.deliveries(schema.delivery.c.attempts >= count))  # type: ignore[misc]
        await house.pass_time(25)
    (row,) = await house.done(1)
    (dead,) = await house.rows(select(schema.dead_letter))
    attempts = await house.rows(select(schema.attempt).order_by(schema.attempt.c.n))
    assert (row["state"], dead["class"], dead["maybe_delivered"]) == ("dead", "retries_exhausted", 0)
    assert [(a["n"], a["outcome"], a["note"]) for a in attempts] == [
        (1, "retry", "no 0"),
        (2, "retry", "no 1"),
        (3, "dead", "no 2"),
    ]


async def test_a_refused_message_is_dead_at_once(house: House) -> None:
    """Trying again cannot help."""
    await house.start(ONE)
    house.partner("out").script = [Refused("never")]
    await house.put("hello")
    (row,) = await house.done(1)
    assert (row["state"], row["code"], len(house.partner("out").asked)) == ("dead", "PIPE-2006", 1)


async def test_retry_after_pauses_the_connection_for_all_messages(house: House) -> None:
    """The second message is not sent while the partner wants peace."""
    await house.start(ONE)
    house.partner("out").script = [Busy("later", retry_after=60)]
    await house.put("one")
    await house.reaches("retry")
    await house.put("two")
    await house.pass_time(50)
    assert len(house.partner("out").asked) == 1
    await house.pass_time(15)
    assert [row["state"] for row in await house.done(2)] == ["delivered", "delivered"]


async def test_a_failing_target_never_repeats_another(house: House) -> None:
    """Each target has an outcome of its own."""
    await house.start(
        ROUTE
        + "    retry: {attempts: 5, first: 10s}\n    to: [{connection: out, put: x}, {connection: other, put: x}]\n"
    )
    house.partner("out").script = [PeerFailed("a"), PeerFailed("b")]
    await house.put("hello")
    for _ in range(3):
        await house.pass_time(40)
    assert [row["state"] for row in await house.done(2)] == ["delivered", "delivered"]
    assert (len(house.partner("out").asked), len(house.partner("other").asked)) == (3, 1)


async def test_no_answer_of_a_target_that_is_not_idempotent_is_never_sent_again(house: House) -> None:
    """It is uncertain and waits for a person."""
    await house.start(ONE)
    house.partner("out").script = [NoAnswer("silence")]
    await house.put("hello")
    (row,) = await house.reaches("uncertain")
    await house.pass_time(86400)
    assert (row["next_at"], await house.states(), len(house.partner("out").asked)) == (None, ["uncertain"], 1)
