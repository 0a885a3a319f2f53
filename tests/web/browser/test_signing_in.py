"""Signing in with a real browser: by keyboard alone, without scripts, on a telephone."""

from __future__ import annotations

import pytest

from tests.web.browser.conftest import LOGIN, NAME, NARROW, PASSWORD, House

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_keyboard_is_enough_to_sign_in_and_out(house: House) -> None:
    """Login, Tab, password, Enter: the start of administration; the skip link leads to the content."""
    context = await house.visitor()
    page = await context.new_page()
    await page.goto("/login")
    await page.keyboard.type(LOGIN)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/admin")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    assert await page.evaluate("location.hash") == "#main"
    leave = page.get_by_role("button", name="Вийти")
    await leave.focus()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/login")
    assert await page.get_by_text("Ви вийшли.").is_visible()
    await page.goto("/")
    assert page.url.endswith("/login")
    await page.goto("/admin")
    assert page.url.endswith("/login?to=/admin")
    await context.close()


async def test_a_wrong_password_says_so_and_keeps_the_login(house: House) -> None:
    """The words stand above the form, the login stays, the password does not, the focus is on what to mend."""
    context = await house.visitor()
    page = await context.new_page()
    await page.goto("/login")
    await page.locator("[name=login]").fill(LOGIN)
    await page.locator("[name=password]").fill("щось зовсім інше")
    await page.keyboard.press("Enter")
    await page.get_by_role("alert").wait_for()
    assert "не збігаються" in await page.get_by_role("alert").inner_text()
    assert await page.locator("[name=login]").input_value() == LOGIN
    assert await page.locator("[name=password]").input_value() == ""
    assert await page.evaluate("document.activeElement.name") == "password"
    await context.close()


async def test_pages_work_without_scripts(house: House) -> None:
    """Forms are plain HTML: sign-in, language and colours need no JavaScript."""
    context = await house.visitor(NARROW, scripts=False)
    page = await context.new_page()
    await page.goto("/login")
    await page.get_by_role("button", name="ENG").click()
    assert await page.get_by_role("heading", level=1).inner_text() == "Sign in"
    await page.locator("[name=login]").fill(LOGIN)
    await page.locator("[name=password]").fill(PASSWORD)
    await page.get_by_role("button", name="Next").click()
    await page.wait_for_url("**/admin")
    await page.get_by_role("button", name="Menu").click()
    assert await page.get_by_text(NAME).is_visible()
    await page.get_by_role("button", name="Light colours").click()
    assert await page.locator("html").get_attribute("data-theme") == "light"
    await context.close()
