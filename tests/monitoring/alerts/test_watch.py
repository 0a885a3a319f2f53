"""What is not well reaches whoever a route tells it to, once, and so does the all-clear; on either database."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from monitoring.alerts import MIGRATIONS, OPERATIONS, Alarms
from monitoring.alerts.tables import alert
from pipe.config.alerts import Alerts
from pipe.contract import Health
from pipe.errors import BadRequest, NotFound, Refused, StoreFull
from pipe.store import schema
from tests.pipe.house import House, altered
from tests.pipe.operations.hosts import audited, host_of

HOUSE = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
  duty: {type: memory_sink, breaker: false}
limits: {disk_floor: 1B}
alerts:
  group: 0s
  repeat: 1m
  rules:
    connection_down: {for: 10s}
    queue_age: {age: 1m}
    books: {age: 1m}
    audit: {age: 1m}
routes:
  r:
    from: {connection: in}
    to: {connection: out, put: x}
  told:
    from: {alerts: warning}
    to: {connection: duty, put: x}
"""
CLEAR_S = float(Alerts().clear)
WAIT_S = 15.0
"""longer than a connection must be down"""


async def begin(house: House, text: str = HOUSE) -> Alarms:
    """A gateway whose alarms look when the test says so."""
    house.migrations = MIGRATIONS
    await house.start(text)
    return await alarms_of(house)


async def alarms_of(house: House) -> Alarms:
    """Those of the gateway that runs now; their own task does not."""
    alarms = Alarms(house.engine, lambda: host_of(house, "alerts"))
    await alarms.start()
    await alarms.stop()
    return alarms


