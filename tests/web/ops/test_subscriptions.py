"""Each hears of what they subscribed to, and of nothing that they may not see: by the page, the API and the pipe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
import yaml
from sqlalchemy import select

from flows.access import grants, people
from flows.access.changes import Unit
from flows.access.tables import grant, subscription
from flows.duty.operations import listeners
from pipe.store.schema import audit
from tests.flows.otp.house import house
from tests.pipe.running import Partner
from tests.web.ops.conftest import NOBODY, RIGHTS, Ops, asked, sent
from tests.web.pages.site import CONSOLE, Visitor, pages

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
OLENA, IVAN = "olena@ukc.ua", "ivan@ukc.ua"
MAIL = {OLENA: "o.melnyk@mail.ukc.ua", IVAN: "i.koval@mail.ukc.ua"}
ROOT = Path(__file__).resolve().parents[3]
CONFIG = """
version: 1
connections:
  box: {type: file_folder, path: box}
  partners: {type: http_server, auth: none}
  crm: {type: http_client, url: "%s", reconnect: {first: 1s, max: 1s}, timeout: {total: 2s}}
  mail: {type: http_client, url: "%s"}
alerts: {every: 100ms, group: 0s, clear: 300ms}
routes:
  appeals:
    from: {connection: partners, path: /appeals, methods: [POST]}
    steps: [{decode: json}, {map: {n: "to_int(body.n)"}}]
    to: {connection: crm, post: /people}
  alerts_to_people:
    from: {alerts: warning, people: mail}
    subject: body.to
    to: {connection: mail, post: /mail, idempotent: true}
  copies: {from: {connection: box, get: "*.in"}, to: {connection: box, put: "out/${message.id}"}}
