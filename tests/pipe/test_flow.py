"""Flow steps: exactly once inside the gateway, emissions now and later, to this route and to others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from pipe.contract import Message, Receipt, Transaction
from pipe.errors import NoSuchTarget, PeerFailed, Refused
from pipe.store import schema
from tests.pipe.house import House

NOTES = Table("note", MetaData(), Column("n", Integer, primary_key=True), Column("text", String))
HEAD = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    retry: {attempts: 3, first: 10s, factor: 1}
"""
THROUGH = (
    HEAD
    + "    steps: [{decode: json}, {flow: test.note}, {set: {headers.seen: \"'yes'\"}}]\n"
    + "    to: {connection: out, put: x}\n"
)
CONSUMED = HEAD + "    steps: [{decode: json}, {flow: test.note}]\n"
OTHER = "  s:\n    from: internal\n    to: {connection: out, put: s}\n"


def note(message: Message, tx: Transaction) -> Iterable[Message]:
    """Writes its body down and passes it on."""
    tx.execute(insert(NOTES).values(text=str(message.body)))
    yield message


async def begin(house: House, text: str, function: Any = note) -> None:
    """A gateway with a flow of one table."""
    house.migrations = (NOTES.create,)
    house.flows["test.note"] = function
    await house.start(text)


@pytest.mark.key("steps.flow")
async def test_what_a_flow_writes_and_emits_is_committed_with_the_end_of_its_input(house: House) -> None:
    """The input is consumed, the emission goes on through the route with a new id."""
    await begin(house, THROUGH)
    accepted = await house.put('{"a": 1}')
    rows = await house.done(2)
    assert [(row["station"], row["state"]) for row in rows] == [("flow:test.note", "consumed"), ("out", "delivered")]
    (sent,) = house.partner("out").taken
    assert (sent.message.headers["seen"], sent.message.id != accepted.id) == ("yes", True)
    assert await house.count(NOTES) == 1
    assert await house.ledger() == {"accepted": 1, "emitted": 1, "consumed": 1, "delivered": 1}


async def test_a_flow_that_breaks_leaves_nothing_but_a_dead_letter_with_its_traceback(house: House) -> None:
    """What it wrote and emitted before it broke is undone."""

    def breaks(message: Message, tx: Transaction) -> Iterable[Message]:
        yield from note(message, tx)
        tx.emit(message)
        raise RuntimeError("a defect")

    await begin(house, THROUGH, breaks)
    await house.put('{"a": 1}')
    (row,) = await house.done(1)
    (dead,) = await house.rows(select(schema.dead_letter))
    assert (row["state"], row["code"], dead["step"]) == ("dead", "PIPE-3016", "routes.r.steps[1]")
    assert "RuntimeError: a defect" in dead["traceback"]
    assert await house.count(NOTES) == 0


async def test_a_flow_that_asks_for_another_try_is_tried_again(house: House) -> None:
    """An error with the verdict retry waits as a delivery does; nothing of the first try remains."""
    tries: list[int] = []

    def later(message: Message, tx: Transaction) -> Iterable[Message]:
        yield from note(message, tx)
        tries.append(1)
        if len(tries) < 2:
            raise PeerFailed("not now")

    await begin(house, THROUGH, later)
    await house.put('{"a": 1}')
    await house.reaches("retry")
    assert await house.count(NOTES) == 0
    await house.pass_time(11)
    await house.done(2)
    assert (await house.count(NOTES), len(house.partner("out").taken)) == (1, 1)


async def test_a_flow_happens_once_though_the_process_dies_around_it(house: House) -> None:
    """Its input is done in the same commit, so a restart does not run it again."""
    await begin(house, THROUGH)
    house.partner("out").script = [PeerFailed("not now")]
    await house.put('{"a": 1}')
    await house.reaches("consumed", "retry")
    await house.crash()
    await house.start(THROUGH)
    await house.pass_time(11)
    await house.done(2)
    assert await house.count(NOTES) == 1


async def test_a_flow_whose_input_was_ended_by_someone_else_leaves_nothing(house: House) -> None:
    """Who comes second does not happen: its writes and emissions are undone."""
    await begin(house, THROUGH)
    house.engine.switches.routes.add("r")
    await house.put('{"a": 1}')
    await house.until(lambda: queued(house))
    await house.store.write(lambda tx: house.engine.outcomes.end(tx, works(house)[0], discarded(), []))
    await house.engine.switches.set("route", "r", None)
    await house.put('{"a": 2}')
    await house.done(3)
    assert [row["text"] for row in await house.rows(select(NOTES))] == ["{'a': 2}"]
    assert await house.states() == ["discarded", "consumed", "delivered"]


async def queued(house: House) -> bool:
    """Whether it has something."""
    return bool(works(house))


def works(house: House) -> list[Any]:
    """What the flow's station has in memory."""
    return list(house.engine.stations["r", "flow:test.note"].queue)


def discarded() -> Any:
    """What a person's discard writes."""
    from pipe.store.journal import Outcome

    return Outcome("discarded", note="by a person", attempted=False)


