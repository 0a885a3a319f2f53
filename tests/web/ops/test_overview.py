"""The first page of operations: what it says, to whom, and that it says so in time."""

from __future__ import annotations

import asyncio

import pytest

from pipe.operations import switching
from tests.web.ops.conftest import ENGINEER, LEAD, NOBODY, Ops

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_connection_that_is_paused_is_loud_with_who_and_why(ops: Ops) -> None:
    """On the page and in the API; the verdict, the books and the picture stand beside it."""
    host = ops.gateway._host("О. Мельник", lambda done, all_, word: None)
    await switching.pause(host, "box", "роботи в партнера")
    async with ops.site.visitor() as visitor:
        text = await ops.reads(visitor, ENGINEER, "/ops")
        assert "роботи в партнера" in text
        assert "О. Мельник" in text
        assert "Сходиться, різниця 0" in text
        assert 'href="/ops/routes/appeals"' in text
        async with visitor.client.get("/api/v1/ops") as answer:
            found = await answer.json()
        tile = next(each for each in found["connections"] if each["connection"] == "box")
        assert (tile["state"], tile["by"], tile["why"]) == ("paused", "О. Мельник", "роботи в партнера")
        assert found["unaccounted"] == 0
        await switching.resume(host, "box")


async def test_a_right_for_one_company_opens_nothing_of_the_gateway(ops: Ops) -> None:
    """Neither page nor API nor stream; and the menu does not lead there."""
    for login in (LEAD, NOBODY):
        async with ops.site.visitor() as visitor:
            home = await visitor.sign_in(login)
            assert 'href="/ops"' not in home.text
            assert (await visitor.get("/ops")).status == 403
            async with visitor.client.get("/api/v1/ops") as answer:
                assert answer.status == 403
            async with visitor.client.get("/feed?topics=ops") as answer:
                assert answer.status == 403


async def test_a_connection_that_dies_is_told_to_open_pages_at_once(ops: Ops) -> None:
    """The stream of a page brings the event, and the page then shows why."""
    async with ops.site.visitor() as visitor:
        await visitor.sign_in(ENGINEER)
        async with asyncio.timeout(60), visitor.client.get("/feed?topics=ops") as stream:
            connection = ops.gateway.engine.connections["crm"]
            connection._close(30.0, "down", "127.0.0.1:9 does not take the connection", "PIPE-2001")
            async for line in stream.content:
                if line.startswith(b"event: ops"):
                    text = (await visitor.get("/ops")).text
                    if "Партнер недосяжний" in text:
                        break
        assert "1 з’єднання не працює." in text
        connection._good(trial=True)
