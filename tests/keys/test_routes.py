"""What the keys of routes, their targets and the engine's own steps do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import select

from pipe.config.models import Retry
from pipe.contract import Receipt
from pipe.errors import NoAnswer, QueueFull, Refused
from pipe.retry import RetryPolicy
from pipe.store import schema
from pipe.upkeep import Upkeep
from tests.pipe.house import House

CONNECTIONS = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
  crm: {type: memory_sink, breaker: false}
"""


def route(keys: str, target: str = "connection: out, put: x", more: str = "") -> str:
    """A configuration with a route of these keys."""
    return f"{CONNECTIONS}{more}routes:\n  r: {{from: {{connection: in}}, {keys} to: {{{target}}}}}\n"


# --- retry and retention


@pytest.mark.key("retry.first", "retry.factor", "retry.max", "retry.attempts", "retry.within")
@pytest.mark.parametrize(
    ("keys", "pauses"),
    [
        ({"first": "5s", "factor": 3, "max": "15m", "attempts": 4}, [5, 15, 45, None]),
        ({"first": "5s", "factor": 3, "max": "20s", "attempts": 4}, [5, 15, 20, None]),
        ({"first": "5s", "factor": 1, "attempts": 3}, [5, 5, None]),
        ({"first": "5s", "factor": 3, "within": "30s", "attempts": 9}, [5, 15, None]),
    ],
)
def test_pauses_follow_the_keys_of_retry(keys: dict[str, Any], pauses: list[float | None]) -> None:
    """`first` times `factor` each time, at most `max`, `attempts` tries, none later than `within`."""
    policy = RetryPolicy(Retry.model_validate(keys), chance=lambda: 0.0)
    spent, found = 0.0, []
    for attempt in range(1, len(pauses) + 1):
        pause = policy.next_pause(attempt, spent)
        found.append(pause)
        spent += pause or 0
    assert found == pauses


@pytest.mark.key("retention.bodies", "retention.dead", "retention.metadata", "top.retention", "routes.retention")
async def test_what_was_kept_long_enough_goes(house: House) -> None:
    """Bodies after a day, dead letters after three (on route `s` after two), everything after ten."""
    text = route("", more="retention: {bodies: 1d, dead: 3d, metadata: 10d}\n")
    other = "  s: {from: {connection: in, topic: s}, retention: {dead: 2d}, to: {connection: crm, put: x}}\n"
    await house.start(text + other)
    house.partner("out").script = [None, Refused("no")]
    house.partner("crm").script = [Refused("no")]
    for name in ("r", "r", "s"):
        await house.put("body", name)
    await house.done(3)
    left = []
    for days in (1, 1, 1, 7):
        await house.clock.advance(days * 86400 + 1)  # type: ignore[attr-defined]
        tidying = asyncio.create_task(Upkeep(house.engine).once())
        while not tidying.done():  # it waits a moment where somebody reads just then
            await house.pass_time(0.1)
        await tidying
        bodies = await house.count(schema.message, schema.message.c.kind != "gone")
        left.append((bodies, await house.count(schema.message)))
    assert left == [(2, 3), (1, 3), (0, 3), (0, 0)]


# --- the route


@pytest.mark.key("routes.concurrency")
async def test_a_route_works_on_no_more_messages_than_concurrency_says(house: House) -> None:
    """Though the connection would take eight at once."""
    await house.start(route("concurrency: 2,"))
    partner = house.partner("out")
    partner.hold()
    for _ in range(4):
        await house.put("x")
    await partner.reached(2)
    await house.pass_time(5)
    assert len(partner.asked) == 2
    partner.release()
    await house.done(4)


@pytest.mark.key("routes.subject")
async def test_the_subject_of_a_message_is_kept_as_a_keyed_hash(house: House) -> None:
    """So that it can be searched for and erased, and cannot be read."""
    await house.start(route("subject: body.phone, steps: [{decode: json}],"))
    await house.put('{"phone": "+380671234567"}')
    await house.done(1)
    (row,) = await house.rows(select(schema.message.c.subject))
    assert row["subject"] == house.store.vault.hash("subject", "+380671234567")
    assert "380671234567" not in row["subject"]


@pytest.mark.key("limits.pending.bytes")
async def test_the_gateways_bytes_are_counted_over_all_routes(house: House) -> None:
    """Past `limits: {pending: {bytes: …}}` everything new is refused."""
    await house.start(route("", more="limits: {pending: {bytes: 1kB}}\n"))
    house.partner("out").hold()
    await house.put("x" * 900)
    with pytest.raises(QueueFull):
        await house.put("x" * 900)
    house.partner("out").release()
    await house.done(1)


@pytest.mark.key("from outcome.of")
async def test_outcomes_of_all_routes_are_followed_where_none_is_named(house: House) -> None:
    """Without `of` a route hears of every other one."""
    watch = "  watch: {from: {outcome: dead}, to: {connection: crm, put: x}}\n"
    await house.start(route("") + watch)
    house.partner("out").script = [Refused("no")]
    await house.put("x")
    await house.done(2)
    assert json.loads(house.partner("crm").bodies[0])["route"] == "r"


# --- targets


@pytest.mark.key("to.when", "to.steps")
async def test_a_target_takes_what_its_when_lets_through_after_its_own_steps(house: House) -> None:
    """`steps:` change the message for this target alone."""
    two = "[{connection: out, put: x, when: body.big, steps: [{map: {only: body.n}}]}, {connection: crm, put: x}]"
    await house.start(
        f"{CONNECTIONS}routes:\n  r: {{from: {{connection: in}}, steps: [{{decode: json}}], to: {two}}}\n"
    )
    for body in ('{"n": 1, "big": true}', '{"n": 2, "big": false}'):
        await house.put(body)
    await house.done(4)
    assert [json.loads(body) for body in house.partner("out").bodies] == [{"only": 1}]
    assert sorted(json.loads(body)["n"] for body in house.partner("crm").bodies) == [1, 2]


