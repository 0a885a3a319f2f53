"""The whole sign-in with a one-time password in a real browser: the bot set up, the chat bound, the code read and used.

The citizen's phone is the page of Telegram's stand-in, as whoever runs `./dev run` has it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from partners.manners import manner
from tests.flows.otp.house import CODE
from tests.flows.otp.house import house as otp_house
from tests.web.browser.conftest import LOGIN, NARROW, PASSWORD, WIDE, House, begin
from tests.web.browser.looking import DEEP, found_wrong_both_ways

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def sign_in(page: Page) -> None:
    """The first step."""
    await page.goto("/login")
    await page.locator("[name=login]").fill(LOGIN)
    await page.locator("[name=password]").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/login/code")


async def leave(page: Page) -> None:
    """Signs out."""
    await page.get_by_role("button", name="Вийти").click()
    await page.wait_for_url("**/login")


async def newest(phone: Page) -> str:
    """The code of the last message on the telephone."""
    line = phone.locator(".lines li:not(.mine) p").last
    await expect(line).to_have_text(CODE)
    found = CODE.search(await line.inner_text())
    assert found is not None
    return found[0]


@pytest.mark.timeout(120)
async def test_from_the_setting_to_the_sign_in(chromium: Browser, tmp_path: Path) -> None:
    """Everything by mouse and keyboard: nothing is made behind the pages but the first password."""
    async with otp_house(tmp_path, ready=False) as otp:
        house = House(otp.gateway, chromium)
        context = await house.visitor()
        page = await context.new_page()
        assert otp.gateway.staff.first_password is not None
        await begin(page, otp.gateway.staff.first_password)

        await page.get_by_role("link", name="Одноразові паролі").first.click()
        await page.get_by_role("link", name="Працівники без компанії").click()
        await page.get_by_label("Використовувати OTP через Telegram bot").check()
        await page.get_by_label("Бот", exact=True).select_option("otp-bot")
        await page.get_by_role("button", name="Зберегти").click()
        await page.get_by_text("Збережено. Діє одразу.").wait_for()

        await page.get_by_role("link", name="Під’єднати чат").click()
        await page.get_by_label("Ваш пароль").fill(PASSWORD)
        await page.get_by_role("button", name="Під’єднати чат").click()
        async with context.expect_page() as opened:
            await page.get_by_role("link", name="Відкрити бот").click()
        phone = await opened.value
        await phone.get_by_role("button", name="РОЗПОЧАТИ").click()
        await phone.get_by_text("Готово: одноразові коди").wait_for()
        await page.get_by_role("link", name="Перевірити").click()
        await page.get_by_text("Чат із @otp_bot під’єднано.").wait_for()
        await leave(page)

        await sign_in(page)
        code = await newest(phone)
        await page.get_by_label("Код із 8 цифр").fill(code)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/admin")
        await expect(phone.get_by_text(code)).to_have_count(0)
        await leave(page)

        await otp.unlocked()
        await sign_in(page)
        code = await newest(phone)
        await phone.get_by_label("Повідомлення").fill(code)
        await phone.keyboard.press("Enter")
        await phone.get_by_text("Код правильний.").wait_for()
        await page.wait_for_url("**/admin")
        await leave(page)

        await phone.get_by_role("button", name="Заблокувати бота").click()
        await phone.get_by_text("Бота заблоковано").wait_for()
        await otp.unlocked()
        await sign_in(page)
        await page.get_by_role("heading", name="Telegram не передав код").wait_for()
        await phone.get_by_role("button", name="Розблокувати бота").click()
        await phone.get_by_label("Повідомлення").wait_for()
        await page.get_by_role("button", name="Надіслати код", exact=True).click()
        await page.get_by_label("Код із 8 цифр").fill(await newest(phone))
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/admin")

        await page.goto("/admin/otp/-")
        shown = page.locator("[data-part=bot]")
        await expect(shown).to_contain_text("Працює")
        await expect(page.get_by_text("${file:token}")).to_be_visible()
        await expect(page.get_by_text(otp.telegram.address, exact=True)).to_be_visible()
        await page.get_by_role("button", name="Надіслати мені перевірку").click()
        await phone.get_by_text("Перевірка: бот працює").wait_for()
        other = await context.new_page()
        await other.goto("/admin/otp/-")
        otp.telegram.behave(manner("fail", ["401"]))
        await other.get_by_role("button", name="Надіслати мені перевірку").click()
        await expect(shown).to_contain_text("Не працює")
        await context.close()


@pytest.mark.timeout(90)
async def test_pages_fit_a_telephone_and_work_without_scripts(chromium: Browser, tmp_path: Path) -> None:
    """Nothing sticks out at 360 px; the phone and the code's page need no JavaScript."""
    async with otp_house(tmp_path) as otp:
        await otp.person_of(LOGIN, "otp.read", "otp.edit", "otp.unlock")
        house = House(otp.gateway, chromium)
        context = await house.visitor(NARROW, scripts=False)
        page = await context.new_page()
        await page.goto("/login")
        await page.locator("[name=login]").fill(LOGIN)
        await page.locator("[name=password]").fill(PASSWORD)
        await page.get_by_role("button", name="Далі").click()
        await page.wait_for_url("**/admin")
        for path in ("/admin/otp", "/admin/otp/pensions", "/me/telegram", otp.telegram.page):
            await page.goto(path)
            assert await wide(page) <= NARROW[0], path
        await page.goto("/me/telegram")
        await page.get_by_label("Ваш пароль").fill(PASSWORD)
        await page.get_by_role("button", name="Під’єднати чат").click()
        link = await page.get_by_role("link", name="Відкрити бот").get_attribute("href")
        assert link is not None
        await page.goto(link)
        await page.get_by_role("button", name="РОЗПОЧАТИ").click()
        await otp.said(lambda text: "Готово" in text)
        await page.goto("/me")
        await page.get_by_role("button", name="Меню").click()
        await leave(page)
        await page.locator("[name=login]").fill(LOGIN)
        await page.locator("[name=password]").fill(PASSWORD)
        await page.get_by_role("button", name="Далі").click()
        await page.wait_for_url("**/login/code")
        assert await wide(page) <= NARROW[0]
        otp.telegram.bot.write(otp.person, await otp.code())
        await otp.said(lambda text: "правильний" in text)
        await page.get_by_role("button", name="Код надіслано боту").click()
        await page.wait_for_url("**/admin")
        await context.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("size", "theme"), [(WIDE, "dark"), *([(NARROW, "light")] if DEEP else [])])
