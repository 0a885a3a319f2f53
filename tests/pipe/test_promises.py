"""Promises of docs/promises.md that belong to no single module: each test cuts between the two halves of one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import orjson
import pytest
from sqlalchemy import select

from pipe.config.models import Retry
from pipe.contract import Duration, Message, Transaction
from pipe.errors import OutcomeUnknown, PeerFailed, Refused
from pipe.retry import RetryPolicy
from pipe.store import schema
from pipe.store.codec import unpack
from tests.pipe.house import House

CONNECTIONS = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false, reconnect: {first: 1s, max: 60s}}
routes:
"""
ROUTE = CONNECTIONS + "  r:\n    from: {connection: in}\n"
COPY = "  copy:\n    from: internal\n    to: {connection: out, put: copy}\n"


async def test_what_a_flow_yields_and_the_end_of_its_message_are_one(house: House) -> None:
    """The commit of a flow fails: nothing of it happened; the next one does all of it, once."""
    failures = [PeerFailed("not now")]

    def fails_once(message: Message, tx: Transaction) -> Iterable[Message]:
        yield message
        tx.emit(message, route="copy")
        if failures:
            raise failures.pop()

    house.flows = {"fails_once": fails_once}
    await house.start(ROUTE + "    steps: [{flow: fails_once}]\n    to: {connection: out, put: x}\n" + COPY)
    await house.put("x")
    await house.reaches("retry")
    await house.pass_time(10)
    assert [row["state"] for row in await house.done(3)] == ["consumed", "delivered", "delivered"]


async def test_a_split_that_is_killed_goes_on_where_it_was(house: House) -> None:
    """1200 items, killed after two commits of 500: each item becomes one child, none becomes two."""
    steps = "    steps: [{decode: json}, {split: {items: body}}]\n"
    route = f"{ROUTE}    queue: {{messages: 600}}\n{steps}    to: {{connection: out, put: idem}}\n"
    house.partner("out").hold()
    await house.start(route)
    await house.put(orjson.dumps(list(range(1200))))

    async def two_chunks() -> bool:
        return await house.count(schema.message) == 1001

    await house.until(two_chunks)
    await house.crash()
    house.partner("out").release()
    await house.start(route)
    # A split that waits for room asks again when time has passed: it must not stand still before all is done.
    while not await ended(house, 1201):
        await house.pass_time(5)
    positions = [
        row["position"]
        for row in await house.rows(select(schema.message.c.position).order_by(schema.message.c.position))
        if row["position"] is not None
    ]
    assert positions == list(range(1200))
    assert (
        sorted(
            int(body)
            for body in {outgoing.id: outgoing.message.body for outgoing in house.partner("out").taken}.values()
        )
        == positions
    )


async def ended(house: House, count: int) -> bool:
    """Whether so many deliveries are final."""
    return await house.count(schema.delivery, schema.delivery.c.done_at.is_not(None)) == count


GATHER = (
    ROUTE
    + """\
    steps: [{decode: json}, {split: {items: body}}]
    to: {connection: out, put: x}
    gather: {within: 1h, to: {connection: out, put: result}}
"""
)


async def test_a_gather_emits_once(house: House) -> None:
    """All children are final, and later its time is over: one result."""
    await house.start(GATHER)
    await house.put("[1, 2]")
    await house.done(4)
    await house.pass_time(7200)
    await house.done(4)
    assert [orjson.loads(body) for body in house.partner("out").bodies[2:]] == [
        [
            {"index": 0, "outcome": "delivered", "item": 1, "reply": {"ok": True}, "error": None},
            {"index": 1, "outcome": "delivered", "item": 2, "reply": {"ok": True}, "error": None},
        ]
    ]


SYNC = (
    ROUTE
    + """\
    reply: {mode: sync}
    idempotency: {key: headers.key}
    to: {connection: out, put: x}
"""
)


async def test_a_synchronous_call_is_not_sent_again_after_a_crash(house: House) -> None:
    """The intent was committed before the call; afterwards nobody knows, and the same key is told so."""
    house.partner("out").hold()
    await house.start(SYNC)
    caller = asyncio.ensure_future(house.put("x", headers={"key": "k"}))
    await house.partner("out").reached(1)
    await house.crash()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    house.partner("out").release()
    await house.start(SYNC)
    await house.pass_time(60)
    with pytest.raises(OutcomeUnknown):
        await house.put("x", headers={"key": "k"})
    assert (await house.states(), len(house.partner("out").asked)) == (["uncertain"], 1)


