"""Connections: the breaker, what is down, rates, and that one partner's trouble is nobody else's."""

from __future__ import annotations

import asyncio

import pytest

from pipe.contract import Health, Outgoing
from pipe.errors import NoAnswer, NotAuthorised, PeerFailed, RecipientGone, SecretMissing, Unreachable
from pipe.store import schema
from tests.pipe.house import House

TEXT = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: {failures: 50%, of: 4, open: 30s}}
  other: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    retry: {attempts: 3, first: 1h, factor: 1, max: 1h, within: 6h}
    to: {connection: out, put: x}
  s:
    from: {connection: in, topic: s}
    to: {connection: other, put: x}
"""


def state(house: House) -> str:
    """How the connection `out` is."""
    return house.engine.connections["out"].state


async def open_breaker(house: House) -> None:
    """Two failures of two."""
    house.partner("out").script = [PeerFailed("no"), PeerFailed("no")]
    for _ in range(2):
        await house.put("x")
    await house.reaches("retry", "retry")
    assert state(house) == "down"


@pytest.mark.key("connections.breaker")
async def test_an_open_breaker_lets_messages_wait_without_spending_tries(house: House) -> None:
    """What comes while it is open is not sent and stays as it is."""
    await house.start(TEXT)
    await open_breaker(house)
    await house.put("waits")
    await house.pass_time(25)
    (row,) = await house.deliveries(schema.delivery.c.id == 3)
    assert (row["state"], row["attempts"], len(house.partner("out").asked)) == ("ready", 0, 2)


async def test_a_trial_that_fails_costs_no_try_and_closes_it_again(house: House) -> None:
    """Half open one goes; it fails; the message keeps its tries and waits on."""
    await house.start(TEXT)
    await open_breaker(house)
    await house.put("waits")
    house.partner("out").script = [PeerFailed("still no")]
    await house.pass_time(31)
    await house.partner("out").reached(3)
    (row,) = await house.deliveries(schema.delivery.c.id == 3)
    assert (row["state"], row["attempts"], state(house)) == ("ready", 0, "down")


async def test_a_good_trial_opens_the_way_for_all(house: House) -> None:
    """One trial goes alone; after it everything flows."""
    await house.start(TEXT)
    await open_breaker(house)
    house.partner("out").hold()
    for _ in range(5):
        await house.put("waits")
    await house.pass_time(31)
    await house.partner("out").reached(3)
    await asyncio.sleep(0.05)
    assert len(house.partner("out").asked) == 3
    house.partner("out").release()
    await house.until(lambda: house.states(schema.delivery.c.id == 7, schema.delivery.c.state == "delivered"))
    assert state(house) == "up"


async def test_one_that_is_closed_again_while_it_is_asked_opens_when_its_time_is_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A send that was under way fails during the question: what waits goes on without anybody else's push."""
    late, asked, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def away(outgoing: Outgoing) -> None:
        if len(house.partner("out").asked) == 1:
            await late.wait()
        raise Unreachable("nobody is there")

    async def check() -> Health:
        asked.set()
        await answered.wait()
        return Health("up")

    await house.start(TEXT)
    house.partner("out").decide = away
    for _ in range(4):
        await house.put("x")
    await house.until(lambda: as_task(state(house) == "down"))
    await house.put("waits")
    connection = house.engine.connections["out"]
    monkeypatch.setattr(connection.adapter, "check", check)
    while not asked.is_set():
        await house.pass_time(1)
    late.set()
    await house.until(lambda: as_task((connection.opens_at or 0) > house.clock.now()))
    house.partner("out").decide = None
    answered.set()
    await house.pass_time(600)
    (row,) = await house.deliveries(schema.delivery.c.id == 5)
    assert (row["state"], state(house)) == ("delivered", "up")


