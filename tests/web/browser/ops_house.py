"""A gateway with traffic and a partner that can be killed and brought back, for the pages of operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from playwright.async_api import Browser
from sqlalchemy import func, select

from flows.access import grants, people, roles
from flows.access.changes import Unit
from flows.access.permissions import CATALOGUE
from flows.signin import passwords
from pipe.store.schema import delivery, message
from tests.adapters.smtp_bench import MailServer
from tests.pipe.running import running
from tests.web.browser.conftest import CONSOLE, LOGIN, NAME, PASSWORD, House
from tests.web.pages.site import QUICK

CONFIG = """
version: 1
connections:
  partners: {type: http_server, auth: none}
  registry:
    type: http_client
    url: "%s"
    reconnect: {first: 1s, max: 1s}
    probe: {get: /ping, every: 1s}
  archive: {type: file_folder, path: box}
  crm: {type: http_client, url: "%s", reconnect: {first: 1s, max: 1s}}
  mail: {type: smtp, url: "smtp://127.0.0.1:%d", starttls: false, sender: pipe@ukc.gov.ua}
alerts: {every: 200ms, group: 0s, clear: 1s, rules: {connection_down: {for: 1s}}}
routes:
  alerts.people:
    from: {alerts: info, people: mail}
    to: {connection: mail, send: "${body.to}", subject: "${body.subject}", text: "${body.text}"}
  appeals:
    from: {connection: partners, path: /appeals, methods: [POST]}
    sensitive: [body.phone]
    steps:
      - decode: json
      - map: {Appeal: {phone: body.phone, text: body.text}}
    to:
      - {connection: registry, post: /appeals, idempotent: true}
      - {connection: archive, put: "appeals/${message.id}.json"}
  crm.sync:
    from: {connection: partners, path: /crm, methods: [POST]}
    sensitive: [body.phone]
    steps: [{decode: json}, {map: {phone: body.phone, number: body.number}}]
    to: {connection: crm, post: /people}
"""


class Mortal:
    """A partner that is killed and comes back at the same address."""

    def __init__(self) -> None:
        self.status, self.port = 200, 0
        self.taken: list[str] = []
        """ids of what it took, each as often as it came"""
        self._runner: web.AppRunner | None = None

    async def _take(self, request: web.Request) -> web.Response:
        if self.status == 200 and request.method == "POST":
            self.taken.append(request.headers["X-Pipe-Message-Id"])
        return web.json_response({"state": "ok" if self.status == 200 else "no"}, status=self.status)

    async def live(self) -> None:
        """It listens."""
        application = web.Application()
        application.router.add_route("*", "/{rest:.*}", self._take)
        self._runner = web.AppRunner(application, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def die(self) -> None:
        """It does not."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"


@dataclass
class OpsHouse(House):
    """The gateway and its partners."""

    registry: Mortal
    crm: Mortal
    mail: MailServer

    async def hand_in(self, path: str, n: int) -> None:
        """Accepts so many messages, a few at a time."""
        numbers = iter(range(n))

        async def some() -> None:
            for each in numbers:
                body = {"phone": "+380671234567", "text": f"Немає води, будинок {each}", "number": str(each)}
                async with client.post(f"/pipe/{path}", json=body) as answer:
                    assert answer.status == 202

        async with aiohttp.ClientSession(self.address) as client:
            await asyncio.gather(*(some() for _ in range(8)))

    async def mailed(self, subject: str) -> None:
        """Returns once somebody got a mail with this in its subject; at most a minute later."""
        async with asyncio.timeout(60):
            while not any(subject in str(mail["subject"]) for mail in self.mail.mails):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def ids(self, route: str, state: str) -> list[str]:
        """Messages of a route in that state."""
        query = select(message.c.id).join(delivery, delivery.c.message == message.c.seq)
        chosen = query.where(delivery.c.route == route, delivery.c.state == state).order_by(delivery.c.id)
        return await self.gateway.store.read(lambda c: list(c.execute(chosen).scalars()))

    async def settled(self, route: str, state: str, n: int) -> None:
        """Returns once so many deliveries of a route are in that state; at most a minute later."""
        query = select(func.count()).where(delivery.c.route == route, delivery.c.state == state)
        async with asyncio.timeout(60):
            while await self.gateway.store.read(lambda c: c.execute(query).scalar_one()) < n:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


def everything(tx: Unit) -> None:
    """Somebody who may do all of it."""
    made = people.create(tx, CONSOLE, LOGIN, NAME, level=3, email=LOGIN)
    passwords.keep(tx, made.id, QUICK.hash(PASSWORD))
    roles.create(tx, CONSOLE, "all", {"uk": "Чергова інженерка"}, [each.name for each in CATALOGUE])
    grants.give(tx, CONSOLE, "all", "person", made.id, scope="all", level=2, reason="чергування")


@asynccontextmanager
async def ops_house(chromium: Browser, folder: Path) -> AsyncIterator[OpsHouse]:
    """The gateway, its two partners alive."""
    (folder / "box").mkdir()
    registry, crm = Mortal(), Mortal()
    await registry.live()
    await crm.live()
    mail = MailServer()
    await mail.start()
    (folder / "c.yaml").write_text(CONFIG % (registry.url, crm.url, mail.port), encoding="utf-8")
    try:
        async with running(folder / "c.yaml") as gateway:
            gateway.staff.site.passwords = passwords.Passwords(QUICK)
            await gateway.staff.access.change(CONSOLE, everything)
            yield OpsHouse(gateway, chromium, registry, crm, mail)
    finally:
        await registry.die()
        await crm.die()
        await mail.stop()
