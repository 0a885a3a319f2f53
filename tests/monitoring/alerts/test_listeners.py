"""Who hears of what, and that nobody is buried, forgotten or woken for nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
import pytest

from pipe.cli.text import KYIV
from pipe.config.alerts import Alerts, Hours
from pipe.contract import Health
from pipe.errors import Refused, Unreachable
from tests.monitoring.alerts.test_watch import ask, begin, down, pass_
from tests.pipe.house import House

CLEAR_S = float(Alerts().clear)


@pytest.fixture
def url() -> Any:
    """What is kept is the same on either database, as the tests of the watch show."""
    return lambda: None


CONNECTIONS = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
  crm: {type: memory_sink, breaker: false}
  duty: {type: memory_sink, breaker: false}
  night: {type: memory_sink, breaker: false}
limits: {disk_floor: 1B}
alerts: {group: 0s, rules: {connection_down: {for: 10s}, connection_flapping: {age: 5m}}}
routes:
  r: {from: {connection: in}, to: {connection: out, put: x}}
"""


def heard(house: House, name: str) -> list[tuple[str, list[str]]]:
    """What a listener got: firing or over, and of whom."""
    bodies = [orjson.loads(outgoing.message.body) for outgoing in house.partner(name).taken]
    return [(body["state"], sorted(each["subject"] for each in body["alerts"])) for body in bodies]


def well(house: House, *names: str) -> None:
    """They work."""
    for name in names:
        house.engine.connections[name].note(Health("up"))


@pytest.mark.key("from alerts.of")
async def test_each_hears_of_what_concerns_it(house: House) -> None:
    """Of a connection, and of the routes that lead there; of a route alone; the all-clear as well."""
    more = """
  about_out: {from: {alerts: info, of: [out], rules: [connection_down, dead_letters]}, to: {connection: duty, put: x}}
  about_crm: {from: {alerts: info, of: [crm]}, to: {connection: night, put: x}}
"""
    alarms = await begin(house, CONNECTIONS + more)
    house.partner("out").script = [Refused("no")]
    await house.put("x")
    await house.reaches("dead")
    down(house, "crm")
    down(house, "out")
    await pass_(house, alarms, 15)
    well(house, "crm", "out")
    await pass_(house, alarms, CLEAR_S + 5)
    await house.pass_time(1)
    assert heard(house, "night") == [("firing", ["crm"]), ("over", ["crm"])]
    assert heard(house, "duty") == [("firing", ["r"]), ("firing", ["out"]), ("over", ["out"])]


@pytest.mark.key("from alerts.hours")
async def test_out_of_hours_it_waits_for_the_morning(house: House) -> None:
    """What still lasts then is told; what was over by then is not; whoever has no hours hears at once."""
    now = datetime.fromtimestamp(house.clock.now(), KYIV)
    begins = f"{(now.hour + 2) % 24:02}:00-{(now.hour + 3) % 24:02}:00"
    more = f"""
  by_day: {{from: {{alerts: warning, rules: [connection_down], hours: "{begins}"}}, to: {{connection: duty, put: x}}}}
  always: {{from: {{alerts: warning, rules: [connection_down]}}, to: {{connection: night, put: x}}}}
"""
    alarms = await begin(house, CONNECTIONS + more)
    down(house, "out")
    down(house, "crm")
    await pass_(house, alarms, 15)
    well(house, "crm")
    await pass_(house, alarms, CLEAR_S + 5)
    await house.pass_time(1)
    assert heard(house, "duty") == []
    assert heard(house, "night") == [("firing", ["crm", "out"]), ("over", ["crm"])]
    await house.pass_time(2 * 3600)
    await alarms.once()
    await house.pass_time(1)
    assert heard(house, "duty") == [("firing", ["out"])]


@pytest.mark.parametrize(
    ("hours", "within", "outside"), [("08:00-20:00", "08:00", "20:00"), ("20:00-08:00", "07:59", "12:00")]
)
def test_hours_may_go_over_midnight(hours: str, within: str, outside: str) -> None:
    """In Kyiv; the end is no longer within."""
    day = "2026-11-27"
    assert Hours(hours).hold(datetime.fromisoformat(f"{day} {within}").replace(tzinfo=KYIV).timestamp())
    assert not Hours(hours).hold(datetime.fromisoformat(f"{day} {outside}").replace(tzinfo=KYIV).timestamp())


