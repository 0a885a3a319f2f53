"""Defects that the simulator has found, each as a test of its own."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from pipe.applying import Applying
from pipe.contract import Outgoing, Receipt
from pipe.errors import ConnectionWaits, NoAnswer, PeerFailed, Refused
from pipe.store import schema
from tests.pipe.house import House

TEXT = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false, concurrency: 1}
  other: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    retry: {attempts: 3, first: 1s, factor: 1}
    to: {connection: out, put: idem}
"""


async def letters(house: House) -> list[int]:
    """What the dead letters say about whether it may have arrived."""
    return [row["maybe_delivered"] for row in await house.rows(select(schema.dead_letter))]


async def test_a_dead_letter_remembers_a_try_that_nobody_answered(house: House) -> None:
    """Tried again, as that is harmless, and then refused; but the first try may have arrived."""
    await house.start(TEXT)
    house.partner("out").script = [NoAnswer("silence"), Refused("no")]
    await house.put("x")
    await house.done(1)
    assert await letters(house) == [1]


async def test_a_dead_letter_of_answered_tries_says_that_it_did_not_arrive(house: House) -> None:
    """A partner that failed each time did nothing."""
    await house.start(TEXT)
    house.partner("out").script = [PeerFailed("not now"), Refused("no")]
    await house.put("x")
    await house.done(1)
    assert await letters(house) == [0]


async def test_a_dead_letter_remembers_the_attempt_that_died_with_the_process(house: House) -> None:
    """The partner may have had it before the kill, whatever it says now."""
    await house.start(TEXT)
    house.partner("out").hold()
    await house.put("x")
    await house.partner("out").reached(1)
    await house.crash()
    house.partner("out").release()
    house.partner("out").script = [Refused("no")]
    await house.start(TEXT)
    await house.done(1)
    assert await letters(house) == [1]


async def test_a_trial_without_an_answer_is_remembered(house: House) -> None:
    """It costs no attempt, but the dead letter that follows says that it may have arrived."""
    text = TEXT.replace("breaker: false, concurrency: 1", "breaker: {of: 2, failures: 50%, open: 2s}")
    await house.start(text.replace("attempts: 3", "attempts: 9"))
    house.partner("out").script = [PeerFailed("a"), PeerFailed("b"), NoAnswer("silence"), Refused("no")]
    await house.put("x")
    (row,) = await house.done(1)
    assert (await letters(house), row["attempts"]) == ([1], 3)


async def test_what_is_uncertain_stays_so_when_its_target_goes(house: House) -> None:
    """Seed 771: `--orphans dead` makes a dead letter that says it may have arrived."""
    text = TEXT.replace("put: idem}", "put: x}").replace(
        "    to: {connection: out, put: x}", "    to: [{connection: out, put: x}, {connection: other, put: y}]"
    )
    await house.start(text)
    house.partner("out").script = [NoAnswer("silence")]
    await house.put("x")
    await house.reaches("uncertain", "delivered")
    shortened = text.replace("[{connection: out, put: x}, {connection: other, put: y}]", "{connection: other, put: y}")
    await Applying(house.engine).apply(house.configuration(shortened), "test", "dead")
    await house.done(2)
    assert await letters(house) == [1]


async def test_whoever_waits_for_a_turn_at_a_connection_that_goes_is_not_stranded(house: House) -> None:
    """A reload took the connection away between the taking up of a message and its turn; it hung for ever."""
    await house.start(TEXT)
    house.partner("out").hold()
    await house.put("x")
    await house.partner("out").reached(1)
    old = house.engine.connections["out"]
    retiring = asyncio.create_task(old.retire(30))
    await asyncio.sleep(0)

    def begin() -> Outgoing:
        raise AssertionError("nothing may begin here any more")

    late = asyncio.create_task(old.send(begin, judge=lambda answer: Receipt()))
    await asyncio.sleep(0)
    house.partner("out").release()
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionWaits):
            await late
        await retiring


async def test_what_is_wanted_while_still_in_memory_is_read_once_it_is_forgotten(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wanted together with another, it was forgotten while both were read, and never came back."""
    await house.start(TEXT.replace("from:", "concurrency: 1\n    from:"))
    house.partner("out").hold()
    for _ in range(2):
        await house.put("x")
    await house.partner("out").reached(1)
    station, load, gate = house.engine.stations["r", "out"], house.engine.load, asyncio.Event()
    begun = asyncio.Event()
    (first,) = station._in_hands
    (other,) = [work.id for work in station.queue]
    station.queue.clear()
    station.owned.discard(other)  # as if it had been put off, and were due now

    async def slow(*arguments: Any) -> Any:
        begun.set()
        found = await load(*arguments)
        await gate.wait()
        return found

    monkeypatch.setattr(house.engine, "load", slow)
    station.want(first)
    station.want(other)
    await begun.wait()
    station.forget(SimpleNamespace(id=first))  # type: ignore[arg-type]  # no more is asked of it
    gate.set()

    async def both() -> bool:
        return {first, other} <= station.owned

    await house.until(both)
    house.partner("out").release()
    await house.done(2)
