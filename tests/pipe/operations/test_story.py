"""`explain` tells where a message is, why, and what happens next; `search` and `status` find and weigh it."""

from __future__ import annotations

from typing import Any

import pytest

from pipe.errors import BadRequest, NoAnswer, NotFound, PeerFailed, Refused
from pipe.store import schema
from tests.pipe.house import House, altered
from tests.pipe.operations.hosts import audited, begin, change, do
from tests.pipe.operations.test_dead_letters import DEADLINE, ORDERED, PLAIN, SECRET, TOP

KEYED = (
    TOP
    + "    idempotency: {key: \"header('Idempotency-Key')\"}\n    subject: body.phone\n    order_by: body.k\n"
    + "    steps: [{decode: json}]\n    to: {connection: out, put: x}\n"
)


async def only(house: House, id: str) -> Any:
    """The one delivery of a message's story."""
    story = await do(house, "explain", id=id)
    [delivery] = story["deliveries"]
    return {**delivery, "sentence": story["sentence"]}


async def test_a_delivered_message_tells_its_whole_way(house: House) -> None:
    """Who brought it, the route's line, each step's line, the one attempt."""
    await begin(house, ORDERED)
    accepted = await house.put('{"k": 1}', caller="demo")
    await house.done(1)
    story = await do(house, "explain", id=accepted.id)
    [delivery] = story["deliveries"]
    assert story["came"].startswith("came from demo through in")
    assert [step["step"] for step in story["steps"]] == ["decode"]
    assert story["steps"][0]["place"].startswith("connections.yaml:")
    assert [(attempt["n"], attempt["outcome"]) for attempt in delivery["attempts"]] == [(1, "delivered")]
    assert story["sentence"] == f"{accepted.id} is done: delivered to out."


async def test_a_story_shows_the_lines_of_the_revision_that_it_began_on(house: House) -> None:
    """The configuration has changed since; the story has not."""
    await begin(house, ORDERED)
    accepted = await house.put('{"k": 1}')
    await house.done(1)
    before = (await do(house, "explain", id=accepted.id))["steps"]
    await change(house, ORDERED.replace("routes:", "  more: {type: memory_sink}\nroutes:"))
    after = await do(house, "explain", id=accepted.id)
    assert (after["steps"], bool(before)) == (before, True)


async def test_a_retry_tells_every_attempt_and_when_the_next_is(house: House) -> None:
    """The reason of the last one, and the time of the next."""
    await begin(house, PLAIN)
    house.partner("out").script = [PeerFailed("busy with something")]
    accepted = await house.put("hello")
    (row,) = await house.reaches("retry")
    told = await only(house, accepted.id)
    assert (told["why"], told["next"], told["next_at"]) == (
        "attempt 1 of 30 failed: busy with something",
        "attempt 2",
        row["next_at"],
    )


async def test_a_held_message_names_the_one_ahead_and_its_trouble(house: House) -> None:
    """Nobody has to look for it."""
    await begin(house, ORDERED)
    house.partner("out").script = [PeerFailed("not now")]
    first = await house.put('{"k": 1}')
    second = await house.put('{"k": 1}')
    await house.reaches("retry", "held")
    told = await only(house, second.id)
    assert told["about"]["behind"] == first.id
    assert first.id in told["why"]
    assert "not now" in told["why"]


async def test_a_connection_that_is_down_is_named_with_its_reason(house: House) -> None:
    """What waits behind it says so, and that it loses nothing."""
    await begin(house, PLAIN)
    house.partner("out").down = True
    for n in range(4):
        await house.put(f"{n}")
    await house.pass_time(60)
    waiting = await house.until(lambda: house.deliveries(schema.delivery.c.state.in_(("ready", "retry"))))
    story = await do(house, "explain", id=str(waiting[-1]["id"]))
    [told] = story["deliveries"]
    assert "the connection out is down" in told["why"]
    assert "costs no attempts" in told["next"]
    status = await do(house, "status")
    assert not status["well"]
    assert "out is down" in status["verdict"]