async def test_sixty_at_once_are_one_message(house: House) -> None:
    """And their return is another; what follows from them is not told beside it."""
    names = [f"c{n}" for n in range(60)]
    text = CONNECTIONS.replace(
        "limits:", "".join(f"  {name}: {{type: memory_sink, breaker: false}}\n" for name in names) + "limits:", 1
    ).replace("group: 0s", "group: 10s")
    alarms = await begin(house, text + "  told: {from: {alerts: warning}, to: {connection: duty, put: x}}\n")
    for name in names[:30]:
        down(house, name)
    await pass_(house, alarms, 5)
    for name in names[30:]:
        down(house, name)
    await pass_(house, alarms, 40)
    well(house, *names)
    await pass_(house, alarms, CLEAR_S + 5)
    await house.pass_time(1)
    assert heard(house, "duty") == [("firing", sorted(names)), ("over", sorted(names))]


async def test_what_flaps_is_told_once(house: House) -> None:
    """Half an hour of breaks, none of them long: that it flaps, and once that it no longer does."""
    alarms = await begin(house, CONNECTIONS + "  told: {from: {alerts: warning}, to: {connection: duty, put: x}}\n")
    for _ in range(60):
        down(house, "crm")
        await pass_(house, alarms, 5)
        well(house, "crm")
        await pass_(house, alarms, 20)
    await house.pass_time(1)
    assert heard(house, "duty") == [("firing", ["crm"])]
    await pass_(house, alarms, 330)
    await house.pass_time(1)
    assert heard(house, "duty") == [("firing", ["crm"]), ("over", ["crm"])]


async def test_a_notifier_that_is_dead_itself_loses_no_alert(house: House) -> None:
    """What it could not be told waits as any message does, its own trouble included, across a restart."""
    text = CONNECTIONS + "  told: {from: {alerts: critical}, to: {connection: duty, put: idem}}\n"
    alarms = await begin(house, text)
    house.partner("duty").decide = lambda outgoing: Unreachable("nobody is there")
    down(house, "crm")
    await pass_(house, alarms, 30)
    down(house, "duty")
    await pass_(house, alarms, 30)
    await house.stop()
    await house.start(text)
    house.partner("duty").decide = None
    well(house, "duty")
    await house.pass_time(600)
    subjects = [subject for state, found in heard(house, "duty") for subject in found if state == "firing"]
    assert sorted(set(subjects)) == ["crm", "duty"]


async def test_an_acknowledgement_and_a_look_do_not_lose_each_other(house: House) -> None:
    """Somebody takes care of it between what a look reads and what it writes: both are kept, nothing is told again."""
    text = CONNECTIONS.replace("group: 0s", "group: 0s, repeat: 1m")
    alarms = await begin(house, text + "  told: {from: {alerts: warning}, to: {connection: duty, put: x}}\n")
    down(house, "crm")
    await pass_(house, alarms, 15)
    (listed,) = (await ask(house, "alerts.list"))["alerts"]
    write = house.store.write

    def late(unit: Any) -> Any:
        """The look's own writing, after somebody else's."""
        house.store.write = write  # type: ignore[method-assign]

        async def both() -> Any:
            await ask(house, "alerts.acknowledge", id=listed["id"], note="the partner knows")
            return await write(unit)

        return both()

    house.engine.connections["crm"].note(Health("down", "another reason"))
    house.store.write = late  # type: ignore[method-assign]
    await alarms.once()
    await pass_(house, alarms, 120)
    await house.pass_time(1)
    (after,) = (await ask(house, "alerts.list"))["alerts"]
    assert (after["acked_by"], after["note"], after["text"]) == (
        "olena",
        "the partner knows",
        "crm is down: another reason",
    )
    assert heard(house, "duty") == [("firing", ["crm"])]
