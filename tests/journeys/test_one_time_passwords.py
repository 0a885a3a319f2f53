"""A code that Telegram does not take in time: the whole gateway, killed meanwhile and started when its life is over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from partners.manners import manner
from partners.telegram import TelegramPartner
from tests.adapters.telegram_bench import TOKEN, config
from tests.flows.otp.house import CODE, CONFIG
from tests.journeys.conftest import until
from tests.journeys.gateway import ROOT, Gateway
from tests.torture.test_wall_clock import LIBRARIES
from tests.web.pages.site import PASSWORD, Answer, Visitor

pytestmark = [pytest.mark.journey, pytest.mark.debian, pytest.mark.timeout(180)]

LOGIN = "l.kravets@ukc.gov.ua"
PATIENCE_S = 60


class Browser:
    """One browser; its cookies outlive a gateway that comes back at another port."""

    def __init__(self, address: str) -> None:
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(address))
        self.visitor = Visitor(address, aiohttp.ClientSession(address, cookie_jar=jar))

    async def moved(self, address: str) -> Browser:
        """The same browser before the gateway's new address."""
        other = Browser(address)
        kept = self.visitor.client.cookie_jar.filter_cookies(URL(self.visitor.address))
        other.visitor.client.cookie_jar.update_cookies(kept, URL(address))
        await self.close()
        return other

    async def close(self) -> None:
        """No connection is left open."""
        await self.visitor.client.close()


async def begun(browser: Visitor, data: Path, telegram: TelegramPartner) -> None:
    """An administrator, codes for staff that are good for half a minute, and a chat that is bound."""
    assert (await browser.sign_in("admin", (data / "first-password").read_text().strip())).url.path == "/login/first"
    form = {"name": "Леся Кравець", "login": LOGIN, "password": PASSWORD, "repeated": PASSWORD}
    assert (await browser.post("/login/first", **form)).url.path == "/admin"
    await browser.get("/admin/otp/-")
    saved = await browser.post("/admin/otp/-/form", enabled="true", bot="otp-bot", act="save", staff_lasts="30")
    assert "Збережено" in saved.text
    words: list[str] = []

    async def named() -> bool:
        await browser.get("/me/telegram")
        shown = await browser.post("/me/telegram/begin", current=PASSWORD)
        words.extend(re.findall(r"\?start=([A-Za-z0-9_-]+)", shown.text))
        return bool(words)

    await until(named, PATIENCE_S)
    person = next(iter(telegram.bot.chats.people.values()))
    telegram.bot.start(person, words[-1])

    async def bound() -> bool:
        return "під’єднано" in (await browser.get("/me/telegram")).text

    await until(bound, PATIENCE_S)


async def shown(browser: Visitor, text: str) -> Answer:
    """The page of the code, once it says this."""
    pages: list[Answer] = []

    async def says() -> bool:
        pages.append(await browser.get("/login/code"))
        return text in pages[-1].text

    await until(says, PATIENCE_S)
    return pages[-1]


def codes(telegram: TelegramPartner) -> list[str]:
    """All codes that have ever come to the telephone."""
    lines = [line.text for person in telegram.bot.chats.people.values() for line in person.lines if not line.mine]
    return [found[0] for text in lines if (found := CODE.search(text))]


@pytest.mark.parametrize("how", ["hang", pytest.param("fail", marks=pytest.mark.deep)])
async def test_a_code_that_telegram_does_not_take_in_time_expires(tmp_path: Path, how: Any) -> None:
    """Silent or down past the code's life, over a kill: nothing comes late, the page says so, another code works."""
    if not LIBRARIES:
        pytest.skip("needs libfaketime: apt-get install faketime")
    (tmp_path / "telegram").mkdir()
    telegram = TelegramPartner("otp-bot", config(tmp_path / "telegram"), tmp_path / "telegram")
    await telegram.start()
    for name, text in {
        "token": TOKEN,
        "routes.yaml": (ROOT / "flows/otp/routes.yaml").read_text(encoding="utf-8"),
        "c.yaml": CONFIG.format(api=telegram.address).replace("flows/otp/routes.yaml", "routes.yaml"),
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "box").mkdir()
    data = tmp_path / "data"
    gateway = Gateway(data, tmp_path / "c.yaml")
    try:
        await gateway.start()
        browser = Browser(gateway.address)
        await begun(browser.visitor, data, telegram)
        telegram.behave(manner(how))
        assert (await browser.visitor.sign_in(LOGIN)).url.path == "/login/code"
        await shown(browser.visitor, "Надсилаємо")
        await until(lambda: _made(gateway), PATIENCE_S)
        await gateway.kill9()
        # A clock forty seconds ahead, for the wait would be as long.
        gateway.environment |= {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": "+40s", "DONT_FAKE_MONOTONIC": "1"}
        telegram.behave(manner("well"))
        await gateway.start()
        browser = await browser.moved(gateway.address)
        page = await shown(browser.visitor, "Telegram не відповів вчасно")
        assert "він уже не діє" in page.text
        assert codes(telegram) == []
        letters = await gateway.ask("dead.list", which={"route": "otp-send"})
        assert [each["state"] for each in letters] == ["expired"]
        ids = {"ids": [each["message_id"] for each in letters]}
        told = await gateway.ask("dead.replay", which=ids, ignore_deadline=True)
        assert (told["replayed"], "replay: never" in told["refused"][0]["text"]) == (0, True)
        await browser.visitor.get("/login/code")
        await browser.visitor.post("/login/again")
        await until(lambda: _came(telegram), PATIENCE_S)
        (code,) = codes(telegram)
        assert (await browser.visitor.post("/login/code", code=code)).url.path == "/admin"
        await browser.close()
    finally:
        await gateway.close()
        await telegram.close()


async def _made(gateway: Gateway) -> bool:
    return "otp-bot" in {each["station"] for each in await gateway.ask("search", route="otp-send")}


async def _came(telegram: TelegramPartner) -> bool:
    return bool(codes(telegram))
