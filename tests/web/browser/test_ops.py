"""A night on duty in Chromium: a partner dies and comes back, dead letters go again; pages are for everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.web.browser.looking import DEEP, WAYS, Way, found_wrong_both_ways
from tests.web.browser.ops_house import OpsHouse, ops_house

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]
PATIENCE_MS = 60_000
"""the page is live: nothing is waited for that happens, but on a slow machine"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def duty(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpsHouse]:
    """The gateway of the night."""
    async with ops_house(chromium, tmp_path_factory.mktemp("ops")) as made:
        yield made


async def test_a_night_on_duty(duty: OpsHouse) -> None:
    """The tile turns without a reload, the queue grows and drains, a replay shows how far it is and what came of it."""
    context, page = await duty.signed_in()
    await page.goto("/ops")
    tile = page.locator(".tile[data-connection=registry]")
    await duty.hand_in("appeals", 1)
    await expect(tile).to_have_attribute("data-state", "up", timeout=PATIENCE_MS)

    await duty.registry.die()
    await expect(tile).to_have_attribute("data-state", "down", timeout=PATIENCE_MS)
    await expect(page.locator("#verdict-h")).to_contain_text("не працює", timeout=PATIENCE_MS)
    await duty.hand_in("appeals", 12)
    await expect(tile).to_contain_text("чекає 12", timeout=PATIENCE_MS)
    await duty.registry.live()
    await expect(tile).to_have_attribute("data-state", "up", timeout=PATIENCE_MS)
    await duty.settled("appeals", "delivered", 26)
    await expect(page.locator("#verdict-h")).to_contain_text("нічого не втрачено", timeout=PATIENCE_MS)
    assert duty.registry.taken == 13

    duty.crm.status = 422
    await duty.hand_in("crm", 30)
    await duty.settled("crm.sync", "dead", 30)
    duty.crm.status = 200
    await page.goto("/ops/dead")
    await page.locator("[data-all]").check()
    await page.get_by_role("button", name="Повторити вибране").click()
    work = page.locator(".bulk")
    await expect(work.locator("progress")).to_have_attribute("max", "30")
    await expect(work).to_contain_text("30 доставлено", timeout=PATIENCE_MS)
    await expect(work).to_contain_text("30 із 30")
    await expect(page.get_by_text("Недоставлених немає")).to_be_visible(timeout=PATIENCE_MS)
    assert duty.crm.taken == 30
    await context.close()


@pytest.mark.parametrize("way", WAYS if DEEP else WAYS[:2], ids=lambda way: f"{way[0][0]}-{way[1]}-{way[2]}")
async def test_pages_of_one_thing_are_for_everybody(duty: OpsHouse, way: Way) -> None:
    """With something on them: axe finds nothing, nothing is too wide, the console stays silent."""
    size, theme, language = way
    before = len(await duty.ids("crm.sync", "dead"))
    duty.crm.status = 422
    await duty.hand_in("crm", 2)
    await duty.settled("crm.sync", "dead", before + 2)
    duty.crm.status = 200
    dead = (await duty.ids("crm.sync", "dead"))[-1]
    context, page = await duty.signed_in(size, theme=theme, language=language)
    said: list[str] = []
    page.on("console", lambda each: said.append(each.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    revision = duty.gateway.engine.configuration.revision
    wrong = {}
    paths = [
        "/ops", "/ops/connections", "/ops/connections/crm", "/ops/routes", "/ops/routes/appeals", "/ops/dead",
        "/ops/dead/letters?route=crm.sync", f"/ops/messages/{dead}", f"/ops/messages/{dead}/content",
        f"/ops/messages/{dead}/rehearsal", f"/ops/messages/{dead}/edit", "/ops/alerts", f"/ops/revisions/{revision}",
    ]  # fmt: skip
    for path in paths if DEEP else paths[WAYS.index(way) :: 2]:
        await page.goto(path)
        if found := await found_wrong_both_ways(page):
            wrong[path] = found
    examined = ["/ops/connections/crm", "/ops/self"]
    for path in examined if DEEP else examined[WAYS.index(way) :: 2]:
        await page.goto(path)
        await page.locator("form[action$=doctor] [type=submit]").click()
        await page.locator(".timeline").wait_for(timeout=PATIENCE_MS)
        if found := await found_wrong_both_ways(page):
            wrong[f"{path}/doctor"] = found
    assert wrong == {}
    assert said == []
    await context.close()
