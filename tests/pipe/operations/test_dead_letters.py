"""Dead letters are found, rehearsed, replayed, edited and discarded; the books stay right and the audit knows."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import pytest
from sqlalchemy import select

from pipe.contract import Wire
from pipe.errors import BadRequest, NotFound, PeerFailed, Refused
from pipe.store import schema
from tests.pipe.house import House
from tests.pipe.operations.hosts import audited, begin, change, do

TOP = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
"""
PLAIN = TOP + "    to: {connection: out, put: x}\n"
ORDERED = TOP + "    order_by: body.k\n    steps: [{decode: json}]\n    to: {connection: out, put: x}\n"
SECRET = TOP + "    sensitive: [body.phone]\n    steps: [{decode: json}]\n    to: {connection: out, put: x}\n"
DEADLINE = TOP + "    deadline: 10s\n    to: {connection: out, put: x, retry: {attempts: 9, first: 60s}}\n"
TWO = TOP.replace("routes:", "  other: {type: memory_sink}\nroutes:") + (
    "    steps: [{decode: json}, {map: {n: %s}}]\n    to: [{connection: out, put: x}, {connection: other, put: y}]\n"
)
DEEP = (
    TOP
    + """    to: {route: s}
  s:
    from: internal
    steps: [{decode: json}, {split: {items: body}}]
    to: {connection: out, put: x}
"""
)
MAPPED = TOP + "    steps: [{decode: json}, {map: {n: %s}}]\n    to: {connection: out, put: x}\n"


async def test_a_dead_letter_tells_its_whole_record(house: House) -> None:
    """Class, code, attempts, the original with its hash, and when it died."""
    await begin(house, PLAIN)
    house.partner("out").script = [Refused("no such person")]
    accepted = await house.put("hello")
    await house.done(1)
    [letter] = await do(house, "dead.show", id=accepted.id)
    told = [letter[name] for name in ("message_id", "route", "station", "class", "code", "text", "maybe_delivered")]
    assert told == [accepted.id, "r", "out", "refused", "PIPE-2006", "no such person", False]
    assert letter["original"]["body"] == "hello"
    assert [attempt["outcome"] for attempt in letter["attempts"]] == ["dead"]
    assert await audited(house, "dead.viewed")


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ({"route": "r"}, 1),
        ({"route": "s"}, 0),
        ({"kind": "refused"}, 1),
        ({"code": "PIPE-2001"}, 0),
        ({"station": "out"}, 1),
    ],
)
async def test_dead_letters_are_found_by_what_is_known_of_them(house: House, which: dict[str, str], found: int) -> None:
    """Each filter narrows the list."""
    await begin(house, PLAIN)
    house.partner("out").script = [Refused()]
    await house.put("hello")
    await house.done(1)
    assert len(await do(house, "dead.list", which=which)) == found


async def test_a_replay_delivers_keeps_the_id_and_balances(house: House) -> None:
    """L10: the same message goes again, the ledger holds, and the audit names who did it and why."""
    await begin(house, PLAIN)
    house.partner("out").script = [Refused()]
    accepted = await house.put("hello")
    await house.done(1)
    done = await do(house, "dead.replay", which={"ids": [accepted.id]}, reason="mended")
    assert (done["chosen"], done["replayed"], done["refused"]) == (1, 1, [])
    (row,) = await house.until(lambda: house.deliveries(schema.delivery.c.state == "delivered"))
    assert (row["attempts"], house.partner("out").ids) == (1, [accepted.id])
    assert (await do(house, "ledger.verify"))["wrong"] == []
    [entry] = await audited(house, "dead.replayed")
    assert (entry["actor"], entry["target"]) == ("olena", accepted.id)
    assert "mended" in entry["after"]


async def test_a_replay_without_a_choice_is_refused(house: House) -> None:
    """Nobody replays everything by accident."""
    await begin(house, PLAIN)
    with pytest.raises(BadRequest, match="say which"):
        await do(house, "dead.replay", which={})