async def pass_(house: House, alarms: Alarms, seconds: float) -> None:
    """Time with a look every five seconds of it."""
    await alarms.once()
    for _ in range(int(seconds // 5)):
        await house.pass_time(5)
        await alarms.once()


async def told(house: House, count: int) -> list[Any]:
    """The bodies that the duty got, so many of them."""
    await house.partner("duty").reached(count)
    bodies = [orjson.loads(outgoing.message.body) for outgoing in house.partner("duty").taken]
    assert len(bodies) == count
    return bodies


def down(house: House, name: str = "out") -> None:
    """The connection breaks."""
    house.engine.connections[name].note(Health("down", "the partner refuses", "PIPE-2001"))


async def ask(house: House, operation: str, **arguments: Any) -> Any:
    """What a command would be told."""
    return await OPERATIONS[operation](host_of(house), **arguments)


@pytest.mark.key("top.alerts", "alerts.rules", "alerts.rules.for")
async def test_a_connection_that_is_down_is_told_and_so_is_that_it_is_back(house: House) -> None:
    """One message each, in words, with what it is about."""
    alarms = await begin(house)
    down(house)
    await pass_(house, alarms, WAIT_S)
    (body,) = await told(house, 1)
    assert (body["state"], body["severity"], body["count"]) == ("firing", "critical", 1)
    assert body["subject"] == "CRITICAL: out is down: the partner refuses"
    assert body["subject_uk"] == "КРИТИЧНО: out не працює: партнер недосяжний (the partner refuses)"
    (one,) = body["alerts"]
    assert (one["rule"], one["connection"], one["route"]) == ("connection_down", "out", None)
    house.engine.connections["out"].note(Health("up"))
    await pass_(house, alarms, CLEAR_S + 5)
    over = (await told(house, 2))[1]
    assert (over["state"], over["subject"]) == ("over", "OVER: out is down: the partner refuses")


@pytest.mark.key("from alerts.alerts", "from alerts.rules")
async def test_routes_hear_what_they_asked_for(house: House) -> None:
    """By severity and by rule."""
    more = """
  loud:
    from: {alerts: critical}
    to: {connection: out, put: loud}
  letters:
    from: {alerts: info, rules: [dead_letters]}
    to: {connection: out, put: letters}
"""
    alarms = await begin(house, HOUSE + more)
    house.partner("out").script = [Refused("no such person")]
    await house.put("hello")
    await house.reaches("dead")
    await pass_(house, alarms, 20)
    (body,) = await told(house, 1)
    assert body["text"] == "WARNING: r has 1 dead letters: `pipe dead list --route r`"
    await house.partner("out").reached(2)
    assert [outgoing.target.put.fill(outgoing.data) for outgoing in house.partner("out").taken] == ["letters"]


async def test_a_restart_forgets_no_alert_and_tells_none_twice(house: House) -> None:
    """While nobody has tried the connection again, nobody knows that it is well."""
    alarms = await begin(house)
    down(house)
    await pass_(house, alarms, WAIT_S)
    await told(house, 1)
    await house.stop()
    await house.start(HOUSE)
    alarms = await alarms_of(house)
    assert house.engine.connections["out"].state == "unknown"
    await pass_(house, alarms, CLEAR_S + 5)
    assert len(house.partner("duty").taken) == 1
    house.engine.connections["out"].note(Health("up"))
    await pass_(house, alarms, CLEAR_S + 5)
    assert (await told(house, 2))[1]["state"] == "over"


async def test_what_the_store_refused_is_told_later(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: the alert and its message are written together or not at all."""
    alarms = await begin(house)
    down(house)
    await alarms.once()
    await house.pass_time(WAIT_S)
    with monkeypatch.context() as broken:
        broken.setattr(house.store, "write", _full)
        for _ in range(3):
            with pytest.raises(StoreFull):
                await alarms.once()
    await alarms.once()
    await alarms.once()
    assert len(await told(house, 1)) == 1
    (row,) = (await ask(house, "alerts.list"))["alerts"]
    assert row["state"] == "firing"
    assert row["told_at"] == house.clock.now()


def _full(unit: Any) -> Any:
    raise StoreFull("no room")


async def test_somebody_takes_care_of_it(house: House) -> None:
    """It is not told again; who, when and what about is kept and audited."""
    alarms = await begin(house)
    down(house)
    await pass_(house, alarms, WAIT_S)
    await told(house, 1)
    (row,) = (await ask(house, "alerts.list"))["alerts"]
    await ask(house, "alerts.acknowledge", id=row["id"], note="the partner knows")
    await pass_(house, alarms, 120)
    assert len(house.partner("duty").taken) == 1
    (row,) = (await ask(house, "alerts.list"))["alerts"]
    assert (row["acked_by"], row["note"], row["state"]) == ("olena", "the partner knows", "firing")
    assert len(await audited(house, "alert.acknowledged")) == 1
    with pytest.raises(NotFound, match="there is no alert nobody"):
        await ask(house, "alerts.acknowledge", id="nobody")


@pytest.mark.key("alerts.repeat")
async def test_what_lasts_is_told_again(house: House) -> None:
    """Where nobody takes care of it."""
    alarms = await begin(house)
    down(house)
    await pass_(house, alarms, WAIT_S + 70)
    assert len(await told(house, 2)) == 2


async def test_a_silence_is_for_a_while_and_stands_in_the_list(house: House) -> None:
    """What still fires afterwards is told; a silence needs a reason and something to be silent about."""
    alarms = await begin(house)
    await ask(house, "alerts.silence", seconds=600, reason="the partner moves house", subject="out")
    down(house)
    await pass_(house, alarms, WAIT_S)
    assert house.partner("duty").taken == []
    found = await ask(house, "alerts.list")
    assert [each["state"] for each in found["alerts"]] == ["firing"]
    (quiet,) = found["silences"]
    assert (quiet["subject"], quiet["by"]) == ("out", "olena")
    await ask(house, "alerts.speak", id=quiet["id"])
    await pass_(house, alarms, 5)
    assert len(await told(house, 1)) == 1
    with pytest.raises(BadRequest, match="say what is to be silent"):
        await ask(house, "alerts.silence", seconds=600, reason="quiet")
    with pytest.raises(BadRequest, match="there is no rule `noise`"):
        await ask(house, "alerts.silence", seconds=600, reason="quiet", rule="noise")


async def test_a_test_goes_through_every_route(house: House) -> None:
    """It says that it is one."""
    await begin(house)
    sent = (await ask(house, "alerts.test"))["sent"]
    (body,) = await told(house, 1)
    assert list(sent) == ["told"]
    assert body["test"] is True
    assert "this is a test by olena" in body["text"]
    assert len(await audited(house, "alert.tested")) == 1


async def test_a_test_without_a_route_says_what_is_missing(house: House) -> None:
    """Nobody would hear of anything."""
    await begin(house, HOUSE.partition("  told:")[0])
    with pytest.raises(BadRequest, match=r"no route tells alerts: give one `from: \{alerts: warning\}`"):
        await ask(house, "alerts.test")


async def test_what_is_over_is_in_the_history(house: House) -> None:
    """What never fired is not."""
    alarms = await begin(house)
    down(house)
    await pass_(house, alarms, 5)
    house.engine.connections["out"].note(Health("up"))
    await pass_(house, alarms, CLEAR_S + 5)
    assert (await ask(house, "alerts.list", past=True))["alerts"] == []
    down(house)
    await pass_(house, alarms, WAIT_S)
    house.engine.connections["out"].note(Health("up"))
    await pass_(house, alarms, CLEAR_S + 5)
    assert (await ask(house, "alerts.list"))["alerts"] == []
    (row,) = (await ask(house, "alerts.list", past=True))["alerts"]
    assert row["state"] == "over"


async def test_old_alerts_are_forgotten(house: House) -> None:
    """As long as the story of a message is kept, so long is that of an alert."""
    alarms = await begin(house, HOUSE + "retention: {bodies: 1h, dead: 1h, metadata: 1d}\n")
    down(house)
    await pass_(house, alarms, WAIT_S)
    house.engine.connections["out"].note(Health("up"))
    await pass_(house, alarms, CLEAR_S + 5)
    await house.clock.advance(2 * 86_400)  # type: ignore[attr-defined]
    down(house, "duty")
    await alarms.once()
    assert [row["subject"] for row in await house.rows(select(alert))] == ["duty"]


# --- rules --------------------------------------------------------------------------------------------------------


async def found(house: House, alarms: Alarms, seconds: float) -> set[tuple[str, str, str]]:
    """What is in the list after a while: rule, subject and state."""
    await pass_(house, alarms, seconds)
    listed = await ask(house, "alerts.list")
    return {(each["rule"], each["subject"], each["state"]) for each in listed["alerts"]}


@pytest.mark.key("alerts.rules.age")
async def test_a_queue_that_does_not_move(house: House) -> None:
    """Where its connection is down that is told itself, and a person's pause is no trouble."""
    alarms = await begin(house)
    house.partner("out").hold()
    await house.put("hello")
    await house.partner("out").reached(1)
    assert await found(house, alarms, 70) == {("queue_age", "r", "firing")}
    down(house)
    assert ("queue_age", "r", "firing") not in await found(house, alarms, CLEAR_S + 5)
    house.partner("out").release()


async def test_a_connection_that_comes_and_goes(house: House) -> None:
    """Never down for long, and yet nothing to rely on."""
    alarms = await begin(house, HOUSE.replace("    books", "    connection_flapping: {age: 1m}\n    books"))
    for _ in range(4):
        down(house)
        house.engine.connections["out"].note(Health("up"))
    assert await found(house, alarms, 0) == {("connection_flapping", "out", "firing")}
    assert await found(house, alarms, 80) == set()


async def test_a_full_disk_and_a_clock_that_stepped(house: House) -> None:
    """Neither is about a connection or a route."""
    alarms = await begin(house, HOUSE.replace("1B", "900TiB"))
    house.engine.scheduler.suspended_until = house.clock.now() + 600
    assert await found(house, alarms, 10) == {("disk", "gateway", "firing"), ("clock_step", "gateway", "firing")}


async def test_books_that_do_not_balance(house: House) -> None:
    """Looked at now and then, as every row is counted."""
    alarms = await begin(house)
    await house.put("hello")
    await house.done(1)
    wrong = schema.ledger.update().where(schema.ledger.c.name == "accepted").values(n=schema.ledger.c.n + 1)
    await house.store.write(lambda tx: tx.execute(wrong))
    assert await found(house, alarms, 30) == set()
    assert await found(house, alarms, 60) == {("books", "gateway", "firing")}
    right = schema.ledger.update().where(schema.ledger.c.name == "accepted").values(n=schema.ledger.c.n - 1)
    await house.store.write(lambda tx: tx.execute(right))


async def test_an_audit_that_was_altered(house: House) -> None:
    """The chain does not fit."""
    alarms = await begin(house, HOUSE.replace("books: {age: 1m}", "books: {off: true}"))
    await ask(house, "alerts.test")
    await house.store.write(altered(schema.audit.update().values(actor="nobody")))
    assert await found(house, alarms, 70) == {("audit", "gateway", "firing")}


@pytest.mark.key("alerts.rules.off", "alerts.rules.over", "alerts.rules.severity")
async def test_a_rule_may_be_changed_and_switched_off(house: House) -> None:
    """How many are still well, how loudly it is told, and whether anybody looks at all."""
    rules = "    dead_letters: {over: 1, severity: critical}\n    clock_step: {off: true}\n    books"
    alarms = await begin(house, HOUSE.replace("    books", rules))
    house.partner("out").script = [Refused("no such person"), Refused("no such person")]
    house.engine.scheduler.suspended_until = house.clock.now() + 600
    await house.put("hello")
    await house.reaches("dead")
    assert await found(house, alarms, 0) == set()
    await house.put("hello")
    await house.reaches("dead", "dead")
    assert await found(house, alarms, 5) == {("dead_letters", "r", "firing")}
    assert (await told(house, 1))[0]["severity"] == "critical"


@pytest.mark.key("alerts.every", "alerts.group")
async def test_it_looks_again_and_again_and_tells_together_what_came_together(house: House) -> None:
    """By itself, as often as it is told to."""
    await begin(house, HOUSE.replace("group: 0s", "group: 30s\n  every: 10s"))
    alarms = Alarms(house.engine, lambda: host_of(house, "alerts"))
    await alarms.start()
    down(house)
    await house.pass_time(25)
    down(house, "in")
    await house.pass_time(60)
    (body,) = await told(house, 1)
    assert sorted(each["subject"] for each in body["alerts"]) == ["in", "out"]
    await alarms.stop()


# --- when the gateway itself is what is broken --------------------------------------------------------------------


@pytest.mark.key("alerts.emergency")
async def test_the_emergency_is_told_without_the_store(house: House, tmp_path: Path) -> None:
    """Once, until the store works again."""
    out = tmp_path / "called"
    script = f"import sys; open({str(out)!r}, 'ab').write(sys.stdin.buffer.read() + b'\\n')"
    command = orjson.dumps([sys.executable, "-c", script]).decode()
    alarms = await begin(house, HOUSE.replace("  group", f"  emergency: {command}\n  group"))
    for _ in range(2):
        alarms.store_failed(StoreFull("no room"))
    await alarms.stop()
    (line,) = out.read_bytes().splitlines()
    body = orjson.loads(line)
    assert (body["severity"], body["text"]) == ("critical", "CRITICAL: the store fails: no room")


async def test_a_program_that_is_not_there_stops_nothing(house: House) -> None:
    """It is logged; the gateway goes on."""
    alarms = await begin(house, HOUSE.replace("  group", "  emergency: [/nowhere/at-all]\n  group"))
    alarms.store_failed(StoreFull("no room"))
    await asyncio.wait_for(alarms.stop(), 20)
