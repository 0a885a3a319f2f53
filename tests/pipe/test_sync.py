"""Synchronous routes: one call while the caller waits, and never a second one after a crash."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from pipe.contract import Message, Receipt, Transaction
from pipe.errors import (
    ConnectionWaits,
    DeadlinePassed,
    KeyInFlight,
    NoAnswer,
    OutcomeUnknown,
    PeerFailed,
    PipeError,
    Refused,
    StepFailed,
)
from pipe.store import schema
from pipe.store.transaction import Tx
from tests.pipe.house import House

TEXT = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    reply: sync
    idempotency: {key: headers.k}
    steps: [{decode: json}]
    to: {connection: out, put: x}
"""
KEY: dict[str, Any] = {"headers": {"k": "1"}}


async def answer(house: House, **parts: Any) -> Any:
    """The body of the reply to one call."""
    accepted = await house.put('{"a": 1}', **parts)
    assert accepted.reply is not None
    return json.loads(accepted.reply.body)


@pytest.mark.key("routes.reply")
async def test_the_caller_gets_the_partners_answer(house: House) -> None:
    """The delivery ends as answered."""
    await house.start(TEXT)
    assert await answer(house) == {"ok": True}
    assert await house.ledger() == {"accepted": 1, "answered": 1}


async def test_the_same_key_gets_the_same_answer_without_another_call(house: House) -> None:
    """Also after a restart, and though the partner would answer otherwise now."""
    await house.start(TEXT)
    first = await house.put('{"a": 1}', **KEY)
    house.partner("out").reply = Receipt(200, body={"other": 1})
    again = await house.put('{"a": 1}', **KEY)
    await house.crash()
    await house.start(TEXT)
    later = await house.put('{"a": 1}', **KEY)
    assert (again.id, later.id, again.reply, later.reply) == (first.id, first.id, first.reply, first.reply)
    assert (again.replayed, len(house.partner("out").asked)) == (True, 1)


async def test_the_same_key_while_the_first_call_lasts_is_told_so(house: House) -> None:
    """409 and when to come back."""
    await house.start(TEXT)
    house.partner("out").hold()
    first = asyncio.create_task(house.put('{"a": 1}', **KEY))
    await house.partner("out").reached(1)
    with pytest.raises(KeyInFlight) as refused:
        await house.put('{"a": 1}', **KEY)
    house.partner("out").release()
    await first
    assert refused.value.retry_after == 1


async def test_no_answer_is_unknown_and_the_same_key_is_told_so(house: House) -> None:
    """504 both times; nothing is sent again, not even after a day."""
    await house.start(TEXT.replace("    steps", "    deadline: 60s\n    steps"))
    house.partner("out").script = [NoAnswer("silence")]
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await house.put('{"a": 1}', **KEY)
        await house.pass_time(43200)
    assert (await house.states(), len(house.partner("out").asked)) == (["uncertain"], 1)


async def test_a_crash_between_intent_and_answer_is_unknown_and_never_sent_again(house: House) -> None:
    """After the restart the delivery is uncertain and the same key gets 504."""
    await house.start(TEXT)
    house.partner("out").hold()
    first = asyncio.create_task(house.put('{"a": 1}', **KEY))
    await house.partner("out").reached(1)
    await house.crash()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    house.partner("out").release()
    await house.start(TEXT)
    with pytest.raises(OutcomeUnknown):
        await house.put('{"a": 1}', **KEY)
    await house.pass_time(3600)
    assert (await house.states(), len(house.partner("out").asked)) == (["uncertain"], 1)


async def test_an_unknown_outcome_is_asked_about_after_a_crash(house: House) -> None:
    """Where the route says how, nobody needs to look."""
    text = TEXT.replace(
        "put: x}", "put: x, on_uncertain: {confirm: {connection: out, put: ask, success: 'body.ok', after: 5s}}}"
    )
    await house.start(text)
    house.partner("out").hold()
    first = asyncio.create_task(house.put('{"a": 1}', **KEY))
    await house.partner("out").reached(1)
    await house.crash()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    house.partner("out").release()
    await house.start(text)
    await house.pass_time(12)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]


async def test_a_refusal_is_told_and_its_key_is_free(house: House) -> None:
    """The caller mends the request and may use the key again."""
    await house.start(TEXT)
    house.partner("out").script = [Refused("no")]
    with pytest.raises(Refused):
        await house.put('{"a": 1}', **KEY)
    assert await answer(house, **KEY) == {"ok": True}
    await house.done(2)