async def test_a_pause_is_named_with_who_and_why(house: House) -> None:
    """Of a connection, of a route; and it goes on when resumed."""
    await begin(house, PLAIN)
    for name, words in (
        ("out", "the connection out was paused by olena: their request"),
        ("r", "the route r was paused by olena: their request"),
    ):
        await do(house, "pause", name=name, reason="their request")
        accepted = await house.put("hello")
        told = await only(house, accepted.id)
        assert (told["why"], told["next"]) == (words, f"it goes on with `pipe resume {name}`")
        assert told["sentence"].startswith(f"{accepted.id} waits (out)")
        await do(house, "resume", name=name)
        await house.until(lambda: house.deliveries(schema.delivery.c.state == "delivered"))
    await house.done(2)


async def test_an_uncertain_delivery_waits_for_a_decision(house: House) -> None:
    """Sent and not answered: the story says so, a person decides, the books and the audit hold."""
    await begin(house, PLAIN)
    for decision, state in (("delivered", "delivered"), ("dead", "dead"), ("retry", "delivered")):
        house.partner("out").script = [NoAnswer("no answer within 30 s")]
        accepted = await house.put(decision)
        await house.until(lambda: house.deliveries(schema.delivery.c.state == "uncertain"))
        told = await only(house, accepted.id)
        assert (told["maybe_delivered"], "nothing until a person decides" in told["next"]) == (True, True)
        assert not (await do(house, "status"))["well"]
        await do(house, "resolve", id=accepted.id, decision=decision, reason="the partner looked")
        await house.done()
        assert (await only(house, accepted.id))["state"] == state
        [entry] = await audited(house, f"uncertain.{decision}")
        assert entry["target"] == accepted.id
    assert (await do(house, "ledger.verify"))["wrong"] == []


async def test_a_decision_about_nothing_uncertain_is_refused(house: House) -> None:
    """It says what to ask instead."""
    await begin(house, PLAIN)
    accepted = await house.put("hello")
    await house.done(1)
    with pytest.raises(BadRequest, match=r"nothing of .* is uncertain"):
        await do(house, "resolve", id=accepted.id, decision="delivered", reason="x")


async def test_what_waits_for_its_next_attempt_can_be_sent_at_once(house: House) -> None:
    """`--retry` does not wait for the pause."""
    await begin(house, PLAIN)
    house.partner("out").script = [PeerFailed()]
    accepted = await house.put("hello")
    await house.reaches("retry")
    await do(house, "resolve", id=accepted.id, decision="retry", reason="they are back")
    await house.reaches("delivered")


async def test_an_unknown_id_says_how_to_find_messages(house: House) -> None:
    """NotFound with the way out."""
    await begin(house, PLAIN)
    with pytest.raises(NotFound, match="pipe search"):
        await do(house, "explain", id="nothing")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"key": "7"}, 1),
        ({"key": "8"}, 0),
        ({"subject": "+380671234567"}, 1),
        ({"subject": "+380000000000"}, 0),
        ({"idempotency_key": "once"}, 1),
        ({"idempotency_key": "once", "caller": "demo"}, 1),
        ({"idempotency_key": "once", "caller": "other"}, 0),
        ({"route": "r", "state": "delivered"}, 1),
        ({"state": "pending"}, 0),
        ({"until": 1.0}, 0),
    ],
)
async def test_a_message_is_found_by_what_is_known_of_it(house: House, asked: dict[str, Any], found: int) -> None:
    """Keys and subjects by their hashes, the idempotency key without knowing whose it was."""
    await begin(house, KEYED)
    await house.put('{"k": 7, "phone": "+380671234567"}', headers={"idempotency_key": "once"}, caller="demo")
    await house.done(1)
    assert len(await do(house, "search", **asked)) == found