"""


def reachable(login: str, tx: Unit) -> None:
    """Somebody has a mail address."""
    people.change(tx, CONSOLE, people.called(tx, login).id, email=MAIL[login])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def duty(tmp_path_factory: Any) -> AsyncIterator[tuple[Ops, Partner]]:
    """A gateway that tells people by mail, and the server that takes it."""
    folder = tmp_path_factory.mktemp("duty")
    async with Partner() as crm, Partner() as mail, pages(folder, config=CONFIG % (crm.url, mail.url)) as site:
        for login in (OLENA, IVAN):
            await site.person(login, *RIGHTS)
            await site.gateway.staff.access.change(CONSOLE, partial(reachable, login))
        await site.person(NOBODY)
        yield Ops(site, crm, folder), mail


async def told(mail: Partner, to: str, state: str) -> dict[str, Any]:
    """What somebody was told last, once there is something in this state."""

    def those() -> list[dict[str, Any]]:
        return [each for each in mail.bodies if (each["to"], each["state"]) == (MAIL[to], state)]

    await mail.got(lambda _: bool(those()))
    return those()[-1]


async def looked(ops: Ops, times: int = 3) -> None:
    """Returns once the alarms have looked so often again."""
    alarms = ops.gateway.alarms
    assert alarms is not None
    for _ in range(times):
        await alarms.once()


async def judged(ops: Ops) -> dict[str, Any]:
    """Why somebody does not hear, by login; None of those who do."""
    host = ops.gateway._host("olena", lambda done, total, text: None)
    return {each["who"]: each["why"] for each in await listeners(host) if each["kind"] == "person"}


@pytest.mark.key("from alerts.people")
async def test_each_is_told_what_they_chose_and_nobody_what_they_may_not_see(duty: tuple[Ops, Partner]) -> None:
    """Subscribed by form and by API; tested; told in their own language; not told without the right; gone when gone."""
    ops, mail = duty
    async with ops.site.visitor() as olena, ops.site.visitor() as ivan:
        await ops.reads(olena, OLENA, "/ops/alerts/subscriptions/new")
        wanted = {"way": "mail", "language": "en", "severity": "warning", "rules[]": "dead_letters", "about[]": "crm"}
        assert "Підписано" in (await olena.post("/ops/alerts/subscriptions/new", **wanted)).text
        (mine,) = (await asked(olena, "/alerts/subscriptions"))["subscriptions"]
        assert (mine["hears"], mine["rules"], mine["about"], mine["told_at"]) == (True, ["dead_letters"], ["crm"], None)
        await ivan.sign_in(IVAN)
        status, his = await sent(ivan, "/alerts/subscriptions", way="mail", severity="critical")
        assert status == 201
        assert (await asked(ivan, "/alerts/subscriptions"))["subscriptions"] == [his]

        # Nobody touches what is another's, chooses what is not there, or comes in without the right.
        assert (await sent(ivan, f"/alerts/subscriptions/{mine['id']}/end"))[0] == 404
        assert (await ivan.get(f"/ops/alerts/subscriptions/{mine['id']}")).status == 404
        for wrong in (
            {"about": ["no_such"]},
            {"way": "telegram"},
            {"begins": "08:00"},
            {"begins": "09:00", "ends": "09:00"},
        ):
            assert (await sent(ivan, "/alerts/subscriptions", **{"way": "mail", **wrong}))[0] == 409, wrong
        async with ops.site.visitor() as nobody:
            await nobody.sign_in(NOBODY)
            assert (await nobody.get("/ops/alerts/subscriptions")).status == 403
            assert (await sent(nobody, "/alerts/subscriptions", way="mail"))[0] == 403
            assert "Мої сповіщення" not in (await nobody.get("/me")).text
        assert "Мої сповіщення" in (await ivan.get("/me")).text

        # A test goes the way of real ones, and the page says what became of it.
        status, test = await sent(olena, f"/alerts/subscriptions/{mine['id']}/test")
        assert status == 200
        assert (await told(mail, OLENA, "firing"))["test"] is True
        await ops.reaches(test["message"], "delivered")
        (mine,) = (await asked(olena, "/alerts/subscriptions"))["subscriptions"]
        assert (mine["told"], mine["fate"]) == (test["message"], "arrived")
        assert MAIL[OLENA] not in (await olena.get(f"/ops/messages/{test['message']}")).text

        # Dead letters of a route that leads to crm: a warning. Olena hears of it, Ivan wants only what is critical.
        dead = await ops.hand_in("не число")
        await ops.reaches(dead, "dead")
        await mail.got(lambda all_: any(not each.get("test") for each in all_))
        body = await told(mail, OLENA, "firing")
        assert (body["subject"], body["language"], body["alerts"][0]["rule"]) == (
            "WARNING: appeals has 1 dead letters: `pipe dead list --route appeals`", "en", "dead_letters",
        )  # fmt: skip
        await looked(ops)
        assert [each for each in mail.bodies if each["to"] == MAIL[IVAN]] == []

        # Ivan wants more now: what fires already is told at once. Olena loses the right: not even the all-clear.
        await sent(ivan, f"/alerts/subscriptions/{his['id']}", way="mail", severity="info")
        assert (await told(mail, IVAN, "firing"))["subject"].startswith("УВАГА: appeals: мертвих листів 1")

        def lose(tx: Unit) -> None:
            her = people.called(tx, OLENA).id
            for row in tx.execute(select(grant.c.id).where(grant.c.to_id == her)).fetchall():
                grants.revoke(tx, CONSOLE, row.id, "перейшла")

        await ops.gateway.staff.access.change(CONSOLE, lose)
        assert await judged(ops) == {IVAN: None, OLENA: "no_right"}
        n = len([each for each in mail.bodies if each["to"] == MAIL[OLENA]])
        await sent(ivan, "/dead/discard", deliveries=[await number(ivan)], reason="перевірка")
        assert (await told(mail, IVAN, "over"))["alerts"][0]["rule"] == "dead_letters"
        await looked(ops)
        assert len([each for each in mail.bodies if each["to"] == MAIL[OLENA]]) == n

        # Who is shut out hears nothing; who leaves has nothing left that could be told.
        await ops.gateway.staff.access.change(CONSOLE, lambda tx: people.block(tx, CONSOLE, his_id(tx), "відпустка"))
        assert (await judged(ops))[IVAN] == "no_right"
        await ops.gateway.staff.access.change(CONSOLE, lambda tx: people.dismiss(tx, CONSOLE, his_id(tx), "звільнено"))
        assert IVAN not in await judged(ops)
        rows = await ops.gateway.store.read(lambda c: c.execute(select(subscription.c.person)).fetchall())
        assert len(rows) == 1
        events = await ops.gateway.store.read(lambda c: c.execute(select(audit.c.event, audit.c.after)).fetchall())
        assert {"subscription.made", "subscription.changed", "alert.tested"} <= {row.event for row in events}
        assert not any(address in (row.after or "") for row in events for address in MAIL.values())


def his_id(tx: Unit) -> str:
    """Ivan."""
    return people.called(tx, IVAN).id


async def number(visitor: Visitor) -> int:
    """The delivery of the only dead letter."""
    async with asyncio.timeout(30):
        (letter,) = (await asked(visitor, "/dead/letters"))["letters"]
    return int(letter["delivery"])


async def test_a_chat_hears_what_its_person_subscribed_to(tmp_path: Path) -> None:
    """By the route that is shipped: the bot of the sign-in says it; who blocks the bot is told nothing, and why."""
    shipped = yaml.safe_load((ROOT / "flows/duty/routes.yaml").read_text(encoding="utf-8"))["routes"]
    routes = "".join(f"  {name}: {orjson.dumps(route).decode()}\n" for name, route in shipped.items())
    async with house(tmp_path, routes=routes) as made, made.visitor() as visitor:
        await made.person_of(OLENA, *RIGHTS)
        await visitor.sign_in(OLENA)
        status, mine = await sent(visitor, "/alerts/subscriptions", way="telegram", severity="critical")
        assert (status, mine["hears"], mine["why"]) == (201, False, "no_chat")
        assert (await sent(visitor, f"/alerts/subscriptions/{mine['id']}/test"))[0] == 409
        await made.bind(visitor)
        assert (await sent(visitor, f"/alerts/subscriptions/{mine['id']}/test"))[0] == 200
        assert f"ДО ВІДОМА: це перевірка від person/{OLENA}" in await made.said(lambda text: "перевірка" in text)
        made.telegram.bot.block(made.person)
        async with asyncio.timeout(60):
            while (await asked(visitor, "/alerts/subscriptions"))["subscriptions"][0]["why"] != "blocked":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert "Ви заблокували бота" in (await visitor.get("/ops/alerts/subscriptions")).text