async def test_a_replayed_letter_waits_for_its_key(house: House) -> None:
    """It is held while another of its key is on the way, and goes when that one is done."""
    await begin(house, ORDERED)
    partner = house.partner("out")
    partner.script = [Refused(), PeerFailed()]
    first = await house.put('{"k": 1}')
    second = await house.put('{"k": 1}')
    await house.reaches("dead", "retry")
    await do(house, "dead.replay", which={"ids": [first.id]})
    assert await house.states() == ["held", "retry"]
    await house.pass_time(30)
    await house.done(2)
    assert partner.ids == [second.id, first.id]


async def test_an_expired_letter_goes_again_only_when_told(house: House) -> None:
    """Its deadline is respected unless a person says otherwise."""
    await begin(house, DEADLINE)
    house.partner("out").script = [PeerFailed()]
    accepted = await house.put("hello")
    await house.pass_time(15)
    await house.reaches("expired")
    which = {"ids": [accepted.id]}
    refused = await do(house, "dead.replay", which=which)
    assert (refused["replayed"], "--ignore-deadline" in refused["refused"][0]["text"]) == (0, True)
    assert (await do(house, "dead.replay", which=which, ignore_deadline=True))["replayed"] == 1
    await house.reaches("delivered")


@pytest.mark.key("routes.replay")
async def test_what_is_worth_nothing_later_is_not_sent_again(house: House) -> None:
    """`replay: never`: neither replayed, deadline or not, nor edited and sent; its story says so."""
    await begin(house, DEADLINE.replace("deadline:", "replay: never\n    deadline:"))
    house.partner("out").script = [Refused("no"), PeerFailed()]
    dead, expired = await house.put("one"), await house.put("two")
    await house.pass_time(15)
    await house.reaches("dead", "expired")
    for ignore in (False, True):
        told = await do(house, "dead.replay", which={"ids": [dead.id, expired.id]}, ignore_deadline=ignore)
        assert (told["replayed"], len(told["refused"])) == (0, 2)
        assert "replay: never" in told["refused"][0]["text"]
    with pytest.raises(BadRequest, match="replay: never"):
        await do(house, "dead.edit", id=dead.id, reason="mended", text="three")
    assert "replay: never" in (await do(house, "explain", id=dead.id))["deliveries"][0]["next"]
    assert await house.states() == ["dead", "expired"]


async def test_a_paced_replay_takes_its_time(house: House) -> None:
    """Two a second: five need at least two seconds of the clock."""
    await begin(house, PLAIN)
    house.partner("out").decide = lambda outgoing: Refused()
    for n in range(5):
        await house.put(f"{n}")
    await house.done(5)
    house.partner("out").decide = None
    task = asyncio.create_task(do(house, "dead.replay", which={"route": "r"}, rate="2/s"))
    await house.until(lambda: house.deliveries(schema.delivery.c.state == "delivered"))
    assert not task.done()
    while not task.done():
        await house.pass_time(1)
    assert task.result()["replayed"] == 5


async def test_a_replay_runs_todays_steps(house: House) -> None:
    """A letter that died of a wrong mapping arrives once the mapping is mended."""
    await begin(house, MAPPED % "to_int(body.n)")
    accepted = await house.put('{"n": "many"}')
    await house.reaches("dead")
    await change(house, MAPPED % "body.n")
    await do(house, "dead.replay", which={"ids": [accepted.id]})
    await house.reaches("delivered")
    assert house.partner("out").bodies == [b'{"n":"many"}']


async def test_a_replay_of_one_target_repeats_no_other(house: House) -> None:
    """The steps' stored output is dropped, so today's run; what another target has done stays done."""
    await begin(house, TWO % "body.n")
    house.partner("out").script = [Refused()]
    accepted = await house.put('{"n": 1}')
    await house.reaches("dead", "delivered")
    await change(house, TWO % "to_string(body.n)")
    await do(house, "dead.replay", which={"ids": [accepted.id]})
    await house.reaches("delivered", "delivered")
    assert (house.partner("out").bodies, house.partner("other").bodies) == ([b'{"n":"1"}'], [b'{"n":1}'])


