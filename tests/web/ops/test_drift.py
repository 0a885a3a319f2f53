"""The page of a connection says what of its data has changed and who reads it, and takes that it is right so."""

from __future__ import annotations

import asyncio

import pytest

from tests.web.ops.conftest import ENGINEER, LEAD, Ops, asked, sent

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def answers(ops: Ops, answer: dict[str, object]) -> None:
    """The partner answers a message so, and that was learned."""
    ops.crm.answer, before = answer, _learned(ops)
    await ops.reaches(await ops.hand_in("1"), "delivered")
    async with asyncio.timeout(60):
        while _learned(ops) == before:  # noqa: ASYNC110 — who learns tells nobody of a single message
            await asyncio.sleep(0.02)


def _learned(ops: Ops) -> int:
    return sum(each.shape.n for each in ops.gateway.drift.samples("crm"))


async def test_a_change_is_shown_with_its_readers_and_accepted_with_a_reason(ops: Ops) -> None:
    """In the reader's language; not without the right, nor twice; the audit says who and why."""
    for _ in range(3):
        await answers(ops, {"state": "ok"})
    async with ops.site.visitor() as visitor, ops.site.visitor() as reader:
        page = await ops.reads(visitor, ENGINEER, "/ops/connections/crm")
        assert "відповіді crm у маршруті appeals" in page
        assert "Без змін" in page
        for _ in range(3):
            await answers(ops, {"status": "Коваленко"})
        page = await ops.reads(visitor, ENGINEER, "/ops/connections/crm")
        assert "поля body.state більше немає" in page
        assert "routes.appeals.to crm" in page
        assert "Коваленко" not in page
        await reader.sign_in(LEAD)
        assert (await sent(reader, "/connections/crm/drift", reason="без права"))[0] == 403
        found = await asked(visitor, "/connections/crm")
        [change, new] = [change for each in found["watched"] for change in each["changes"]]
        assert (found["drift"], change["path"], change["how"]) == ("changed", "body.state", "gone")
        assert (new["path"], new["how"], change["uses"][0]["place"]) == ("body.status", "new", "c.yaml:19")
        assert (await visitor.post("/ops/connections/crm/drift", reason=" ")).status == 422
        await ops.reads(visitor, ENGINEER, "/ops/connections/crm")
        answer = await visitor.post("/ops/connections/crm/drift", reason="партнер попередив")
        assert "зміну прийнято" in answer.text
        assert "партнер попередив" in answer.text
        assert (await asked(visitor, "/connections/crm"))["drift"] == "same"
        assert (await sent(visitor, "/connections/crm/drift", reason="ще раз"))[0] == 409
