"""One Chromium for all of these tests of a process, and a gateway whose pages it visits."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from flows.access import grants, people, roles
from flows.access.changes import Actor, Unit
from flows.signin import passwords
from pipe.app import Gateway
from tests.pipe.running import running
from tests.web.pages.site import QUICK

CONFIG = """
version: 1
connections:
  box: {type: file_folder, path: box}
routes:
  copies: {from: {connection: box, get: "*.in"}, to: {connection: box, put: "out/${message.id}"}}
"""
NAME, LOGIN, PASSWORD = "Леся Кравець", "l.kravets@ukc.gov.ua", "зелений чайник на вікні"
CONSOLE = Actor("console")
WIDE, NARROW = (1440, 900), (360, 740)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They need Debian's Chromium."""
    for item in items:
        if "/web/browser/" in item.nodeid:
            item.add_marker(pytest.mark.debian)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


@dataclass
class House:
    """A gateway whose administrator exists."""

    gateway: Gateway
    chromium: Browser

    @property
    def address(self) -> str:
        """Where the pages are."""
        return self.gateway.addresses()["default"]

    async def visitor(
        self, size: tuple[int, int] = WIDE, *, theme: str = "light", scripts: bool = True
    ) -> BrowserContext:
        """A browser of its own: cookies are those of nobody else."""
        context = await self.chromium.new_context(
            base_url=self.address,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=scripts,
            locale="uk-UA",
        )
        context.set_default_timeout(15_000)
        return context

    async def signed_in(
        self, size: tuple[int, int] = WIDE, *, theme: str = "light", language: str = "uk"
    ) -> tuple[BrowserContext, Page]:
        """A browser in which the administrator is signed in, at /admin."""
        context = await self.visitor(size, theme=theme)
        page = await context.new_page()
        await page.goto("/login")
        if language == "en":
            await page.get_by_role("button", name="ENG").click()
            await page.get_by_role("heading", name="Sign in").wait_for()
        await page.locator("[name=login]").fill(LOGIN)
        await page.locator("[name=password]").fill(PASSWORD)
        await page.locator("[type=submit].btn[data-kind=primary]").click()
        await page.wait_for_url("**/admin")
        return context, page


async def begin(page: Page, password: str) -> None:
    """Signs in with the first password and makes the administrator."""
    await page.goto("/login")
    await page.locator("[name=login]").fill("admin")
    await page.locator("[name=password]").fill(password)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/login/first")
    await page.locator("[name=name]").fill(NAME)
    await page.locator("[name=login]").fill(LOGIN)
    await page.locator("[name=password]").fill(PASSWORD)
    await page.locator("[name=repeated]").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/admin")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The gateway, with one administrator."""
    folder: Path = tmp_path_factory.mktemp("pages")
    (folder / "box").mkdir()
    (folder / "c.yaml").write_text(CONFIG, encoding="utf-8")
    async with running(folder / "c.yaml") as gateway:
        gateway.staff.site.passwords = passwords.Passwords(QUICK)
        made = House(gateway, chromium)
        context = await made.visitor()
        password = gateway.staff.first_password
        assert password is not None
        await begin(await context.new_page(), password)
        await context.close()
        await gateway.staff.access.change(CONSOLE, brave)
        yield made


def brave(tx: Unit) -> None:
    """What no administrator gives himself: a page of emergencies, so that every page can be visited."""
    roles.create(tx, CONSOLE, "brave", {"uk": "Черговий"}, ["access.emergency"])
    me = people.called(tx, LOGIN)
    grants.give(tx, CONSOLE, "brave", "person", me.id, scope="all", level=2, reason="чергування")