async def as_task(value: bool) -> bool:
    """What is known already, for `until`."""
    return value


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_check_that_has_a_defect_is_asked_again(
    house: House, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    """An adapter that others wrote raises what it must not, or never ends; the way back does not end with it."""
    answers: list[Health] = []

    async def check() -> Health:
        answers.append(Health("up"))
        if len(answers) == 1:
            await asyncio.sleep(3600 if hangs else 0)
            raise RuntimeError("a defect of the adapter")
        return answers[-1]

    monkeypatch.setattr("pipe.connection.LOOK_S", 0.1)
    await house.start(TEXT)
    house.partner("out").script = [NotAuthorised("no")]
    monkeypatch.setattr(house.engine.connections["out"].adapter, "check", check)
    await house.put("x")
    await house.until(lambda: as_task(state(house) == "down"))
    while len(answers) < 2:
        await house.pass_time(10)
    (row,) = await house.done(1)
    assert (row["state"], state(house)) == ("delivered", "up")


async def test_a_reason_holds_nothing_that_no_database_takes(house: House) -> None:
    """Alerts, events and the history keep it, whatever a partner or an adapter said."""
    await house.start(TEXT)
    connection = house.engine.connections["out"]
    connection.note(Health("degraded", "b\udcff\x00d"))
    noted = connection.reason
    house.partner("out").script = [NotAuthorised("no: b\udcff\x00d")]
    await house.put("x")
    await house.until(lambda: as_task(state(house) == "down"))
    good = "b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}d"
    assert (noted, connection.reason, connection.last_error) == (
        good,
        f"no: {good}",
        (house.clock.now(), f"no: {good}"),
    )


async def test_a_trial_that_breaks_leaves_its_turn_to_others(house: House) -> None:
    """A defect says nothing of the partner: another route's message is the next trial."""

    async def broken(outgoing: Outgoing) -> None:
        asked = len(house.partner("out").asked)
        if asked == 1:
            raise NotAuthorised("no")
        if asked == 2:
            await asyncio.sleep(0.1)  # meanwhile the other one sees that it is not its turn
            raise RuntimeError("a defect behind the last byte")

    await house.start(TEXT.replace("connection: other", "connection: out"))
    house.partner("out").decide = broken
    await house.put("x")
    await house.until(lambda: as_task(state(house) == "down"))
    await house.put("y", route="s")
    await house.pass_time(60)
    rows = await house.done(2)
    assert ({row["route"]: row["state"] for row in rows}, state(house)) == ({"r": "dead", "s": "delivered"}, "up")


async def test_a_partner_who_is_away_spends_nothing_of_within(house: House) -> None:
    """Down for a day: `within: 6h` stands still, and all is delivered when it is back."""
    await house.start(TEXT.replace("attempts: 3, first: 1h", "attempts: 9, first: 1s"))
    house.partner("out").down = True
    for _ in range(5):
        await house.put("x")
    await house.pass_time(86400)
    rows = await house.deliveries()
    assert all(row["done_at"] is None and row["spent"] < 3600 * 3 for row in rows)
    house.partner("out").down = False
    await house.pass_time(3 * 3600)
    assert {row["state"] for row in await house.done(5)} == {"delivered"}


async def test_wrong_credentials_close_the_connection_and_kill_no_message(house: House) -> None:
    """The message waits and spends no tries; it goes when the secret is renewed."""
    await house.start(TEXT)
    house.partner("out").script = [NotAuthorised("401")]
    await house.put("x")
    await house.partner("out").reached(1)
    await house.until(lambda: _is(house, "down"))
    assert [(row["state"], row["attempts"]) for row in await house.deliveries()] == [("ready", 0)]
    await house.pass_time(120)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]


async def _is(house: House, wanted: str) -> bool:
    return state(house) == wanted


async def test_a_missing_secret_closes_the_connection_too(house: House) -> None:
    """It is no reason to try the same message over and over."""
    await house.start(TEXT)
    house.partner("out").decide = lambda outgoing: SecretMissing("gone")
    await house.put("x")
    await house.until(lambda: _is(house, "down"))
    await asyncio.sleep(0.05)
    assert len(house.partner("out").asked) == 1


async def test_a_partner_that_hangs_does_not_slow_others(house: House) -> None:
    """Each target has workers of its own."""
    await house.start(TEXT)
    house.partner("out").hold()
    for _ in range(100):
        await house.put("x")
    await house.put("y", "s")
    await house.until(lambda: house.states(schema.delivery.c.route == "s", schema.delivery.c.state == "delivered"))
    assert len(house.partner("out").asked) == 8
    house.partner("out").release()
    await house.done(101)


async def test_waiting_for_ones_turn_is_not_waiting_for_an_answer(living: House) -> None:
    """A message that never left is never uncertain, however long the others before it took."""
    text = TEXT.replace(
        "out: {type: memory_sink,",
        "out: {type: memory_sink, concurrency: 1, timeout: {connect: 2s, read: 2s, total: 2s},",
    )
    await living.start(text)

    async def slow(_outgoing: object) -> None:
        await asyncio.sleep(0.6)

    living.partner("out").decide = slow
    for _ in range(6):
        await living.put("x")
    assert {row["state"] for row in await living.done(6)} == {"delivered"}