async def test_a_failure_of_the_moment_is_tried_again_while_the_caller_waits(house: House) -> None:
    """Three tries, half a second and a second apart."""
    await house.start(TEXT)
    house.partner("out").script = [PeerFailed("a"), PeerFailed("b")]
    call = asyncio.create_task(answer(house))
    for count in (1, 2):
        await house.partner("out").reached(count)
        await house.pass_time(1)
    assert await call == {"ok": True}


async def test_a_closed_connection_is_told_at_once(house: House) -> None:
    """503 instead of a caller that hangs."""
    await house.start(TEXT)
    await house.engine.switches.set("connection", "out", "paused")
    with pytest.raises(ConnectionWaits):
        await house.put('{"a": 1}', **KEY)
    await house.engine.switches.set("connection", "out", None)
    assert await answer(house, **KEY) == {"ok": True}


@pytest.mark.key("reply.steps")
async def test_reply_steps_shape_the_answer(house: House) -> None:
    """The steps of `reply:` run on what the partner said."""
    await house.start(TEXT.replace("reply: sync", "reply: {mode: sync, steps: [{map: {fine: body.ok}}]}"))
    assert await answer(house) == {"fine": True}


@pytest.mark.key("reply.faults", "reply.faults.when", "reply.faults.status", "reply.faults.map")
async def test_faults_are_mapped(house: House) -> None:
    """The first rule that fits gives status and body; it is kept for the key."""
    fault = "reply: {mode: sync, faults: [{when: 'status == `404`', status: 404, map: {code: \"'no_person'\"}}]}"
    await house.start(TEXT.replace("reply: sync", fault))
    house.partner("out").script = [Refused("no", reply=Receipt(404, body={}))]
    for _ in range(2):
        accepted = await house.put('{"a": 1}', **KEY)
        assert accepted.reply is not None
        assert (accepted.reply.status, json.loads(accepted.reply.body)) == (404, {"code": "no_person"})
    assert len(house.partner("out").asked) == 1


FLOW = TEXT.replace(
    "    steps: [{decode: json}]\n    to: {connection: out, put: x}\n",
    "    steps: [{decode: json}, {flow: test.answer}]\n",
)


async def test_a_flow_answers_and_happens_once(house: House) -> None:
    """What it yields is the reply; the same key gets it again without another run."""
    ran: list[int] = []

    def respond(message: Message, tx: Transaction) -> Iterable[Message]:
        ran.append(1)
        yield message.but(body={"n": len(ran)})

    house.flows["test.answer"] = respond
    await house.start(FLOW)
    assert await answer(house, **KEY) == {"n": 1}
    assert await answer(house, **KEY) == {"n": 1}
    await house.pass_time(10)
    assert (len(ran), await house.ledger()) == (1, {"accepted": 1, "answered": 1})


@pytest.mark.parametrize(("error", "told"), [(RuntimeError("a defect"), StepFailed), (PeerFailed("later"), PeerFailed)])
async def test_a_flow_that_fails_is_told_to_its_caller(house: House, error: Exception, told: type[PipeError]) -> None:
    """Never an empty success; nothing was done and the key is free."""
    errors = [error]

    def respond(message: Message, tx: Transaction) -> Iterable[Message]:
        if errors:
            raise errors.pop()
        yield message.but(body={"fine": True})

    house.flows["test.answer"] = respond
    await house.start(FLOW)
    with pytest.raises(told):
        await house.put('{"a": 1}', **KEY)
    assert await answer(house, **KEY) == {"fine": True}


async def test_a_flow_that_a_crash_cut_off_may_be_asked_for_again(house: House) -> None:
    """It happens in its transaction or not at all, so the key is free and the books balance."""
    house.flows["test.answer"] = lambda message, tx: [message.but(body={"fine": True})]
    await house.start(FLOW)
    await house.put('{"a": 1}', **KEY)
    cut_off = schema.delivery.update().values(state="answering", done_at=None)

    def cut(tx: Tx) -> None:
        tx.execute(cut_off)
        tx.count("r", "answered", -1)

    await house.store.write(cut)
    await house.crash()
    await house.start(FLOW)
    await house.balances()
    assert await answer(house, **KEY) == {"fine": True}


async def test_the_deadline_ends_the_callers_wait(house: House) -> None:
    """No try begins after it."""
    await house.start(TEXT.replace("    steps", "    deadline: 1s\n    steps"))
    house.partner("out").decide = lambda outgoing: PeerFailed("no")
    call = asyncio.create_task(house.put('{"a": 1}'))
    await house.partner("out").reached(1)
    await house.pass_time(5)
    with pytest.raises((PeerFailed, DeadlinePassed)):
        await call
    assert len(house.partner("out").asked) <= 2
