"""Every page at both widths and in both themes: nothing that axe finds, nothing cut off, nothing the policy stops."""

from __future__ import annotations

import re
import time

import pytest
from playwright.async_api import expect

from flows.access import people
from flows.access.changes import Actor
from tests.web.browser.conftest import LOGIN, NARROW, WIDE, House
from tests.web.browser.looking import WAYS, Way, found_wrong, found_wrong_both_ways, share
from web.catalogue import AREAS
from web.pages.router import Router

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

PAGES = sorted(
    each.path
    for each in Router(AREAS).operations
    if each.kind == "page" and "{" not in each.path and not each.path.startswith("/login")
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way[0][0]}-{way[1]}-{way[2]}")
async def test_pages_are_for_everybody(house: House, way: Way) -> None:
    """Axe finds nothing, nothing is wider than the window, and the console stays silent."""
    size, theme, language = way
    context, page = await house.signed_in(size, theme=theme, language=language)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    wrong = {}
    for path in share([*PAGES, "/admin/people/nobody"], way):
        await page.goto(path)
        if said_wrong := await found_wrong_both_ways(page):
            wrong[path] = said_wrong
    assert wrong == {}
    assert [each for each in said if "404" not in each] == []
    await context.close()


@pytest.mark.parametrize(("size", "theme"), [(WIDE, "dark"), (NARROW, "light")])
async def test_the_way_in_is_for_everybody(house: House, size: tuple[int, int], theme: str) -> None:
    """The sign-in, a failed one, and the pause after several."""
    context = await house.visitor(size, theme=theme)
    page = await context.new_page()
    await page.goto("/login")
    assert await found_wrong(page) == []
    for _ in range(9):
        await page.locator("[name=login]").fill(f"{theme}@ukc.gov.ua")
        await page.locator("[name=password]").fill("щось")
        async with page.expect_navigation():
            await page.keyboard.press("Enter")
        assert await found_wrong(page) == []
        if await page.locator("[name=login]").count() == 0:
            break
    assert await page.get_by_role("heading", level=1).inner_text() != "Увійти"
    await context.close()


async def test_pages_are_made_quickly(house: House) -> None:
    """Less than 100 ms at the server for each; the quickest of nine, as the machine has other things to do."""
    context, page = await house.signed_in()
    slow = {}
    for path in PAGES:
        times = []
        for _ in range(9):
            began = time.perf_counter()
            answer = await page.request.get(path, headers={"Accept": "text/html"})
            times.append(time.perf_counter() - began)
            assert answer.status == 200
            if times[-1] <= 0.1:
                break
        else:
            slow[path] = times
    assert slow == {}
    await context.close()


async def test_a_person_is_added_blocked_and_seen_in_the_audit(house: House) -> None:
    """By mouse: form with a mistake beside its field, the password that is shown once, the dialog that asks why."""
    context, page = await house.signed_in()
    await page.goto("/admin/people")
    await page.get_by_role("link", name="Додати людину").click()
    await page.locator("[name=name]").fill("Остап Вишня")
    await page.locator("[name=login]").fill(LOGIN)
    await page.get_by_role("button", name="Додати").click()
    await page.get_by_text("Такий логін уже є.").wait_for()
    assert await page.locator("[name=name]").input_value() == "Остап Вишня"
    assert await page.evaluate("document.activeElement.name") == "login"
    await page.locator("[name=login]").fill("o.vyshnia@ukc.gov.ua")
    await page.get_by_role("button", name="Додати").click()
    await page.get_by_text("Пароль видно лише зараз.").wait_for()
    assert await found_wrong(page) == []
    await page.get_by_role("link", name="Я передам його").click()
    await page.get_by_role("button", name="Заблокувати…").click()
    dialog = page.get_by_role("dialog")
    assert await page.evaluate("document.activeElement.textContent") == "Залишити"
    assert await found_wrong(page) == []
    await page.keyboard.press("Escape")
    assert await page.evaluate("document.activeElement.textContent.trim()") == "Заблокувати…"
    await page.keyboard.press("Enter")
    await dialog.locator("[name=reason]").fill("перевірка")
    await dialog.get_by_role("button", name="Заблокувати").click()
    await page.get_by_text("Заблоковано, сеанси завершено.").wait_for()
    await page.goto("/admin/audit?q=o.vyshnia")
    assert await page.get_by_text("person.blocked").count() == 1
    await context.close()


async def test_an_open_page_follows_what_happens_elsewhere(house: House) -> None:
    """A new session appears in the list without a reload; one that is ended elsewhere leads to the sign-in."""
    context, page = await house.signed_in()
    await page.goto("/admin/sessions")
    await expect(page.locator("[data-live-sign]")).to_be_attached()
    rows = page.locator("tbody tr")
    before = await rows.count()
    other, elsewhere = await house.signed_in(NARROW)
    await expect(rows).to_have_count(before + 1)
    await elsewhere.goto("/admin/sessions")
    access = house.gateway.staff.access
    console = Actor("console")
    (me,) = [each.id for each in access.snapshot.person.values() if each.login == LOGIN]
    await house.gateway.store.write(lambda tx: people.end_sessions(tx, console, me))
    await house.gateway.store.write(lambda tx: tx.publish("signin", {"ended": []}))
    for each in (page, elsewhere):
        await each.wait_for_url(re.compile("/login"))
    late, page = await house.signed_in()
    await page.route("**/feed*", lambda route: route.fulfill(status=401))
    await late.clear_cookies()
    await page.evaluate(
        "import(document.querySelector('script[src]').src.replace('app.js', 'feed.js')).then((it) => it.follow("
        "'signin', 0, {event() {}, end: () => location.reload()}))"
    )
    await page.wait_for_url(re.compile("/login"))
    await late.close()
    await context.close()
    await other.close()