@pytest.mark.key("connections.timeout")
async def test_an_adapter_that_forgets_its_time_limit_is_cut_off(living: House) -> None:
    """No attempt lasts longer than `total` and a second of grace; the outcome is unknown."""
    await living.start(
        TEXT.replace("breaker: {failures", "timeout: {connect: 1s, read: 1s, total: 1s}, breaker: {failures")
    )
    living.partner("out").hold()
    await living.put("x")
    (row,) = await living.reaches("uncertain")
    assert row["code"] == NoAnswer.code


@pytest.mark.key("connections.rate")
async def test_a_rate_is_kept(living: House) -> None:
    """`50/s` spreads what is beyond the burst."""
    await living.start(TEXT.replace("other: {type: memory_sink,", "other: {type: memory_sink, rate: 50/s,"))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await asyncio.gather(*(living.put("x", "s") for _ in range(75)))
    await living.done(75)
    assert loop.time() - begun >= 0.45


async def test_a_rate_for_each_value_counts_only_what_has_one(living: House) -> None:
    """One value waits, another and none at all do not."""
    rated = "other: {type: memory_sink, rate: [{per: headers.chat, rate: 1/m}],"
    await living.start(TEXT.replace("other: {type: memory_sink,", rated))
    for chat in ({"chat": "a"}, {"chat": "a"}, {"chat": "b"}, {}, {}):
        await living.put("x", "s", headers=chat)
    await living.reaches("delivered", "ready", "delivered", "delivered", "delivered")


async def test_a_person_who_is_gone_says_nothing_against_the_connection(house: House) -> None:
    """Dead letters, one after another, and the connection stays up."""
    await house.start(TEXT)
    house.partner("out").script = [RecipientGone() for _ in range(30)]
    for _ in range(30):
        await house.put("x")
    assert {row["code"] for row in await house.done(30)} == {RecipientGone.code}
    assert house.engine.connections["out"].state == "up"


async def test_a_paused_connection_sends_nothing_until_it_is_resumed(house: House) -> None:
    """Messages wait without spending tries; the pause survives a reload."""
    await house.start(TEXT)
    await house.engine.switches.set("connection", "out", "paused")
    await house.put("x")
    await house.reload(TEXT.replace("50%", "40%"))
    await house.pass_time(60)
    assert (await house.states(), house.partner("out").asked) == (["ready"], [])
    await house.engine.switches.set("connection", "out", None)
    await house.done(1)


async def test_a_paused_route_works_on_nothing_until_it_is_resumed(house: House) -> None:
    """It accepts meanwhile."""
    await house.start(TEXT)
    await house.engine.switches.set("route", "r", "paused")
    await house.put("x")
    await house.pass_time(60)
    assert await house.states() == ["ready"]
    await house.engine.switches.set("route", "r", None)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]


async def test_one_attempt_that_hangs_holds_up_nothing_of_its_own_target(house: House) -> None:
    """A single busy worker is no reason not to start another for the single message behind it."""
    await house.start(TEXT)
    gate = asyncio.Event()

    async def first_hangs(outgoing: Outgoing) -> None:
        if outgoing.message.body == b"one":
            await gate.wait()

    house.partner("out").decide = first_hangs
    await house.put("one")
    await house.partner("out").reached(1)
    await house.put("two")
    await house.reaches("ready", "delivered")
    gate.set()
    await house.done(2)


async def test_troubles_that_the_adapter_knows_of_degrade_what_is_up(house: House) -> None:
    """Messages pass; people hear of it all the same, and no longer once it is over."""
    await house.start(TEXT)
    await house.put("x")
    await house.reaches("delivered")
    connection, troubles = house.engine.connections["out"], ["in/a.csv cannot be had", "done is not there"]
    assert connection.health == Health("up")
    connection.adapter.troubles = lambda: troubles
    assert connection.health == Health("degraded", "in/a.csv cannot be had; done is not there", "troubles")
    troubles.clear()
    assert connection.health == Health("up")


async def test_what_ends_well_while_a_person_pauses_does_not_end_the_pause(house: House) -> None:
    """A send that was on its way when the connection was paused: the pause is still what people see."""
    await house.start(TEXT)
    house.partner("out").hold()
    await house.put("x")
    await house.partner("out").reached(1)
    await house.engine.switches.set("connection", "out", "paused")
    house.partner("out").release()
    await house.done(1)
    assert house.engine.connections["out"].health.state == "paused"
