"""A gateway whose pages are asked over HTTP, without a browser; people and keys are made straight in its store."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from argon2 import PasswordHasher
from yarl import URL

from flows.access import grants, people, roles
from flows.access.changes import Actor, Unit
from flows.signin import api_keys, passwords
from pipe.app import Gateway
from pipe.store.transaction import Tx
from tests.pipe.running import running

CONFIG = """
version: 1
connections:
  box: {type: file_folder, path: box}
routes:
  copies: {from: {connection: box, get: "*.in"}, to: {connection: box, put: "out/${message.id}"}}
"""
CONSOLE = Actor("console")
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""hashes that cost nothing: what they protect in a test is not worth the time"""
PASSWORD = "зелений чайник на вікні"
CSRF = re.compile(r'name="_csrf" value="([0-9a-f]+)"')


@dataclass
class Answer:
    """What came back."""

    status: int
    text: str
    headers: aiohttp.typedefs.LooseHeaders
    url: URL

    @property
    def csrf(self) -> str:
        """The token of the page's forms."""
        found = CSRF.search(self.text)
        assert found, self.text[:2000]
        return found[1]


@dataclass
class Visitor:
    """A browser without a window: keeps cookies, follows redirects, sends forms as the page wants them."""

    address: str
    client: aiohttp.ClientSession
    last: Answer | None = field(default=None)

    async def get(self, path: str, **headers: str) -> Answer:
        """The page."""
        return await self._take(self.client.get(path, headers={"Accept": "text/html", **headers}))

    async def post(self, path: str, **values: str) -> Answer:
        """Sends a form with the token of the last page, and follows where it leads."""
        assert self.last is not None
        headers = {"Accept": "text/html", "Origin": self.address}
        return await self._take(self.client.post(path, data={"_csrf": self.last.csrf, **values}, headers=headers))

    async def sign_in(self, login: str, password: str = PASSWORD, to: str = "") -> Answer:
        """Fills in the first step."""
        await self.get("/login")
        return await self.post("/login", login=login, password=password, to=to)

    async def _take(self, asked: object) -> Answer:
        async with asked as response:  # type: ignore[attr-defined]
            self.last = Answer(response.status, await response.text(), response.headers, response.url)
            return self.last


@dataclass
class Pages:
    """The gateway."""

    gateway: Gateway

    @property
    def address(self) -> str:
        """Where its pages are."""
        return self.gateway.addresses()["default"]

    @asynccontextmanager
    async def visitor(self) -> AsyncIterator[Visitor]:
        """A browser without a window."""
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(self.address))
        async with aiohttp.ClientSession(self.address, cookie_jar=jar) as client:
            yield Visitor(self.address, client)

    async def person(self, login: str, *permissions: str, kind: str = "person", name: str = "Ірина Коваль") -> str:
        """Somebody with these permissions everywhere, and the password; returns the id."""
        hashed = QUICK.hash(PASSWORD)

        def make(tx: Unit) -> str:
            made = people.create(tx, CONSOLE, login, name, kind=kind, level=3)  # type: ignore[arg-type]
            if kind == "person":
                passwords.keep(tx, made.id, hashed)
            if permissions:
                role = f"r-{made.id}"
                roles.create(tx, CONSOLE, role, {"uk": "роль"}, permissions)
                grants.give(tx, CONSOLE, role, "person", made.id, scope="all", level=2, reason="test")
            return made.id

        return await self.gateway.staff.access.change(CONSOLE, make)

    async def key(self, owner: str, *permissions: str) -> str:
        """An API key of a service account."""

        def issue(tx: Tx) -> str:
            return api_keys.issue(tx, owner, name="test", permissions=permissions, lasts=3600, by="console")[1]

        return await self.gateway.store.write(issue)


@asynccontextmanager
async def pages(folder: Path, more: str = "", config: str = CONFIG, store: str | None = None) -> AsyncIterator[Pages]:
    """A running gateway with cheap hashes; its rows are embedded, or in `store`."""
    (folder / "box").mkdir()
    (folder / "c.yaml").write_text(config + more, encoding="utf-8")
    async with running(folder / "c.yaml", store) as gateway:
        gateway.staff.site.passwords = passwords.Passwords(QUICK)
        yield Pages(gateway)