async def test_a_flow_that_emits_nothing_consumes(house: House) -> None:
    """No target hears of it."""
    await begin(house, CONSUMED, lambda message, tx: None)
    await house.put('{"a": 1}')
    assert [row["state"] for row in await house.done(1)] == ["consumed"]


async def test_an_emission_may_name_another_route(house: House) -> None:
    """It enters there with one hop more."""
    await begin(house, CONSUMED + OTHER, lambda message, tx: tx.emit(message, route="s") and None)
    await house.put('{"a": 1}')
    await house.done(2)
    assert [sent.message.hops for sent in house.partner("out").taken] == [1]


async def test_an_emission_may_have_a_deadline_of_its_own(house: House) -> None:
    """To another route, whatever that one says; on its own way it can only be shorter; past it nothing is sent."""

    def hurried(message: Message, tx: Transaction) -> Iterable[Message]:
        tx.emit(message, route="s", deadline=tx.now + 5)
        tx.emit(message, deadline=tx.now + 7)
        tx.emit(message, deadline=tx.now + 9e9)
        return []

    head = HEAD.replace("    retry:", "    deadline: 1h\n    retry:").replace("first: 10s", "first: 1m")
    route = head + "    steps: [{decode: json}, {flow: test.note}]\n    to: {connection: out, put: x}\n"
    await begin(house, route + OTHER.replace("internal", "internal\n    deadline: 1d"), hurried)
    house.partner("out").script = [PeerFailed() for _ in range(9)]
    now = house.clock.now()
    await house.put('{"a": 1}')
    rows = await house.reaches("consumed", "retry", "retry", "retry")
    assert sorted(round(row["expires_at"] - now) for row in rows) == [5, 7, 3600, 3600]
    await house.pass_time(8)
    await house.reaches("consumed", "expired", "expired", "retry")


async def test_a_step_hashes_and_seals_with_keys_outside_the_database(house: House) -> None:
    """The same parts give the same hash; what is sealed opens only as what it was sealed for."""
    made: list[object] = []

    def secretive(message: Message, tx: Transaction) -> None:
        sealed = tx.seal(b"secret", "here")
        made.extend([tx.hash("a", "b") == tx.hash("a", "b"), tx.hash("a", "b") == tx.hash("ab"), b"secret" in sealed])
        made.append(tx.unseal(sealed, "here"))
        tx.unseal(sealed, "elsewhere")

    await begin(house, CONSUMED, secretive)
    await house.put('{"a": 1}')
    (row,) = await house.done(1)
    assert (made, row["code"]) == ([True, False, False, b"secret"], "PIPE-4005")


async def test_pages_act_on_flows_as_their_steps_do(house: House) -> None:
    """In one unit, in somebody's name; what it emits names its route and begins a story of its own."""
    await begin(house, CONSUMED + OTHER)
    message = Message("", "", {"a": 1})

    def unit(tx: Transaction) -> str:
        tx.audit("test.acted", target="x")
        return tx.emit(message, route="s")

    made = await house.engine.act(unit, "person/olena")
    await house.done(1)
    (sent,) = house.partner("out").taken
    assert (sent.message.id, sent.message.hops, sent.data.body) == (made, 0, {"a": 1})
    assert [row["actor"] for row in await house.rows(select(schema.audit)) if row["event"] == "test.acted"] == [
        "person/olena"
    ]
    with pytest.raises(NoSuchTarget, match="must name the route"):
        await house.engine.act(lambda tx: tx.emit(message), "person/olena")
    assert await house.ledger() == {"emitted": 1, "delivered": 1}


async def test_a_timer_fires_at_its_time_also_after_a_restart(house: House) -> None:
    """Not before, and once."""
    await begin(house, CONSUMED + OTHER, lambda message, tx: tx.emit(message, route="s", at=tx.now + 3600) and None)
    await house.put('{"a": 1}')
    await house.reaches("consumed", "timer")
    await house.crash()
    await house.start(CONSUMED + OTHER)
    await house.pass_time(3500)
    assert house.partner("out").taken == []
    await house.pass_time(200)
    await house.done(2)
    assert len(house.partner("out").taken) == 1


async def test_a_timer_can_be_taken_back_by_its_name(house: House) -> None:
    """Also after a restart; it ends as discarded and never fires."""

    def timer(message: Message, tx: Transaction) -> None:
        if message.body["a"]:
            tx.emit(message, route="s", at=tx.now + 60, cancel="reminder 1")
            tx.emit(message, route="s", at=tx.now + 60, cancel="reminder 2")
        else:
            assert tx.cancel("reminder 1") == 1
            assert tx.cancel("reminder 1") == 0

    await begin(house, CONSUMED + OTHER, timer)
    await house.put('{"a": 1}')
    await house.reaches("consumed", "timer", "timer")
    await house.crash()
    await house.start(CONSUMED + OTHER)
    await house.put('{"a": 0}')
    await house.pass_time(70)
    assert [row["state"] for row in await house.done(4)] == ["consumed", "discarded", "delivered", "consumed"]


