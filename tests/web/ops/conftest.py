"""A gateway with a partner that does as it is told, and people with and without rights."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio
from sqlalchemy import select

from flows.access import grants, organisation, people, roles
from flows.access.changes import Unit
from pipe.app import Gateway
from pipe.store.schema import delivery, message
from tests.pipe.running import Partner
from tests.web.pages.site import CONSOLE, Pages, Visitor, pages

CANARY = "+380671112233"
"""a telephone that only those may see who may see bodies, and they only masked"""
HIDDEN_TEXT = "Немає води на вулиці Канаркової"
"""of a body, not sensitive by itself: only for those who may see bodies"""
ENGINEER, READER, LEAD, NOBODY = "engineer@ukc.ua", "reader@ukc.ua", "lead@ukc.ua", "nobody@ukc.ua"
RIGHTS = (
    "gateway.read", "gateway.diagnose", "connection.read", "connection.switch", "route.read", "route.switch",
    "ledger.read", "message.read", "dead.read", "dead.replay", "dead.edit", "dead.discard", "alert.read", "alert.edit",
)  # fmt: skip
CONFIG = """
version: 1
connections:
  box: {type: file_folder, path: box}
  partners: {type: http_server, auth: none}
  crm:
    type: http_client
    url: "%s"
    reconnect: {first: 1s, max: 2s}
    timeout: {total: 2s}
    drift: {samples: {every: 1ms, learn: 2, sure: 1}}
routes:
  appeals:
    from: {connection: partners, path: /appeals, methods: [POST]}
    sensitive: [body.phone]
    steps:
      - decode: json
      - map: {phone: body.phone, text: body.text, n: "to_int(body.n)"}
    to: {connection: crm, post: /people, dead_when: "body.state == 'never'"}
  copies: {from: {connection: box, get: "*.in"}, to: {connection: box, put: "out/${message.id}"}}
"""


@dataclass
class Ops:
    """What the tests have."""

    site: Pages
    crm: Partner
    folder: Path

    @property
    def gateway(self) -> Gateway:
        """It."""
        return self.site.gateway

    async def hand_in(self, n: Any = "1") -> str:
        """Accepts a message; one whose number is none is dead."""
        async with self.site.visitor() as visitor:
            body = {"phone": CANARY, "text": HIDDEN_TEXT, "n": n}
            async with visitor.client.post("/pipe/appeals", json=body) as answer:
                assert answer.status == 202
                return str((await answer.json())["id"])

    async def state(self, id: str) -> str:
        """The state of the message's delivery."""
        query = select(delivery.c.state).join(message, message.c.seq == delivery.c.message).where(message.c.id == id)
        return str(await self.gateway.store.read(lambda c: c.execute(query).scalar_one()))

    async def reaches(self, id: str, state: str) -> None:
        """Returns once the message's delivery is in that state, at most a minute later."""
        async with asyncio.timeout(60):
            while await self.state(id) != state:  # noqa: ASYNC110 — the store tells nobody who waits for one message
                await asyncio.sleep(0.02)

    async def reads(self, visitor: Visitor, login: str, path: str) -> str:
        """The page as somebody sees it."""
        if visitor.last is None:
            await visitor.sign_in(login)
        answer = await visitor.get(path)
        assert answer.status == 200, answer.text
        return answer.text


def lead(tx: Unit) -> None:
    """Somebody who may do everything, in one company only."""
    organisation.add_company(tx, CONSOLE, "ukc", "2.1", {"uk": "Гаряча лінія"})
    roles.create(tx, CONSOLE, "all-of-one", {"uk": "роль"}, (*RIGHTS, "message.read_body"))
    made = people.called(tx, LEAD)
    grants.give(tx, CONSOLE, "all-of-one", "person", made.id, scope="company", scope_id="ukc", level=2, reason="test")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ops(tmp_path_factory: Any) -> AsyncIterator[Ops]:
    """One for all tests of a file."""
    folder = tmp_path_factory.mktemp("ops")
    async with Partner() as crm, pages(folder, config=CONFIG % crm.url) as site:
        await site.person(ENGINEER, *RIGHTS)
        await site.person(READER, *RIGHTS, "message.read_body")
        await site.person(LEAD)
        await site.person(NOBODY)
        await site.gateway.staff.access.change(CONSOLE, lead)
        yield Ops(site, crm, folder)


async def asked(visitor: Visitor, path: str) -> Any:
    """JSON of the API."""
    async with visitor.client.get(f"/api/v1{path}") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def sent(visitor: Visitor, path: str, **body: Any) -> tuple[int, Any]:
    """A change by the API, as a page's script would make it."""
    await visitor.get("/me")
    assert visitor.last is not None
    headers = {"X-CSRF-Token": visitor.last.csrf, "Origin": visitor.address}
    async with visitor.client.post(f"/api/v1{path}", json=body, headers=headers) as answer:
        return answer.status, await answer.json() if answer.content_type.endswith("json") else None