async def test_a_rehearsal_sends_nothing_and_shows_the_difference(house: House) -> None:
    """It tells what would go out now instead of then, and leaves no trace in store or partner."""
    await begin(house, MAPPED % "body.n")
    house.partner("out").script = [Refused()]
    accepted = await house.put('{"n": 5}')
    await house.done(1)
    await change(house, MAPPED % "to_string(body.n)")
    before = await house.ledger()
    found = await do(house, "dead.rehearse", which={"ids": [accepted.id]})
    [letter] = found["letters"]
    assert (found["passes"], letter["changed"], letter["before"], letter["after"]) == (
        1,
        True,
        {"body": {"n": 5}},
        {"body": {"n": "5"}},
    )
    assert (await house.ledger(), await house.states(), len(house.partner("out").asked)) == (before, ["dead"], 1)


async def test_a_rehearsal_tells_where_it_still_fails(house: House) -> None:
    """The step with its file and line, and why."""
    await begin(house, MAPPED % "to_int(body.n)")
    accepted = await house.put('{"n": "many"}')
    await house.done(1)
    [letter] = (await do(house, "dead.rehearse", which={"ids": [accepted.id]}))["letters"]
    assert (letter["passes"], letter["step"], letter["code"]) == (False, "routes.r.steps[1]", "PIPE-3005")
    assert letter["place"].startswith("connections.yaml:")


async def test_an_unchanged_rehearsal_warns(house: House) -> None:
    """What the partner refused would be sent again just so."""
    await begin(house, PLAIN)
    house.partner("out").script = [Refused()]
    await house.put("hello")
    await house.done(1)
    [letter] = (await do(house, "dead.rehearse"))["letters"]
    assert (letter["passes"], letter["changed"]) == (True, False)
    assert "exactly what was sent before" in letter["text"]


async def test_an_edited_letter_goes_as_a_new_message_and_the_original_stays(house: House) -> None:
    """The new one names its origin; the dead one is closed; its bytes are as they came; the books balance."""
    await begin(house, PLAIN)
    house.partner("out").script = [Refused()]
    accepted = await house.put("wrong")
    await house.done(1)
    done = await do(house, "dead.edit", id=accepted.id, text="right", reason="a slip of the pen")
    await house.done(2)
    assert (house.partner("out").bodies, await house.states()) == ([b"right"], ["discarded", "delivered"])
    assert (await do(house, "messages.show", id=accepted.id))["body"] == "wrong"
    assert (await do(house, "messages.show", id=done["id"]))["origin"] == accepted.id
    assert (await do(house, "ledger.verify"))["good"]


async def test_an_edit_that_the_door_refuses_changes_nothing(house: House) -> None:
    """The reason is told; the letter is as it was."""
    await begin(house, ORDERED)
    house.partner("out").script = [Refused()]
    accepted = await house.put('{"k": 1}')
    await house.done(1)
    with pytest.raises(BadRequest, match="still refused"):
        await do(house, "dead.edit", id=accepted.id, text="{", reason="a try")
    assert await house.states() == ["dead"]


async def test_a_discarded_letter_is_closed_with_its_reason(house: House) -> None:
    """Not without one; the ledger moves it from dead to discarded."""
    await begin(house, PLAIN)
    house.partner("out").script = [Refused()]
    accepted = await house.put("hello")
    await house.done(1)
    with pytest.raises(BadRequest, match="needs a reason"):
        await do(house, "dead.discard", which={"ids": [accepted.id]}, reason=" ")
    await do(house, "dead.discard", which={"ids": [accepted.id]}, reason="sent by hand")
    totals = await house.ledger()
    assert (totals["dead"], totals["discarded"], await house.states()) == (0, 1, ["discarded"])
    [row] = await do(house, "search", id=accepted.id)
    assert row["text"] == "discarded by olena: sent by hand"


async def test_sensitive_values_are_masked_wherever_they_turn_up(house: House) -> None:
    """In the original, in the partner's words, in the list."""
    await begin(house, SECRET)
    house.partner("out").script = [Refused("the number +380671234567 is not known")]
    accepted = await house.put('{"phone": "+380671234567"}')
    await house.done(1)
    told = [
        await do(house, "dead.show", id=accepted.id),
        await do(house, "dead.list"),
        await do(house, "dead.rehearse"),
        await do(house, "explain", id=accepted.id),
        await do(house, "messages.show", id=accepted.id),
        await do(house, "search"),
    ]
    assert "+380671234567" not in str(told)
    assert "***" in str(told[0])