async def test_a_timer_of_the_past_goes_at_once(house: House) -> None:
    """Also on an ordered route, where it takes its place in no line that nobody would call it from."""
    ordered = OTHER.replace("from: internal", "from: internal\n    order_by: body.a")

    def past(message: Message, tx: Transaction) -> None:
        for _ in range(2):
            tx.emit(message, route="s", at=tx.now - 5)

    await begin(house, CONSUMED + ordered, past)
    await house.put('{"a": 1}')
    assert [row["state"] for row in await house.done(3)] == ["consumed", "delivered", "delivered"]


async def test_an_emission_to_a_route_that_is_not_there_kills_its_input(house: House) -> None:
    """The dead letter says which route was meant."""
    await begin(house, CONSUMED, lambda message, tx: tx.emit(message, route="nowhere") and None)
    await house.put('{"a": 1}')
    (row,) = await house.done(1)
    assert (row["state"], row["code"], row["note"]) == ("dead", "PIPE-3015", "there is no route nowhere")


@pytest.mark.key("limits.hops", "to.route")
async def test_routes_that_go_round_in_a_circle_are_stopped(house: House) -> None:
    """The message is a dead letter after `limits: hops`, and is not delivered once more."""
    circle = "limits: {hops: 5}\n" + HEAD + "    to: {route: s}\n  s:\n    from: internal\n    to: {route: s}\n"
    await house.start(circle)
    await house.put("round")
    rows = await house.done(7)
    assert [row["state"] for row in rows] == ["delivered"] * 6 + ["dead"]
    assert (rows[-1]["code"], await house.count(schema.attempt)) == ("PIPE-3013", 0)


@pytest.mark.key("from outcome.outcome", "from outcome.of")
async def test_a_route_can_follow_what_became_of_another(house: House) -> None:
    """`from: {outcome: …}` hears of a dead letter once, with what it was."""
    listener = "  watch:\n    from: {outcome: [dead], of: [r]}\n    to: {connection: out, put: watch}\n"
    await house.start(HEAD + "    to: {connection: out, put: x}\n" + listener)
    house.partner("out").script = [Refused("never")]
    accepted = await house.put("hello")
    await house.done(2)
    (report,) = house.partner("out").bodies
    assert f'"id":"{accepted.id}"'.encode() in report
    assert b'"outcome":"dead"' in report


async def test_who_follows_a_delivery_gets_what_the_partner_answered(house: House) -> None:
    """Plain values of the reply, small enough; a dead one has none."""
    listener = "  watch:\n    from: {outcome: [delivered, dead], of: [r]}\n    to: {connection: out, put: watch}\n"
    await house.start(HEAD + "    to: {connection: out, put: x}\n" + listener)
    answers: dict[Any, Receipt | Refused] = {b"one": Receipt(200, body={"number": 7}), b"two": Refused("never")}
    house.partner("out").decide = lambda outgoing: answers.get(outgoing.message.body)
    await house.put("one")
    await house.done(2)
    await house.put("two")
    await house.done(4)
    reports = [json.loads(body) for body in house.partner("out").bodies if b'"outcome"' in body]
    assert [each["reply"] for each in reports] == [{"number": 7}, None]


@pytest.mark.key("steps.tap", "tap.route")
async def test_a_tap_happens_once_however_often_the_steps_run(house: House) -> None:
    """Several targets and several tries of each make one copy."""
    two = HEAD.replace("routes:", "  other: {type: memory_sink, breaker: false}\nroutes:")
    text = two + "    steps: [{tap: {route: s}}]\n    to: [{connection: out, put: x}, {connection: other, put: y}]\n"
    await house.start(text + OTHER.replace("connection: out", "connection: other"))
    house.partner("out").script = [PeerFailed("no"), PeerFailed("no")]
    await house.put("hello")
    await house.pass_time(40)
    await house.done(3)
    assert sorted(sent.target.put.text for sent in house.partner("other").taken) == ["s", "y"]


async def test_a_step_that_asks_a_partner_in_vain_is_tried_again(house: House) -> None:
    """`enrich` is a question: a blip of the partner who answers it kills no message."""
    text = HEAD.replace("attempts: 3", "attempts: 9").replace(
        "routes:", "  crm: {type: memory_sink, breaker: false}\nroutes:"
    )
    text += "    steps: [{decode: json}, {enrich: {connection: crm, put: q, into: body.person}}]\n"
    text += "    to: {connection: out, put: x}\n"
    await house.start(text)
    house.partner("crm").script = [PeerFailed("not now")]
    house.partner("crm").down = True
    await house.put('{"a": 1}')
    await house.until(lambda: house.states(schema.delivery.c.state == "retry"))
    await house.pass_time(60)
    house.partner("crm").down = False
    await house.pass_time(200)
    await house.done(1)
    assert house.partner("out").bodies == [b'{"a":1,"person":{"ok":true}}']