async def test_pages_are_for_everybody(chromium: Browser, tmp_path: Path, size: tuple[int, int], theme: str) -> None:
    """Axe finds nothing on the settings, the chat's page, the code's in its states, and the telephone."""
    async with otp_house(tmp_path) as otp:
        await otp.person_of(LOGIN, "otp.read", "otp.edit", "otp.unlock")
        house = House(otp.gateway, chromium)
        context, page = await house.signed_in(size, theme=theme)
        wrong = {}

        async def look(path: str = "") -> None:
            if path:
                await page.goto(path)
            if found := await found_wrong_both_ways(page):
                wrong[page.url] = found

        await look("/admin/otp/pensions")
        await page.goto("/me/telegram")
        await page.get_by_label("Ваш пароль").fill(PASSWORD)
        await page.get_by_role("button", name="Під’єднати чат").click()
        await look()
        link = await page.get_by_role("link", name="Відкрити бот").get_attribute("href")
        await look(link or "")
        await page.get_by_role("button", name="РОЗПОЧАТИ").click()
        await page.get_by_text("Готово: одноразові коди").wait_for()
        await look()
        await look("/me/telegram")
        await context.clear_cookies()
        await sign_in(page)
        await otp.code()
        await look()
        otp.telegram.bot.block(otp.person)
        await otp.unlocked()
        await sign_in(page)
        await page.get_by_role("heading", name="Telegram не передав код").wait_for()
        await look()
        await look(otp.telegram.page)
        assert wrong == {}
        await context.close()


async def wide(page: Page) -> int:
    """How wide the page is; more than the window, and it has to be scrolled sideways."""
    return int(await page.locator("html").evaluate("element => element.scrollWidth"))
