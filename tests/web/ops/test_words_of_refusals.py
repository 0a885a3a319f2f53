"""What is refused and why something is not well stands on the pages in the reader's language."""

from __future__ import annotations

import pytest

from pipe.contract import Health
from pipe.errors import Unreachable
from tests.web.ops.conftest import ENGINEER, Ops

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_refused_replay_says_why_in_ukrainian_and_in_english(ops: Ops) -> None:
    """A letter whose target is not there now: the page says so beside the form."""
    dead = await ops.hand_in("none")
    await ops.reaches(dead, "dead")
    async with ops.site.visitor() as visitor:
        for language, words in (
            ("uk", "у маршруту appeals зараз немає crm"),
            ("en", "the route appeals has no crm now"),
        ):
            await ops.reads(visitor, ENGINEER, f"/ops/messages/{dead}")
            await visitor.post("/look", language=language, back=f"/ops/messages/{dead}")
            station = ops.gateway.engine.stations.pop(("appeals", "crm"))
            try:
                answer = await visitor.post(f"/ops/messages/{dead}/replay")
            finally:
                ops.gateway.engine.stations["appeals", "crm"] = station
            assert words in answer.text


async def test_a_connection_that_is_down_says_why_and_what_helps(ops: Ops) -> None:
    """In Ukrainian, with what exactly happened in English below; the history of its states says the same."""
    crm = ops.gateway.engine.connections["crm"]
    crm.note(Health("down", "crm refused it", Unreachable.code))
    try:
        async with ops.site.visitor() as visitor:
            page = await ops.reads(visitor, ENGINEER, "/ops/connections/crm")
            assert "Партнер недосяжний" in page
            assert "Перевірте адресу і шлях мережею" in page
            assert '<p class="faint small" lang="en">crm refused it</p>' in page
    finally:
        crm.note(Health("up"))
