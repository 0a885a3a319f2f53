"""Dead letters: alike ones together, many at once with progress that tells the truth, and nothing without the right."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.web.ops.conftest import CANARY, ENGINEER, HIDDEN_TEXT, LEAD, NOBODY, Ops, asked, sent
from tests.web.pages.site import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")
WRONG = "не число"


async def over(visitor: Visitor, id_of: str) -> Any:
    """The piece of work once it has ended."""
    async with asyncio.timeout(60):
        while True:
            (work,) = [each for each in (await asked(visitor, "/dead/works"))["works"] if each["id"] == id_of]
            assert work["done"] <= work["total"]
            if work["ended_at"] is not None:
                return work
            await asyncio.sleep(0.05)


async def dead(ops: Ops, n: int) -> list[str]:
    """So many messages whose mapping fails."""
    made = [await ops.hand_in(WRONG) for _ in range(n)]
    for each in made:
        await ops.reaches(each, "dead")
    return made


async def test_alike_ones_are_one_group_and_quote_no_body(ops: Ops) -> None:
    """By route, target, class, code and line; filters narrow them."""
    made = await dead(ops, 3)
    async with ops.site.visitor() as visitor:
        text = await ops.reads(visitor, ENGINEER, "/ops/dead")
        found = await asked(visitor, "/dead")
        (group,) = [each for each in found["groups"] if each["code"] == "PIPE-3005"]
        assert (group["n"], group["example"]) == (3, made[-1])
        assert "Помилка перетворення" in text
        listed = await ops.reads(visitor, ENGINEER, "/ops/dead/letters?route=appeals&code=PIPE-3005")
        assert all(each in listed for each in made)
        for word in (CANARY, HIDDEN_TEXT, WRONG):
            assert word not in text + listed
        for query, n in (("route=copies", 0), (f"q={made[0]}", 1), ("kind=refused", 0), ("period=day", 3)):
            assert (await asked(visitor, f"/dead?{query}"))["total"] == n, query
        assert "Таких немає" in await ops.reads(visitor, ENGINEER, "/ops/dead?kind=refused")


async def test_many_are_rehearsed_replayed_and_discarded_with_progress(ops: Ops) -> None:
    """By the page's form: what would pass is found first; the count afterwards is what the store says."""
    made = await dead(ops, 2)
    async with ops.site.visitor() as visitor:
        page = await ops.reads(visitor, ENGINEER, "/ops/dead")
        keys = re.findall(r'name="groups\[\]" value="([^"]+)"', page)
        key = keys[0].replace("&#34;", '"').replace("&quot;", '"')
        answer = await visitor.post("/ops/dead/rehearse", **{"groups[]": key})
        assert "Розпочато" in answer.text
        work = (await asked(visitor, "/dead/works"))["works"][0]
        work = await over(visitor, work["id"])
        assert (work["verb"], work["passing"], work["failing"]) == ("rehearse", 0, work["total"])
        assert work["why"][0]["code"] == "PIPE-3005"
        status, begun = await sent(visitor, "/dead/replay", groups=[key], reason="мапінг", per_second=1000)
        assert status == 200
        work = await over(visitor, begun["id"])
        assert (work["done"], work["acted"]) == (work["total"], work["total"])
        for each in made:
            await ops.reaches(each, "dead")
        (work,) = [each for each in (await asked(visitor, "/dead/works"))["works"] if each["id"] == begun["id"]]
        assert work["outcome"] == {"dead": work["total"]}
        assert "знову не доставлено" in await ops.reads(visitor, ENGINEER, "/ops/dead")
        status, _ = await sent(visitor, "/dead/discard", groups=[key])
        assert status in (409, 422)
        status, begun = await sent(visitor, "/dead/discard", groups=[key], reason="перевірка")
        assert (await over(visitor, begun["id"]))["acted"] == work["total"]
        assert {await ops.state(each) for each in made} == {"discarded"}
        status, wrong = await sent(visitor, "/dead/replay", groups=[key])
        assert (status, "no longer a dead letter" in wrong["detail"]) == (409, True)


async def test_a_replay_is_stopped_and_what_is_done_stays(ops: Ops) -> None:
    """One a second: after the stop no more go."""
    await dead(ops, 4)
    async with ops.site.visitor() as visitor:
        await ops.reads(visitor, ENGINEER, "/ops/dead")
        (group,) = [each for each in (await asked(visitor, "/dead"))["groups"] if each["code"] == "PIPE-3005"]
        _, begun = await sent(visitor, "/dead/replay", groups=[group["key"]], per_second=1)
        status, stopped = await sent(visitor, f"/dead/works/{begun['id']}/stop")
        assert (status, stopped["stopped"]) == (200, True)
        work = await over(visitor, begun["id"])
        assert work["done"] < work["total"]
        assert (await sent(visitor, f"/dead/works/{begun['id']}/drop"))[0] == 204
        assert begun["id"] not in {each["id"] for each in (await asked(visitor, "/dead/works"))["works"]}


async def test_nothing_is_shown_or_done_without_the_right_for_all_of_it(ops: Ops) -> None:
    """A right for one company, or none: neither list nor act; who may only look does not act."""
    (made,) = await dead(ops, 1)
    await ops.site.person("looks@ukc.ua", "gateway.read", "dead.read")
    acts = {"rehearse": {}, "replay": {}, "discard": {"reason": "без права"}}
    for login in (LEAD, NOBODY, "looks@ukc.ua"):
        looks = login.startswith("looks")
        async with ops.site.visitor() as visitor:
            await visitor.sign_in(login)
            for path in ("/ops/dead", "/ops/dead/letters", "/ops/dead/works", "/ops/uncertain"):
                assert (await visitor.get(path)).status == (200 if looks else 403), path
            for act, more in acts.items():
                status, _ = await sent(visitor, f"/dead/{act}", deliveries=[1], **more)
                assert status in ((403,) if not looks or act != "rehearse" else (200, 409)), act
    assert await ops.state(made) == "dead"


@pytest.mark.parametrize("key", ["", "[]", "{}", '["a"]', "null", "[1,2,3,4,5]", '["a","b","c","d",{"e":1}]'])
async def test_a_key_that_is_none_chooses_nothing(ops: Ops, key: str) -> None:
    """It is refused with words; nothing is done."""
    async with ops.site.visitor() as visitor:
        await visitor.sign_in(ENGINEER)
        status, wrong = await sent(visitor, "/dead/replay", groups=[key])
        assert (status, bool(wrong["errors"])) == (409, True)
