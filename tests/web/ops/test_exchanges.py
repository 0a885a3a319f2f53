"""The log of exchanges on a page: found, paged, taken out, and only as far as rights go."""

from __future__ import annotations

import csv
import io

import orjson
import pytest
from sqlalchemy import text

from pipe.indexing import Indexing
from tests.journeys.conftest import until
from tests.web.ops.conftest import CANARY, ENGINEER, HIDDEN_TEXT, LEAD, NOBODY, READER, Ops

pytestmark = pytest.mark.asyncio(loop_scope="module")
EXPORTER = "exporter@ukc.ua"


async def quiet(ops: Ops) -> None:
    """Nothing is on its way."""
    pending = text("SELECT count(*) FROM delivery WHERE done_at IS NULL")

    async def is_quiet() -> bool:
        return not await ops.gateway.store.read(lambda connection: connection.execute(pending).scalar_one())

    await until(is_quiet, 60)


async def test_exchanges_are_found_and_bodies_are_for_those_who_may(ops: Ops) -> None:
    """Filters on the page and in the API; the words of bodies, and an export with bodies, need rights of their own."""
    await ops.hand_in()
    dead = await ops.hand_in("none")
    await ops.crm.got(lambda bodies: len(bodies) >= 1)
    await quiet(ops)
    while await Indexing(ops.gateway.engine).once():
        pass
    await ops.site.person(EXPORTER, "gateway.read", "message.read", "message.read_body", "message.export")
    async with ops.site.visitor() as visitor:
        page = await ops.reads(visitor, ENGINEER, "/ops/exchanges?outcome=failed&connection=crm")
        assert f"/ops/messages/{dead}" in page
        assert page.count('<th scope="row"') == 1
        assert 'name="q"' not in page
        assert "/ops/exchanges.csv" not in page
        assert (await visitor.get("/ops/exchanges?q=канаркової")).status == 403
        assert (await visitor.get("/ops/exchanges.csv")).status == 403
        assert (await visitor.get("/ops/exchanges?outcome=lost")).status == 400
    async with ops.site.visitor() as visitor:
        page = await ops.reads(visitor, READER, "/ops/exchanges?q=канаркової")
        assert page.count('<th scope="row"') == 2
        assert (CANARY in page, HIDDEN_TEXT in page) == (False, False)
        assert "Нічого не знайшли" in await ops.reads(visitor, READER, "/ops/exchanges?q=380671112233")
    async with ops.site.visitor() as visitor:
        await visitor.sign_in(EXPORTER)
        async with visitor.client.get("/api/v1/exchanges?route=appeals") as answer:
            found = await answer.json()
        assert [row["state"] for row in found["rows"]] == ["dead", "delivered"]
        table = (await visitor.get("/ops/exchanges.csv?outcome=failed&bodies=true")).text
        lines = (await visitor.get("/ops/exchanges.jsonl")).text
    [row] = csv.DictReader(io.StringIO(table))
    assert (row["id"], HIDDEN_TEXT in row["body"], CANARY in table) == (dead, True, False)
    assert [orjson.loads(each)["state"] for each in lines.splitlines()] == ["dead", "delivered"]
    for login in (LEAD, NOBODY):
        async with ops.site.visitor() as visitor:
            await visitor.sign_in(login)
            assert (await visitor.get("/ops/exchanges")).status == 403
