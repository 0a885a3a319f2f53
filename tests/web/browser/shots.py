"""`python -m tests.web.browser.shots`: makes the pictures of docs/images again, in both languages.

`shots_ops` makes those of /ops.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from flows.access import grants, organisation, people
from flows.access.changes import Actor, Unit
from tests.flows.otp.house import house as otp_house
from tests.pipe.running import running
from tests.web.browser.conftest import CONFIG, LOGIN, NARROW, PASSWORD, House, begin

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
SIZE = (1200, 700)
PEOPLE = [
    ("o.melnyk@ukc.gov.ua", "Оксана Мельник", "person"), ("i.koval@ukc.gov.ua", "Ірина Коваль", "person"),
    ("t.bondar@ukc.gov.ua", "Тарас Бондар", "person"), ("portal", "Портал звернень", "service"),
    ("y.zhuk@ukc.gov.ua", "Юлія Жук", "person"),
]  # fmt: skip


PAGES = {
    "people": "people", "audit": "audit", "roles": "roles",
    "why": "access/why?login=o.melnyk@ukc.gov.ua&permission=dead.replay&company=ukc",
}  # fmt: skip


def everybody(tx: Unit) -> None:
    """Some people, one of them with a place in a company."""
    console = Actor("console")
    for login, name, kind in PEOPLE:
        made = people.create(tx, console, login, name, kind=kind)  # type: ignore[arg-type]
        if name == "Тарас Бондар":
            people.block(tx, console, made.id, "відпустка")
    organisation.add_company(tx, console, "ukc", "2.1.2.1", {"uk": "Урядова гаряча лінія", "en": "Government hotline"})
    organisation.add_unit(tx, console, "hall", "ukc", {"uk": "Зала операторів", "en": "Hall"})
    organisation.add_position(tx, console, "op-1", "hall", "operator", {"uk": "Оператор", "en": "Operator"})
    operator = people.called(tx, "o.melnyk@ukc.gov.ua").id
    people.change(tx, console, operator, company="ukc", level=2)
    organisation.appoint(tx, console, operator, "position", "op-1")
    grants.give(tx, console, "operator", "title", "operator", scope="company", level=2, reason="за посадою")


async def main() -> None:
    """Starts a gateway, visits its pages, writes what they look like."""
    folder = Path(tempfile.mkdtemp())
    (folder / "box").mkdir()
    (folder / "c.yaml").write_text(CONFIG, encoding="utf-8")
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright, running(folder / "c.yaml") as gateway:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        house = House(gateway, browser)
        context = await house.visitor(SIZE)
        page = await context.new_page()
        assert gateway.staff.first_password is not None
        await begin(page, gateway.staff.first_password)
        await gateway.staff.access.change(Actor("console"), everybody)
        await context.close()
        for language in ("uk", "en"):
            context, page = await house.signed_in(
                SIZE, language=language, theme="dark" if language == "en" else "light"
            )
            for name, path in PAGES.items():
                await page.goto(f"/admin/{path}")
                await page.screenshot(path=IMAGES / f"{name}-{language}.png")
            await page.goto("/admin/grants/new?to=title:operator&role=shift-lead")
            await page.locator("[name=reason]").fill("нічна зміна")
            await page.locator("[name=rehearse]").click()
            await page.locator(".save").wait_for()
            await page.screenshot(path=IMAGES / f"change-{language}.png")
            await page.get_by_role("button", name="Вийти" if language == "uk" else "Sign out").click()
            await page.set_viewport_size({"width": NARROW[0], "height": 560})
            await page.goto("/login")
            await page.screenshot(path=IMAGES / f"sign-in-{language}.png")
            await context.close()
        await one_time_passwords(browser)
        await browser.close()


async def one_time_passwords(browser: Browser) -> None:
    """The code at sign-in, the telephone, and a company's settings."""
    async with otp_house(Path(tempfile.mkdtemp())) as otp:
        await otp.person_of(LOGIN, "otp.read", "otp.edit", "otp.unlock")
        house = House(otp.gateway, browser)
        async with otp.visitor() as visitor:
            await visitor.sign_in(LOGIN)
            await otp.bind(visitor)
            await visitor.get("/me/telegram")
        for language in ("uk", "en"):
            await otp.unlocked()
            context = await house.visitor(NARROW)
            page = await context.new_page()
            await page.goto("/login")
            if language == "en":
                await page.get_by_role("button", name="ENG").click()
            await page.locator("[name=login]").fill(LOGIN)
            await page.locator("[name=password]").fill(PASSWORD)
            await page.locator("[type=submit].btn[data-kind=primary]").click()
            await page.wait_for_url("**/login/code")
            code = await otp.code(after=otp.person.lines[-1].id - 1)
            await page.locator("[name=code]").fill(code[:3])
            await page.screenshot(path=IMAGES / f"code-{language}.png")
            phone = await context.new_page()
            await phone.set_viewport_size({"width": 960, "height": 640})
            await phone.goto(f"{otp.telegram.page}?lang={language}")
            await phone.screenshot(path=IMAGES / f"telephone-{language}.png")
            await page.locator("[name=code]").fill(code)
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/admin")
            await page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
            await page.goto("/admin/otp/pensions")
            await page.screenshot(path=IMAGES / f"one-time-passwords-{language}.png")
            await context.close()


if __name__ == "__main__":
    asyncio.run(main())