async def test_a_partner_that_is_down_costs_no_attempts(house: House) -> None:
    """Down for a day: the message waits, spends only what showed that it is down, and is delivered at last."""
    await house.start(
        ROUTE + "    retry: {attempts: 4, first: 1s, factor: 1, within: 1h}\n    to: {connection: out, put: idem}\n"
    )
    house.partner("out").down = True
    await house.put("x")
    await house.pass_time(86400)
    house.partner("out").down = False
    await house.pass_time(300)
    [row] = await house.done(1)
    assert (row["state"], row["attempts"] <= 4) == ("delivered", True)


async def test_a_message_that_kills_the_process_three_times_is_set_aside(house: House) -> None:
    """Poison: two crashes are forgiven, the third is its last."""
    route = ROUTE + "    to: {connection: out, put: idem}\n"
    house.partner("out").hold()
    await house.start(route)
    await house.put("x")
    for crash in range(1, 4):
        await house.partner("out").reached(crash)
        await house.crash()
        await house.start(route)
    [row] = await house.done(1)
    [letter] = await house.rows(select(schema.dead_letter))
    assert (row["state"], letter["class"], letter["maybe_delivered"]) == ("dead", "poison", 1)


async def test_after_its_deadline_a_message_is_not_sent(house: House) -> None:
    """The partner is back after the deadline: expired, and it never hears of it."""
    await house.start(ROUTE + "    deadline: 1h\n    to: {connection: out, put: x}\n")
    house.partner("out").down = True
    await house.put("x")
    await house.pass_time(3601)
    house.partner("out").down = False
    await house.pass_time(600)
    [row] = await house.done(1)
    assert (row["state"], row["note"], house.partner("out").asked) == (
        "expired",
        "the deadline passed before it was delivered",
        [],
    )


@pytest.mark.key("steps.filter")
async def test_what_a_filter_drops_is_in_the_books(house: House) -> None:
    """Discarded, counted, and nothing is pending."""
    await house.start(
        ROUTE + "    steps: [{decode: text}, {filter: \"body == 'yes'\"}]\n    to: {connection: out, put: x}\n"
    )
    await house.put("no")
    await house.put("yes")
    await house.done(2)
    totals = await house.ledger()
    assert {name: totals[name] for name in ("accepted", "discarded", "delivered")} == {
        "accepted": 2,
        "discarded": 1,
        "delivered": 1,
    }


async def test_the_books_are_written_with_the_outcome(house: House) -> None:
    """Killed right after an outcome: the totals agree with the rows, before and after."""
    route = ROUTE + "    to: {connection: out, put: x}\n"
    await house.start(route)
    for n in range(5):
        await house.put(str(n))
    await house.done(5)
    await house.crash()
    await house.start(route)
    await house.balances()
    totals = await house.ledger()
    assert (totals["accepted"], totals["delivered"]) == (5, 5)


async def test_a_dead_letter_holds_the_original_and_the_body_at_the_failing_step(house: House) -> None:
    """What came in byte for byte, what the step was given, and where it stands in the YAML."""
    steps = "    steps: [{decode: json}, {map: {a: body.a}}, {map: {n: to_int(body.a)}}]\n"
    await house.start(ROUTE + steps + "    to: {connection: out, put: x}\n")
    await house.put(b'{"a":  "x"}')
    [row] = await house.done(1)
    [letter] = await house.rows(select(schema.dead_letter))
    [message] = await house.rows(select(schema.message))
    blobs, vault = house.store.blobs, house.store.vault
    assert row["state"] == "dead"
    assert unpack(message["kind"], message["body"], blobs, vault, message["id"]) == b'{"a":  "x"}'
    assert unpack(letter["body_kind"], letter["body"], blobs, vault, "") == {"a": "x"}
    assert (letter["step"], letter["place"].partition(":")[0]) == ("routes.r.steps[2]", "connections.yaml")


async def test_a_secret_in_a_partners_words_is_masked(house: House) -> None:
    """The partner says our token back: it stands in no attempt and no dead letter."""
    await house.start(ROUTE + "    to: {connection: out, put: x}\n")
    house.partner("out").script = [Refused("no entry for Bearer abcdef0123456789")]
    await house.put("x")
    [row] = await house.done(1)
    [attempt] = await house.rows(select(schema.attempt))
    assert (row["note"], attempt["note"]) == ("no entry for Bearer ***", "no entry for Bearer ***")


def test_retries_end_with_their_span_or_their_count() -> None:
    """`within` bounds the time from the first try, `attempts` the number of tries, whichever comes first."""
    policy = RetryPolicy(Retry(attempts=5, first=Duration(10), factor=1, max=Duration(10), within=Duration(60)))
    assert (policy.next_pause(1, 0) is None, policy.next_pause(5, 0) is None) == (False, True)
    assert (policy.next_pause(2, 45) is None, policy.next_pause(2, 59) is None) == (False, True)
