"""Connections and routes: their pages, their switches, the doctor; and nobody else's hand on them."""

from __future__ import annotations

import pytest

from tests.web.ops.conftest import ENGINEER, LEAD, NOBODY, Ops, asked, sent

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(("kind", "name"), [("connections", "crm"), ("routes", "appeals")])
async def test_a_pause_needs_a_reason_and_says_who_and_why(ops: Ops, kind: str, name: str) -> None:
    """What is paused waits and is delivered after the resume."""
    async with ops.site.visitor() as visitor:
        page = await ops.reads(visitor, ENGINEER, f"/ops/{kind}/{name}")
        assert "Призупинити" in page
        assert (await visitor.post(f"/ops/{kind}/{name}/pause", reason=" ")).status == 422
        await ops.reads(visitor, ENGINEER, f"/ops/{kind}/{name}")
        answer = await visitor.post(f"/ops/{kind}/{name}/pause", reason="роботи в партнера")
        assert "роботи в партнера" in answer.text
        waiting = await ops.hand_in("5")
        assert await ops.state(waiting) == "ready"
        story = await ops.reads(visitor, ENGINEER, f"/ops/messages/{waiting}")
        assert "призупинено" in story
        assert "роботи в партнера" in story
        await ops.reads(visitor, ENGINEER, f"/ops/{kind}/{name}")
        await visitor.post(f"/ops/{kind}/{name}/resume")
        await ops.reaches(waiting, "delivered")


async def test_the_doctor_is_run_from_the_page(ops: Ops) -> None:
    """Its ladder says rung by rung what holds; the API says the same."""
    async with ops.site.visitor() as visitor:
        await ops.reads(visitor, ENGINEER, "/ops/connections/crm")
        answer = await visitor.post("/ops/connections/crm/doctor")
        assert "Зв’язок" in answer.text
        assert "Усе гаразд" in answer.text
        status, told = await sent(visitor, "/connections/crm/doctor")
        assert (status, told["well"], "tcp" in {each["check"] for each in told["checks"]}) == (200, True, True)


async def test_pages_say_what_the_configuration_says(ops: Ops) -> None:
    """Steps with their lines, the computed promise, who uses a connection; the list leads to each."""
    done = await ops.hand_in("3")
    await ops.reaches(done, "delivered")
    async with ops.site.visitor() as visitor:
        text = await ops.reads(visitor, ENGINEER, "/ops/routes/appeals")
        assert "щонайменше раз" in text
        assert f'href="/ops/messages/{done}"' in text
        found = await asked(visitor, "/routes/appeals")
        assert [step["name"] for step in found["steps"]] == ["decode", "map"]
        assert (found["targets"][0]["to"], found["promise"].partition(",")[0]) == ("crm", "at-least-once")
        assert (await asked(visitor, "/connections/crm"))["routes"] == ["appeals"]
        for period in ("day", "month"):
            assert (await visitor.get(f"/ops/connections/crm?period={period}")).status == 200
            assert (await visitor.get(f"/ops/routes/appeals?period={period}")).status == 200
        for path in ("/ops/connections", "/ops/routes"):
            assert (await visitor.get(path)).status == 200
        for path in ("/ops/connections/none", "/ops/routes/none", "/ops/connections/crm?period=year"):
            assert (await visitor.get(path)).status in (400, 404)


async def test_nobody_switches_or_examines_without_the_right(ops: Ops) -> None:
    """A right for one company, or none."""
    for login in (LEAD, NOBODY):
        async with ops.site.visitor() as visitor:
            await visitor.sign_in(login)
            for path in ("connections", "connections/crm", "routes", "routes/appeals"):
                assert (await visitor.get(f"/ops/{path}")).status == 403
            acts = ("connections/crm/pause", "connections/crm/resume", "connections/crm/doctor", "routes/appeals/drain")
            for act in acts:
                more = {"reason": "без права"} if not act.endswith("doctor") else {}
                assert (await sent(visitor, f"/{act}", **more))[0] == 403
    assert ops.gateway.engine.connections["crm"].paused is False