@pytest.mark.key("to.success", "to.retry_when", "to.dead_when")
@pytest.mark.parametrize(
    ("keys", "answer", "state"),
    [
        ("success: body.ok", {"ok": True}, "delivered"),
        ("success: body.ok", {"ok": False}, "dead"),
        ("retry_when: body.later", {"later": True}, "retry"),
        ("retry_when: body.later", {"later": False}, "delivered"),
        ("dead_when: body.never", {"never": True}, "dead"),
        ("dead_when: body.never", {"never": False}, "delivered"),
    ],
)
async def test_a_target_says_what_an_answer_means(house: House, keys: str, answer: Any, state: str) -> None:
    """Before the default table of the adapter."""
    await house.start(route("", f"connection: out, put: x, {keys}"))
    house.partner("out").script = [Receipt(200, body=answer)]
    await house.put("x")
    await house.reaches(state)


@pytest.mark.key("to.idempotent", "to.idempotent_by")
@pytest.mark.parametrize(
    ("keys", "state", "key"),
    [("", "uncertain", None), ("idempotent: true", "retry", None), ("idempotent_by: message.id", "retry", "id")],
)
async def test_no_answer_is_tried_again_where_repeating_is_harmless(
    house: House, keys: str, state: str, key: str | None
) -> None:
    """Elsewhere it is uncertain; the value of `idempotent_by` goes along."""
    await house.start(route("", f"connection: out, put: x, {keys}"))
    house.partner("out").script = [NoAnswer("silence")]
    accepted = await house.put("x")
    await house.reaches(state)
    assert house.partner("out").asked[0].key == (accepted.id if key else None)


@pytest.mark.key("on_uncertain.confirm.failure", "on_uncertain.confirm.after")
async def test_a_partner_is_asked_after_the_pause_and_a_failure_sends_again(house: House) -> None:
    """Nobody asks before `after`; where `failure` is true the message is sent anew."""
    confirm = "{connection: crm, put: q, success: body.done, failure: body.lost, after: 60s}"
    await house.start(route("retry: {first: 1s},", f"connection: out, put: x, on_uncertain: {{confirm: {confirm}}}"))
    house.partner("out").script = [NoAnswer("silence")]
    house.partner("crm").reply = Receipt(200, body={"lost": True})
    await house.put("x")
    await house.reaches("uncertain")
    await house.pass_time(55)
    assert house.partner("crm").asked == []
    await house.pass_time(10)
    await house.partner("crm").reached(1)
    await house.pass_time(10)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]
    assert len(house.partner("out").asked) == 2


# --- the engine's steps


@pytest.mark.key("steps.choose", "choose.when", "choose.steps", "routes.steps")
async def test_choose_runs_the_steps_of_the_first_branch_that_fits(house: House) -> None:
    """Else those of `otherwise`."""
    choose = (
        "{choose: [{when: 'body.n > `5`', steps: [{map: {size: \"'large'\"}}]},"
        " {when: 'body.n > `1`', steps: [{map: {size: \"'some'\"}}]}, {otherwise: [{map: {size: \"'few'\"}}]}]}"
    )
    await house.start(route(f"order_by: \"'all'\", steps: [{{decode: json}}, {choose}],"))
    for n in (9, 2, 1):
        await house.put(json.dumps({"n": n}))
    await house.done(3)
    assert [json.loads(body)["size"] for body in house.partner("out").bodies] == ["large", "some", "few"]


@pytest.mark.key("steps.enrich", "enrich.connection", "enrich.into", "enrich.success")
@pytest.mark.parametrize(("found", "state"), [(True, "delivered"), (False, "dead")])
async def test_enrich_asks_a_connection_and_merges_a_good_reply(house: House, found: bool, state: str) -> None:
    """At `into`; where `success` is not true the message goes no further."""
    await house.start(
        route("steps: [{decode: json}, {enrich: {connection: crm, put: q, into: body.who, success: body.found}}],")
    )
    house.partner("crm").reply = Receipt(200, body={"found": found})
    await house.put('{"n": 1}')
    assert [row["state"] for row in await house.done(1)] == [state]
    bodies = [json.loads(body) for body in house.partner("out").bodies]
    assert bodies == ([{"n": 1, "who": {"found": True}}] if found else [])


@pytest.mark.key("gather.steps")
async def test_the_steps_of_gather_work_on_the_list_of_results(house: House) -> None:
    """What leaves them goes to the target of `gather`."""
    gather = "{within: 1h, steps: [{map: {n: 'length(body)'}}], to: {connection: crm, put: x}}"
    await house.start(route(f"steps: [{{decode: json}}, {{split: {{items: body}}}}], gather: {gather},"))
    await house.put("[1, 2, 3]")
    await house.until(lambda: house.count(schema.delivery, schema.delivery.c.station.like("gather:%")))
    await house.done()
    assert [json.loads(body) for body in house.partner("crm").bodies] == [{"n": 3}]


@pytest.mark.key("timeout.total", "timeout.connect", "timeout.read")
async def test_every_attempt_is_given_the_limits_of_its_connection(house: House) -> None:
    """What adapters keep: the connection's own, and those of `defaults:` where it says nothing."""
    await house.start(
        "defaults: {timeout: {connect: 1s, read: 2s, total: 3s}}\n"
        + route("").replace("out: {type: memory_sink,", "out: {type: memory_sink, timeout: {read: 9s, total: 11s},")
    )
    await house.put("x")
    await house.done(1)
    assert house.partner("out").asked[0].timeout.model_dump() == {"connect": 1.0, "read": 9.0, "total": 11.0}