XML = b"<?xml version='1.0'?><a b='+380671234567'><!-- +380671234567 --><c>+38&#48;671234567</c> tail</a>"


async def test_what_came_over_the_line_is_shown_beside_the_values_made_of_it(house: House) -> None:
    """As it was sent, with its content type."""
    await begin(house, PLAIN)
    house.partner("out").script = [Refused()]
    accepted = await house.put('{"n": 1}', wire=Wire("text/xml", XML, len(XML)))
    await house.done(1)
    [letter] = await do(house, "dead.show", id=accepted.id)
    assert letter["wire"] == {"content_type": "text/xml", "size": len(XML), "body": XML.decode()}
    assert (await do(house, "messages.show", id=accepted.id))["wire"] == letter["wire"]


@pytest.mark.parametrize("data", [XML, XML[:-3], b"--b\r\n\r\nKzM4MDY3MTIzNDU2Nw==\r\n--b--"])
async def test_of_a_sealed_message_only_the_skeleton_of_what_came_is_shown(house: House, data: bytes) -> None:
    """However the value was written, it is in no answer and not on the disk; with a reason it is shown."""
    await begin(house, SECRET)
    house.partner("out").script = [Refused()]
    accepted = await house.put('{"phone": "+380671234567"}', wire=Wire("text/xml", data, 5000))
    await house.done(1)
    told = [await do(house, "dead.show", id=accepted.id), await do(house, "messages.show", id=accepted.id)]
    assert not [value for value in ("671234567", "KzM4MDY3", "&#48;") if value in str(told)]
    skeleton = '<a b="***">\n  <c>***</c>\n</a>' if data is XML else "***"
    assert told[1]["wire"] == {"content_type": "text/xml", "size": 5000, "body": skeleton, "body_cut": True}
    shown = await do(house, "messages.show", id=accepted.id, reveal=True, reason="the caller asked")
    assert shown["wire"]["body"] == data.decode()
    [row] = await house.rows(select(schema.message.c.envelope))
    assert b64encode(data)[:12] not in bytes(row["envelope"])


async def test_who_reveals_a_body_says_why(house: House) -> None:
    """And the audit knows."""
    await begin(house, SECRET)
    accepted = await house.put('{"phone": "+380671234567"}')
    await house.done(1)
    with pytest.raises(BadRequest, match="needs a reason"):
        await do(house, "messages.show", id=accepted.id, reveal=True)
    shown = await do(house, "messages.show", id=accepted.id, reveal=True, reason="the caller asked")
    assert "+380671234567" in str(shown["body"])
    [entry] = await audited(house, "message.revealed")
    assert "the caller asked" in entry["after"]


async def test_a_message_without_a_dead_letter_is_not_shown_as_one(house: House) -> None:
    """The error tells what to ask instead."""
    await begin(house, PLAIN)
    accepted = await house.put("hello")
    await house.done(1)
    with pytest.raises(NotFound, match="pipe explain"):
        await do(house, "dead.show", id=accepted.id)


async def test_a_letter_is_replayed_while_no_gateway_runs(house: House) -> None:
    """On the folder alone; the next start delivers it."""
    await begin(house, PLAIN)
    house.partner("out").script = [Refused()]
    accepted = await house.put("hello")
    await house.done(1)
    await house.stop()
    await house.open()
    assert (await do(house, "dead.replay", which={"ids": [accepted.id]}))["replayed"] == 1
    await house.store.close()
    await house.start(PLAIN)
    await house.reaches("delivered")


async def test_a_dead_letter_is_found_by_the_id_that_the_caller_got_at_any_depth(house: House) -> None:
    """Handed on to a route, split there, and dead at last: show, rehearse and replay know it by the first id."""
    await begin(house, DEEP)
    house.partner("out").script = [Refused()]
    accepted = await house.put('[{"n": 1}]')
    await house.reaches("delivered", "consumed", "dead")
    [letter] = await do(house, "dead.show", id=accepted.id)
    which = {"ids": [accepted.id]}
    assert letter["message_id"] != accepted.id
    assert (await do(house, "dead.rehearse", which=which))["rehearsed"] == 1
    assert (await do(house, "dead.replay", which=which))["replayed"] == 1
