"""A replay of many dead letters is cut off by a kill: what the pages say of it is true, and the rest can still go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.adapters.raw_server import RawServer, reply, serving
from tests.journeys.books import audited
from tests.journeys.conftest import until
from tests.journeys.gateway import Gateway
from tests.journeys.test_one_time_passwords import LOGIN, Browser
from tests.web.ops.conftest import asked, sent
from tests.web.pages.site import PASSWORD, Visitor

pytestmark = [pytest.mark.journey, pytest.mark.timeout(180)]

TEXT = """version: 1
connections:
  callers: {{type: http_server, auth: none}}
  crm: {{type: http_client, url: "http://127.0.0.1:{partner}", concurrency: 8}}
routes:
  people:
    from: {{connection: callers, path: /people}}
    to: {{connection: crm, post: /people, idempotent: true}}
"""
MANY, GROUP = 300, 100
"""letters, and how many go in one commit"""


async def handed_in(address: str) -> None:
    """All of them, a few at a time."""
    waiting = iter(range(MANY))

    async with aiohttp.ClientSession(address) as client:

        async def some() -> None:
            for n in waiting:
                async with client.post("/pipe/people", data=str(n)) as answer:
                    assert answer.status == 202

        await asyncio.gather(*(some() for _ in range(8)))


async def the_work(visitor: Visitor) -> Any:
    """The only piece of work there is."""
    (work,) = (await asked(visitor, "/dead/works"))["works"]
    return work


async def test_a_replay_that_a_kill_cuts_off_says_what_was_done_and_does_the_rest_once(tmp_path: Path) -> None:
    """Some groups went, the others did not: the page after the restart says so, and nobody is sent again twice."""
    crm = RawServer()
    async with serving(crm):
        crm.answers(reply(422))
        (tmp_path / "c.yaml").write_text(TEXT.format(partner=crm.port), encoding="utf-8")
        gateway = Gateway(tmp_path / "data", tmp_path / "c.yaml")
        await gateway.start()
        browser = Browser(gateway.address)
        try:
            await browser.visitor.sign_in("admin", (gateway.data / "first-password").read_text().strip())
            form = {"name": "Леся Кравець", "login": LOGIN, "password": PASSWORD, "repeated": PASSWORD}
            await browser.visitor.post("/login/first", **form)
            await handed_in(gateway.address)

            async def all_dead() -> bool:
                return bool((await asked(browser.visitor, "/dead"))["total"] == MANY)

            await until(all_dead)
            crm.answers(reply(200))
            refused = len(crm.requests)
            (group,) = (await asked(browser.visitor, "/dead"))["groups"]
            status, begun = await sent(
                browser.visitor, "/dead/replay", groups=[group["key"]], per_second=GROUP, reason="CRM полагоджено"
            )
            assert (status, begun["total"]) == (200, MANY)

            async def some_done() -> bool:
                return bool((await the_work(browser.visitor))["done"] >= GROUP)

            await until(some_done)
            await gateway.kill9()
            await gateway.start()
            browser = await browser.moved(gateway.address)
            cut = await the_work(browser.visitor)
            assert (cut["waits"], cut["ended_at"], cut["reason"]) == (True, None, "CRM полагоджено")
            assert cut["done"] == cut["acted"] == len(audited(gateway.data)) < MANY
            assert (await asked(browser.visitor, "/dead"))["total"] == MANY - cut["done"]
            page = (await browser.visitor.get("/ops/dead")).text
            assert f"Продовжити решту: {MANY - cut['done']}" in page
            await browser.visitor.post(f"/ops/dead/works/{cut['id']}/resume")
            assert (await sent(browser.visitor, f"/dead/works/{cut['id']}/resume"))[0] == 409

            async def arrived() -> bool:
                work = await the_work(browser.visitor)
                return bool(work["ended_at"] and work["outcome"] == {"delivered": MANY})

            await until(arrived)
            over = await the_work(browser.visitor)
            assert (over["done"], over["acted"], over["waits"], over["resumed_by"]) == (
                MANY, MANY, False, f"person/{LOGIN}",
            )  # fmt: skip
        finally:
            await browser.close()
            await gateway.close()
        replayed = audited(gateway.data)
        assert len(replayed) == len(set(replayed)) == MANY
        assert {request.body for request in crm.requests[refused:]} == {str(n).encode() for n in range(MANY)}
