"""Split and gather: every child counts, however it ended, and the result is emitted once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from pipe.contract import Message, Receipt, Transaction
from pipe.errors import PeerFailed, Refused
from pipe.store import schema
from tests.pipe.house import House

TEXT = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false, concurrency: 32}
  other: {type: memory_sink, breaker: false}
  result: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    retry: {attempts: 2, first: 10s}
    steps:
      - decode: json
      - split: {items: body, steps: [{map: {n: item.n, of: parent.name}}]}
    to: {connection: out, put: x}
    gather: {within: 1h, to: {connection: result, put: "${parent.name}"}}
"""


def items(count: int) -> str:
    """A list of so many objects."""
    return json.dumps([{"n": n} for n in range(count)])


async def result(house: House) -> list[Any]:
    """What was gathered; fails where that came twice."""
    await house.until(lambda: _gathered(house))
    (body,) = house.partner("result").bodies
    rows: list[Any] = json.loads(body)
    return rows


async def _gathered(house: House) -> bool:
    return bool(house.partner("result").taken)


@pytest.mark.key("steps.split", "split.items", "split.steps", "routes.gather", "gather.to")
async def test_every_child_is_delivered_and_gathered_in_order(house: House) -> None:
    """Index, outcome, the item as it was before its steps, and the partner's reply."""
    await house.start(TEXT)
    house.partner("out").decide = lambda outgoing: Receipt(200, body={"got": json.loads(outgoing.message.body)["n"]})
    await house.put(items(3), headers={"file_name": "in/pay.json"})
    assert await result(house) == [
        {"index": n, "outcome": "delivered", "item": {"n": n}, "reply": {"got": n}, "error": None} for n in range(3)
    ]
    assert json.loads(house.partner("out").bodies[0])["of"] == "pay"
    await house.done(5)


async def test_children_of_every_fate_are_in_the_result(house: House) -> None:
    """Delivered, dead, discarded and expired, each with its reason."""
    text = TEXT.replace("    retry:", "    deadline: 30s\n    retry:").replace(
        "put: x", "put: x, when: 'body.n < `3`', retry: {attempts: 9, first: 60s}"
    )
    await house.start(text)
    answers = {0: None, 1: Refused("never"), 2: PeerFailed("later")}
    house.partner("out").decide = lambda outgoing: answers[json.loads(outgoing.message.body)["n"]]
    await house.put(items(4))
    await house.until(lambda: _has(house, "retry"))
    await house.pass_time(40)
    assert [row["outcome"] for row in await result(house)] == ["delivered", "dead", "expired", "discarded"]


async def _has(house: House, state: str) -> bool:
    return state in await house.states()


async def test_an_empty_list_is_gathered_at_once(house: House) -> None:
    """The result is an empty list."""
    await house.start(TEXT)
    await house.put("[]")
    assert await result(house) == []


@pytest.mark.key("gather.within")
async def test_when_the_time_is_over_the_rest_is_pending(house: House) -> None:
    """The result is emitted once; who comes later changes nothing."""
    await house.start(TEXT.replace("attempts: 2, first: 10s", "attempts: 2, first: 3h, max: 3h"))
    house.partner("out").decide = lambda outgoing: (
        PeerFailed("later") if outgoing.attempt == 1 and b'"n":1' in outgoing.message.body else None
    )
    await house.put(items(2))
    await house.until(lambda: _has(house, "retry"))
    await house.pass_time(3610)
    assert [row["outcome"] for row in await result(house)] == ["delivered", "pending"]
    await house.pass_time(3 * 3600)
    await house.done(4)
    assert len(house.partner("result").taken) == 1


async def test_a_list_is_split_to_its_end_though_the_process_dies_between_two_chunks(house: House) -> None:
    """The cursor goes on after the last committed chunk: no item is lost, none is there twice."""
    await house.start(TEXT.replace("    retry:", "    queue: {messages: 600}\n    retry:"))
    house.partner("out").hold()
    await house.put(items(1700))
    await house.until(lambda: _cursor(house, 500))
    await house.crash()
    house.partner("out").release()
    await house.start(TEXT)
    assert [row["index"] for row in await result(house)] == list(range(1700))
    await house.done(1702)
    got = {json.loads(outgoing.message.body)["n"] for outgoing in house.partner("out").taken}
    assert got == set(range(1700))


async def _cursor(house: House, least: int) -> bool:
    return any(row["cursor"] >= least for row in await house.deliveries(schema.delivery.c.station == "split"))


async def test_a_child_with_two_targets_counts_when_both_are_final(house: House) -> None:
    """A bad outcome of one outweighs the good one of the other."""
    await house.start(
        TEXT.replace("to: {connection: out, put: x}", "to: [{connection: out, put: x}, {connection: other, put: y}]")
    )
    house.partner("other").script = [Refused("never")]
    await house.put(items(2))
    assert sorted(row["outcome"] for row in await result(house)) == ["dead", "delivered"]


async def test_what_a_flow_makes_of_a_child_is_gathered_with_it(house: House) -> None:
    """A child that a flow multiplies is final when all of its offspring is; one that it consumes is final at once."""

    def multiply(message: Message, tx: Transaction) -> Iterable[Message]:
        return [message] * message.body["n"]

    house.flows["test.multiply"] = multiply
    await house.start(TEXT.replace("of: parent.name}}]}\n", "of: parent.name}}]}\n      - flow: test.multiply\n"))
    house.partner("out").hold()
    await house.put(items(3))
    await house.partner("out").reached(3)
    assert house.partner("result").taken == []
    house.partner("out").release()
    rows = await result(house)
    assert [(row["index"], row["outcome"], row["item"]) for row in rows] == [
        (0, "consumed", {"n": 0}),
        (1, "delivered", {"n": 1}),
        (2, "delivered", {"n": 2}),
    ]
    assert len(house.partner("out").taken) == 3


async def test_a_body_that_is_no_list_is_a_dead_letter(house: House) -> None:
    """With the body as it was."""
    await house.start(TEXT)
    await house.put('{"a": 1}')
    (row,) = await house.done(1)
    assert (row["state"], row["code"]) == ("dead", "PIPE-3005")


async def test_a_split_waits_while_its_route_is_full_and_stops_when_the_gateway_does(house: House) -> None:
    """Emissions pause the cursor; a stop does not wait for them."""
    await house.start(TEXT.replace("    retry:", "    queue: {messages: 600}\n    retry:"))
    house.partner("out").hold()
    await house.put(items(5000))
    await house.until(lambda: _cursor(house, 1000))
    assert await house.count(schema.delivery) < 2000
    house.partner("out").release()
    stopping = asyncio.create_task(house.stop())
    while not stopping.done():
        await house.pass_time(0.1)
    assert await stopping


@pytest.mark.parametrize("count", [499, 500, 501])
async def test_chunks_end_where_they_should(house: House, count: int) -> None:
    """At the edges of a chunk nothing is lost or repeated."""
    await house.start(TEXT)
    await house.put(items(count))
    assert [row["index"] for row in await result(house)] == list(range(count))
    await house.done(count + 2)
    assert len(house.partner("out").taken) == count
