"""Rights with a real browser: a role is made and given, and what somebody else may do is different at once."""

from __future__ import annotations

import pytest
from playwright.async_api import FilePayload

from flows.access import people
from flows.access.changes import Actor, Unit
from flows.signin import passwords
from tests.web.browser.conftest import House
from tests.web.browser.looking import found_wrong
from tests.web.pages.site import PASSWORD, QUICK

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

CONSOLE = Actor("console")
LOGIN, NAME = "d.savchuk@ukc.gov.ua", "Дарина Савчук"


async def newcomer(house: House) -> None:
    """Somebody who may sign in and do nothing."""
    hashed = QUICK.hash(PASSWORD)

    def make(tx: Unit) -> None:
        made = people.create(tx, CONSOLE, LOGIN, NAME, level=2)
        passwords.keep(tx, made.id, hashed)

    await house.gateway.staff.access.change(CONSOLE, make)


async def test_a_role_is_made_and_given_and_the_menu_of_another_person_grows(house: House) -> None:
    """By mouse, with what would change shown first; the page that is open elsewhere has the entry without a reload."""
    await newcomer(house)
    context, page = await house.signed_in()
    theirs = await house.visitor()
    other = await theirs.new_page()
    await other.goto("/login")
    await other.locator("[name=login]").fill(LOGIN)
    await other.locator("[name=password]").fill(PASSWORD)
    async with other.expect_response("**/feed*"):
        await other.keyboard.press("Enter")
    assert await other.locator("nav a", has_text="Сеанси").count() == 0

    await page.goto("/admin/roles/new")
    await page.locator("[name=id]").fill("watchers")
    await page.locator("[name=uk]").fill("Чергові")
    await page.locator("[value='session.read']").check()
    await page.get_by_role("button", name="Створити роль").click()
    await page.get_by_text("Роль «Чергові» створено.").wait_for()
    await page.get_by_role("link", name="Надати роль").click()
    await page.locator("[name=to]").fill(f"person:{LOGIN}")
    await page.locator("[name=reason]").fill("чергування")
    await page.get_by_role("button", name="Що зміниться?").click()
    assert await page.locator("tbody tr").count() == 1
    assert await found_wrong(page) == []
    assert await other.locator("nav a", has_text="Сеанси").count() == 0
    await page.get_by_role("button", name="Зберегти").click()
    await page.get_by_text("Надано. Права змінилися в 1 людини.").wait_for()

    await other.locator("nav a", has_text="Сеанси").wait_for()
    await other.goto("/admin/sessions")
    assert await other.get_by_role("heading", level=1).inner_text() == "Сеанси"
    await page.goto("/admin/grants?q=savchuk")
    await page.get_by_role("button", name="Відкликати…").click()
    await page.get_by_role("dialog").locator("[name=reason]").fill("чергування минуло")
    await page.get_by_role("dialog").get_by_role("button", name="Відкликати").click()
    await page.get_by_text("Відкликано. Права змінилися в 1 людини.").wait_for()
    await other.get_by_role("heading", name="Для цього потрібне право").wait_for()
    await context.close()
    await theirs.close()


async def test_why_not_is_told_step_by_step_and_leads_to_what_helps(house: House) -> None:
    """The chain stops where the decision does; the button beside a role that would help has both names filled in."""
    await house.gateway.staff.access.change(
        CONSOLE, lambda tx: people.create(tx, CONSOLE, "v.tkach@ukc.gov.ua", "Віра Ткач", level=2)
    )
    context, page = await house.signed_in()
    await page.goto("/admin/access/why")
    await page.locator("[name=login]").select_option("v.tkach@ukc.gov.ua")
    await page.locator("[name=permission]").select_option("dead.replay")
    await page.get_by_role("button", name="Показати").click()
    await page.get_by_text("Жодна з наданих ролей не дає цього права.").wait_for()
    stages = page.locator(".chain > li")
    assert [await each.get_attribute("data-state") for each in await stages.all()] == [
        "ok", "ok", "dead", "skipped", "skipped", "skipped",
    ]  # fmt: skip
    assert await found_wrong(page) == []
    await page.get_by_role("link", name="Надати", exact=True).first.click()
    assert await page.locator("[name=to]").input_value() == "person:v.tkach@ukc.gov.ua"
    await context.close()


async def test_people_come_from_a_file_after_a_preview(house: House) -> None:
    """A file as spreadsheets here write it; nothing is done before the word, then all of it."""
    table = "login;name;level\nimported.one@ukc.gov.ua;Їжак Ґудзь;2\nimported.two@ukc.gov.ua;Єва Щур;1\n"
    context, page = await house.signed_in()
    await page.goto("/admin/people/import")
    file = FilePayload(name="люди.csv", mimeType="text/csv", buffer=table.encode("windows-1251"))
    await page.locator("[type=file]").set_input_files(file)
    await page.get_by_role("button", name="Переглянути").first.click()
    await page.get_by_text("Нових 2, змінених 0").wait_for()
    assert await found_wrong(page) == []
    await page.get_by_role("button", name="Зробити 2 зміни").click()
    await page.get_by_text("Зроблено 2 рядки.").wait_for()
    await page.goto("/admin/people?q=imported")
    assert await page.get_by_text("Їжак Ґудзь").count() == 1
    await context.close()
