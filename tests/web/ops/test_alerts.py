"""Alerts, configurations and the gateway itself: seen, acted on, and closed to others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.web.ops.conftest import ENGINEER, LEAD, NOBODY, Ops, asked, sent
from tests.web.pages.site import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def alert(visitor: Visitor, rule: str) -> Any:
    """The first that fires of a rule, once there is one."""
    async with asyncio.timeout(90):
        while True:
            for each in (await asked(visitor, "/alerts"))["alerts"]:
                if each["rule"] == rule and each["state"] == "firing":
                    return each
            await asyncio.sleep(0.2)


async def test_an_alert_is_taken_care_of_silenced_and_told_again(ops: Ops) -> None:
    """Dead letters fire at once; note, silence and its end are on the page and in the audit."""
    dead = await ops.hand_in("не число")
    await ops.reaches(dead, "dead")
    async with ops.site.visitor() as visitor:
        await visitor.sign_in(ENGINEER)
        found = await alert(visitor, "dead_letters")
        page = await ops.reads(visitor, ENGINEER, "/ops/alerts")
        assert "Про тривоги нікому не кажуть" in page
        answer = await visitor.post(f"/ops/alerts/{found['id']}/acknowledge", note="дивлюся мапінг")
        assert "дивлюся мапінг" in answer.text
        assert (await visitor.post("/ops/silences", hours="2", reason="знаємо")).status == 422
        await ops.reads(visitor, ENGINEER, "/ops/alerts")
        answer = await visitor.post("/ops/silences", hours="2", rule="dead_letters", subject="appeals", reason="знаємо")
        assert "знаємо" in answer.text
        (silence,) = (await asked(visitor, "/alerts"))["silences"]
        await visitor.post(f"/ops/silences/{silence['id']}/end")
        assert (await asked(visitor, "/alerts"))["silences"] == []
        status, wrong = await sent(visitor, "/alerts/test")
        assert (status, "no route tells alerts" in wrong["detail"]) == (409, True)
        assert (await sent(visitor, "/alerts/nothing/acknowledge"))[0] == 404


async def test_a_configuration_is_shown_beside_the_one_before(ops: Ops) -> None:
    """Who took it up, and which lines are new."""
    path = ops.folder / "c.yaml"
    path.write_text(path.read_text() + "  more: {from: {every: 1h}, to: {connection: box, put: more}}\n")
    await ops.gateway.apply(ops.gateway.read_configuration(), "О. Мельник")
    async with ops.site.visitor() as visitor:
        text = await ops.reads(visitor, ENGINEER, "/ops/revisions")
        assert "О. Мельник" in text
        newest = (await asked(visitor, "/revisions"))["revisions"][0]
        assert (newest["by"], newest["in_force"]) == ("О. Мельник", True)
        found = await asked(visitor, f"/revisions/{newest['id']}")
        (changed,) = found["files"]
        assert (changed["file"], changed["added"], changed["removed"]) == ("c.yaml", 1, 0)
        assert "more: {from: {every: 1h}" in await ops.reads(visitor, ENGINEER, f"/ops/revisions/{newest['id']}")
        assert (await visitor.get("/ops/revisions/none")).status == 404


async def test_the_gateway_examines_itself(ops: Ops) -> None:
    """When asked: disk, clock, store; the page alone only tells what runs."""
    async with ops.site.visitor() as visitor:
        text = await ops.reads(visitor, ENGINEER, "/ops/self")
        assert "Перевірити зараз" in text
        answer = await visitor.post("/ops/self/doctor")
        assert "Чи справді диск зберігає" in answer.text
        status, told = await sent(visitor, "/self/doctor")
        assert (status, told["examined"], "integrity" in {each["check"] for each in told["checks"]}) == (
            200,
            True,
            True,
        )


async def test_none_of_it_is_open_to_a_right_for_one_company(ops: Ops) -> None:
    """Nor to nobody."""
    for login in (LEAD, NOBODY):
        async with ops.site.visitor() as visitor:
            await visitor.sign_in(login)
            for path in ("alerts", "revisions", "revisions/x", "self"):
                assert (await visitor.get(f"/ops/{path}")).status == 403
            for path, body in (
                ("/alerts/x/acknowledge", {}), ("/silences", {"hours": 1, "reason": "тиша"}), ("/silences/x/end", {}),
                ("/alerts/test", {}), ("/self/doctor", {}),
            ):  # fmt: skip
                assert (await sent(visitor, path, **body))[0] == 403
