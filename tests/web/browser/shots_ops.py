"""`python -m tests.web.browser.shots_ops`: makes the pictures of docs/ops.md again, each page of operations twice.

The shipped configuration runs against its stand-ins, with traffic and with partners that are told to misbehave; only
the hour before is made up, as nobody waits for it. Every name and number is fictional.
"""

from __future__ import annotations

import asyncio
import base64
import math
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, Page, async_playwright
from sqlalchemy import select

from flows.access import grants, people, roles
from flows.access.changes import Unit
from flows.access.permissions import CATALOGUE
from flows.duty import subscriptions
from flows.otp import bindings
from flows.signin import passwords
from monitoring.history.recorder import Tally, put
from partners import tell
from pipe.app import Gateway, Settings
from pipe.config.alerts import Hours, Wish
from pipe.store.schema import delivery, message
from pipe.store.transaction import Tx
from tests.web.browser.conftest import CONSOLE, LOGIN, NAME, PASSWORD, House
from tests.web.pages.site import QUICK

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ROOT / "docs" / "images" / "ops"
WIDE, NARROW = (1440, 900), (360, 780)
KEY = "demo-key-of-the-stand-ins"
TALLEST = 1800
"""pixels of a picture; what is below is more of the same"""
QUALITY = 60


def somebody(tx: Unit) -> None:
    """Who looks, with every right, and what they subscribed to."""
    made = people.create(tx, CONSOLE, LOGIN, NAME, level=3, email=LOGIN)
    passwords.keep(tx, made.id, QUICK.hash(PASSWORD))
    roles.create(tx, CONSOLE, "all", {"uk": "Чергова інженерка"}, [each.name for each in CATALOGUE])
    grants.give(tx, CONSOLE, "all", "person", made.id, scope="all", level=2, reason="чергування")
    night = Wish("critical", hours=Hours("20:00-08:00"))
    mine = Wish("warning", ("dead_letters", "queue_age"), ("civil", "acts"))
    for wish in (night, mine):
        subscriptions.add(tx, CONSOLE, made.id, LOGIN, "telegram", "uk", wish)