async def test_an_unknown_state_is_answered_with_those_there_are(house: House) -> None:
    """A typing mistake is no empty answer."""
    await begin(house, PLAIN)
    with pytest.raises(BadRequest, match="there are: pending, ready"):
        await do(house, "search", state="deda")


async def test_all_is_well_is_said_only_when_it_is(house: House) -> None:
    """One dead letter, and the verdict says what to type."""
    await begin(house, PLAIN)
    await house.put("hello")
    await house.done(1)
    assert (await do(house, "status"))["verdict"] == "All is well: 1 route, 2 connections, nothing waits."
    house.partner("out").script = [Refused()]
    await house.put("hello")
    await house.done(2)
    told = await do(house, "status")
    assert (told["well"], told["troubles"]) == (False, ["route r has 1 dead delivery: `pipe dead list --route r`"])


async def test_an_expired_message_tells_that_it_came_too_late(house: House) -> None:
    """And how to send it all the same."""
    await begin(house, DEADLINE)
    house.partner("out").script = [PeerFailed()]
    accepted = await house.put("hello")
    await house.pass_time(15)
    await house.reaches("expired")
    assert "--ignore-deadline" in (await only(house, accepted.id))["next"]


async def test_a_story_masks_what_is_sensitive_but_not_its_ids(house: House) -> None:
    """The partner repeats the number; the story does not."""
    await begin(house, SECRET)
    house.partner("out").script = [PeerFailed("+380671234567 is busy")]
    accepted = await house.put('{"phone": "+380671234567"}')
    await house.reaches("retry")
    told = str(await do(house, "explain", id=accepted.id))
    assert ("+380671234567" in told, "*** is busy" in told, accepted.id in told) == (False, True, True)


async def test_verify_finds_a_total_that_was_altered(house: House) -> None:
    """And a row of the audit that was."""
    await begin(house, PLAIN)
    await house.put("hello")
    await house.done(1)
    await house.store.write(lambda tx: tx.count("r", "delivered", 1))
    found = await do(house, "ledger.verify")
    assert (found["good"], len(found["wrong"])) == (False, 2)
    await house.store.write(lambda tx: tx.count("r", "delivered", -1))
    await house.store.write(altered(schema.audit.update().values(actor="mallory")))
    assert (await do(house, "ledger.verify"))["audit_broken_at"] is not None


async def test_a_drained_route_takes_nothing_and_ends_what_it_has(house: House) -> None:
    """Callers are refused, deliveries go on; the routes' list says so."""
    await begin(house, PLAIN)
    house.partner("out").script = [PeerFailed()]
    await house.put("hello")
    await house.reaches("retry")
    await do(house, "drain", name="r", reason="moving")
    with pytest.raises(Exception, match="it is being drained"):
        await house.put("more")
    await house.pass_time(30)
    await house.done(1)
    [route] = await do(house, "routes")
    assert (route["state"], route["promise"]) == ("draining", "at-least-once, duplicates possible")


async def test_switches_survive_a_crash(house: House) -> None:
    """What a person paused stays paused."""
    await begin(house, PLAIN)
    await do(house, "pause", name="out", reason="repair")
    await house.crash()
    await begin(house, PLAIN)
    await house.put("hello")
    [_, out] = await do(house, "connections")
    assert (out["connection"], out["state"], await house.states()) == ("out", "paused", ["ready"])
    await do(house, "resume", name="out")
    await house.done(1)


@pytest.mark.parametrize(
    ("operation", "name", "error"),
    [("pause", "nobody", NotFound), ("drain", "out", BadRequest), ("pause", "out", BadRequest)],
)
async def test_a_switch_that_cannot_be_is_refused(
    house: House, operation: str, name: str, error: type[Exception]
) -> None:
    """An unknown name, a connection that cannot be drained, a reason that is missing."""
    await begin(house, PLAIN)
    with pytest.raises(error):
        await do(house, operation, name=name, reason="" if (operation, name) == ("pause", "out") else "x")