def an_hour(tx: Tx) -> None:
    """The hour before, so that there is something to be drawn."""
    now = int(tx.now // 60 * 60)
    for minute in range(60):
        n = 40 + round(14 * math.sin(minute / 7)) + minute * 7 % 9
        times = Counter({24: n * 2 // 3, 27: n // 4, 30 + minute // 20: n // 9 + 1})
        put(tx, 60, now - 60 * (60 - minute), {
            ("appeals", ""): Tally(came=n), ("appeals", "registry"): Tally(done=n, times=times),
            ("appeals", "archive"): Tally(done=n, times=Counter({6: n})),
            ("appeals", "sms"): Tally(done=n // 5, times=Counter({38: n // 5})),
            ("acts", ""): Tally(came=6), ("acts", "civil"): Tally(done=6, times=Counter({41: 6})),
            ("persons", ""): Tally(came=3), ("persons", "registry"): Tally(done=3, times=Counter({28: 3})),
        })  # fmt: skip


TEXTS = (
    "Немає води вже другий день", "Не працює ліфт у третьому під’їзді", "Яма на дорозі біля школи",
    "Не вивозять сміття", "Немає опалення в квартирі", "Зламаний світлофор на перехресті",
)  # fmt: skip
NAMES = ("Олена Мельник", "Іван Коваль", "Марія Бондаренко", "Петро Шевчук", "Ганна Ткаченко")


async def traffic(address: str, appeals: int, acts: int) -> None:
    """So many of each are handed in."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(address, headers=headers) as client:
        for n in range(appeals):
            who = {"name": NAMES[n % 5], "phone": f"+38067{1000000 + n:07}"}
            body = {"applicant": who, "text": f"{TEXTS[n % 6]}, вул. Шкільна, {n + 1}", "urgent": n % 6 == 0}
            async with client.post("/pipe/appeals", json=body) as answer:
                assert answer.status == 202, await answer.text()
        for n in range(acts):
            act = {"kind": "birth", "names": [NAMES[n % 5]], "day": f"2026-10-{n % 28 + 1:02}"}
            async with client.post("/pipe/acts", json=act) as answer:
                assert answer.status == 202, await answer.text()


async def reached(gateway: Gateway, route: str, station: str, state: str, n: int) -> list[str]:
    """Ids of messages of a route that are in that state, once there are so many."""
    query = select(message.c.id).join(delivery, delivery.c.message == message.c.seq)
    query = query.where(delivery.c.route == route, delivery.c.state == state, delivery.c.station == station)
    async with asyncio.timeout(120):
        while True:
            found = await gateway.store.read(lambda c: list(c.execute(query.order_by(delivery.c.id)).scalars()))
            if len(found) >= n:
                return found
            await asyncio.sleep(0.1)


async def turned(gateway: Gateway, connection: str, state: str) -> None:
    """Returns once a connection is in that state."""
    async with asyncio.timeout(120):
        while gateway.engine.connections[connection].state != state:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def misfortune(gateway: Gateway, data: Path) -> dict[str, str]:
    """An ordinary hour, then partners that misbehave; the pages that show it, by name."""
    await gateway.store.write(an_hour)
    address = gateway.addresses()["default"]
    await traffic(address, 60, 12)
    await reached(gateway, "appeals", "registry", "delivered", 60)
    await reached(gateway, "acts", "civil", "delivered", 12)
    await tell(data, "civil", "refuse")
    await traffic(address, 0, 14)
    dead = await reached(gateway, "acts", "civil", "dead", 14)
    await tell(data, "sms", "fail")
    await tell(data, "registry", "stop")
    await traffic(address, 24, 0)
    await turned(gateway, "registry", "down")
    (waiting, *_) = await waits(gateway)
    revision = gateway.engine.configuration.revision
    return {
        "overview": "/ops", "connections": "/ops/connections", "connection": "/ops/connections/registry",
        "routes": "/ops/routes", "route": "/ops/routes/appeals", "exchanges": "/ops/exchanges",
        "dead": "/ops/dead", "letters": "/ops/dead/letters?route=acts", "message": f"/ops/messages/{dead[0]}",
        "content": f"/ops/messages/{dead[0]}/content", "rehearsal": f"/ops/messages/{dead[0]}/rehearsal",
        "edit": f"/ops/messages/{dead[0]}/edit", "waiting": f"/ops/messages/{waiting}",
        "uncertain": "/ops/uncertain", "alerts": "/ops/alerts", "subscriptions": "/ops/alerts/subscriptions",
        "subscription": "/ops/alerts/subscriptions/new", "revisions": "/ops/revisions",
        "revision": f"/ops/revisions/{revision}", "self": "/ops/self",
    }  # fmt: skip


async def waits(gateway: Gateway) -> list[str]:
    """Messages whose delivery to the register waits."""
    query = select(message.c.id).join(delivery, delivery.c.message == message.c.seq)
    query = query.where(delivery.c.station == "registry", delivery.c.done_at.is_(None)).order_by(delivery.c.id)
    return await gateway.store.read(lambda c: list(c.execute(query).scalars()))


async def picture(page: Page, path: Path, size: tuple[int, int]) -> None:
    """The page from its top, as WebP."""
    height = await page.evaluate("document.documentElement.scrollHeight")
    await page.set_viewport_size({"width": size[0], "height": max(size[1], min(height, TALLEST))})
    client = await page.context.new_cdp_session(page)
    options = {"format": "webp", "quality": QUALITY}
    made: Any = await client.send("Page.captureScreenshot", options)
    path.write_bytes(base64.b64decode(made["data"]))
    await client.detach()
    await page.set_viewport_size({"width": size[0], "height": size[1]})


async def visits(house: House, pages: dict[str, str], only: set[str]) -> None:
    """Each page, light and wide in Ukrainian, dark and narrow in English."""
    for size, theme, language in ((WIDE, "light", "uk"), (NARROW, "dark", "en")):
        context, page = await house.signed_in(size, theme=theme, language=language)
        await page.goto("/ops/dead")
        await page.locator("[name='groups[]']").first.check()
        await page.locator("[formaction$=rehearse]").click()
        await page.locator(".bulk progress[value='14']").first.wait_for()
        for name, path in pages.items():
            if only and name not in only:
                continue
            await page.goto(path)
            if name == "self":
                await page.locator("form[action$=doctor] [type=submit]").click()
                await page.locator(".timeline").wait_for(timeout=60_000)
            await picture(page, IMAGES / f"{name}-{size[0]}.webp", size)
        await context.close()


def laid_out(folder: Path) -> Path:
    """The shipped configuration in a folder of its own, its secrets for its owner only; where it begins."""
    for name in ("connections.yaml", "companies.yaml", "partners/civil.wsdl", "flows", "schemas", "secrets"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    for secret in (folder / "secrets").iterdir():
        secret.chmod(0o600)
    return folder / "connections.yaml"


def bound(tx: Any) -> None:
    """Her chat with the bot."""
    bindings.bind(tx, bindings.person(people.called(tx, LOGIN).id), "otp-bot", 1, "uk")


async def on_duty(browser: Browser, only: set[str]) -> None:
    """A gateway, its partners, an hour of traffic and misfortune, and all pages of it."""
    folder = Path(tempfile.mkdtemp())
    config, data = laid_out(folder), folder / "data"
    os.environ["PIPE_ARCHIVE"] = str(data / "archive")
    gateway = Gateway(Settings(config, data, "127.0.0.1:0", partners=True))
    await gateway.start()
    try:
        gateway.staff.site.passwords = passwords.Passwords(QUICK)
        await gateway.staff.access.change(CONSOLE, somebody)
        await gateway.engine.act(bound, "console")
        pages = await misfortune(gateway, data)
        await visits(House(gateway, browser), pages, only)
    finally:
        await gateway.stop()


async def main() -> None:
    """Only the pages that are named, where some are."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        await on_duty(browser, set(sys.argv[1:]))
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
