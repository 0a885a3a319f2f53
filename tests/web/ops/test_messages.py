"""One message: its story for those who may read it, its content for fewer, and acts for those who may act."""

from __future__ import annotations

import asyncio

import pytest

from pipe.store.schema import audit
from tests.web.ops.conftest import CANARY, ENGINEER, HIDDEN_TEXT, LEAD, NOBODY, READER, Ops, asked

pytestmark = pytest.mark.asyncio(loop_scope="module")
WRONG = "це не число"


async def dead(ops: Ops) -> str:
    """A message whose mapping fails; returns its id once it is dead."""
    letter = await ops.hand_in(WRONG)
    await ops.reaches(letter, "dead")
    return letter


async def test_who_may_not_see_bodies_sees_the_story_and_no_word_of_the_body(ops: Ops) -> None:
    """On every page and operation that names the message; the cause and the line are told all the same."""
    letter = await dead(ops)
    async with ops.site.visitor() as visitor:
        text = await ops.reads(visitor, ENGINEER, f"/ops/messages/{letter}")
        assert "Перетворення не вдалося" in text
        assert "c.yaml:" in text
        everything = [text, await ops.reads(visitor, ENGINEER, f"/ops/messages/{letter}/rehearsal")]
        for path in (f"/messages/{letter}", f"/messages/{letter}/rehearsal"):
            async with visitor.client.get(f"/api/v1{path}") as answer:
                assert answer.status == 200
                everything.append(await answer.text())
        for each in everything:
            for word in (CANARY, HIDDEN_TEXT, WRONG):
                assert word not in each
        for path in ("content", "edit"):
            assert (await visitor.get(f"/ops/messages/{letter}/{path}")).status == 403
            async with visitor.client.get(f"/api/v1/messages/{letter}/{path}") as answer:
                assert answer.status == 403


async def test_who_may_see_bodies_sees_each_step_with_personal_data_masked_and_is_noted(ops: Ops) -> None:
    """The body, the difference, the partner's answer; the telephone is nowhere."""
    letter = await ops.hand_in("7")
    await ops.reaches(letter, "delivered")
    async with ops.site.visitor() as visitor:
        text = await ops.reads(visitor, READER, f"/ops/messages/{letter}/content")
        found = await asked(visitor, f"/messages/{letter}/content")
    assert HIDDEN_TEXT in text
    assert CANARY not in text
    assert "***" in text
    decode, mapped = found["steps"]
    assert (decode["step"], mapped["step"], mapped["place"].startswith("c.yaml:")) == ("decode", "map", True)
    assert '"n": 7' in mapped["after"]
    assert '"n": "7"' in mapped["before"]
    assert CANARY not in str(found)
    noted = audit.select().where(audit.c.target == letter, audit.c.event == "message.viewed")
    assert await ops.gateway.store.read(lambda c: len(c.execute(noted).all())) == 4


async def test_a_right_for_one_company_or_none_opens_no_message(ops: Ops) -> None:
    """Neither the story nor an act, whoever guesses its id."""
    letter = await dead(ops)
    body = {"reason": "без права", "text": "{}", "decision": "retry"}
    takes = {
        "replay": ("reason",),
        "discard": ("reason",),
        "edit": ("reason", "text"),
        "resolve": ("reason", "decision"),
    }
    for login in (LEAD, NOBODY):
        async with ops.site.visitor() as visitor:
            await visitor.sign_in(login)
            for path in ("", "/content", "/rehearsal", "/edit"):
                assert (await visitor.get(f"/ops/messages/{letter}{path}")).status == 403
            await visitor.get("/me")
            assert visitor.last is not None
            token = visitor.last.csrf
            for act, names in takes.items():
                sent = {name: body[name] for name in names}
                headers = {"X-CSRF-Token": token, "Origin": visitor.address}
                async with visitor.client.post(
                    f"/api/v1/messages/{letter}/{act}", json=sent, headers=headers
                ) as answer:
                    assert answer.status == 403, act
    assert await ops.state(letter) == "dead"


async def test_an_edited_message_goes_and_the_original_stays(ops: Ops) -> None:
    """What is masked has to be typed again; then the new one is delivered and the old one is closed."""
    letter = await dead(ops)
    async with ops.site.visitor() as visitor:
        page = await ops.reads(visitor, READER, f"/ops/messages/{letter}/edit")
        assert CANARY not in page
        masked = '{"phone": "***", "text": "x", "n": "8"}'
        again = await visitor.post(f"/ops/messages/{letter}/edit", text=masked, reason="номер")
        assert (again.status, "введіть справжнє значення" in again.text) == (422, True)
        whole = f'{{"phone": "{CANARY}", "text": "x", "n": "8"}}'
        answer = await visitor.post(f"/ops/messages/{letter}/edit", text=whole, reason="номер")
        new = answer.url.path.rpartition("/")[2]
        assert new != letter
        await ops.reaches(new, "delivered")
        assert await ops.state(letter) == "discarded"
        story = await ops.reads(visitor, READER, f"/ops/messages/{letter}")
        assert f'href="/ops/messages/{new}"' in story


async def test_a_dead_letter_is_sent_again_or_discarded_with_a_reason(ops: Ops) -> None:
    """Once; who comes second is told so. Without a reason nothing is discarded."""
    letter = await dead(ops)
    async with ops.site.visitor() as visitor:
        await ops.reads(visitor, ENGINEER, f"/ops/messages/{letter}")
        answer = await visitor.post(f"/ops/messages/{letter}/replay", reason="мапінг виправлено")
        assert answer.status == 200
        await ops.reaches(letter, "dead")
        await ops.reads(visitor, ENGINEER, f"/ops/messages/{letter}")
        assert (await visitor.post(f"/ops/messages/{letter}/discard", reason=" ")).status == 422
        answer = await visitor.post(f"/ops/messages/{letter}/discard", reason="дубль")
        assert "дубль" in answer.text
        assert await ops.state(letter) == "discarded"
        assert (await visitor.post(f"/ops/messages/{letter}/replay")).status == 404


async def test_what_is_uncertain_is_decided_by_who_may(ops: Ops) -> None:
    """The partner takes the message and says nothing: a person says that it arrived."""
    ops.crm.silent = True
    letter = await ops.hand_in("9")
    await ops.reaches(letter, "uncertain")
    ops.crm.silent = False
    async with ops.site.visitor() as visitor:
        text = await ops.reads(visitor, ENGINEER, f"/ops/messages/{letter}")
        assert "Спершу запитайте партнера" in text
        await visitor.post(f"/ops/messages/{letter}/resolve", decision="delivered", reason="є в реєстрі партнера")
    assert await ops.state(letter) == "delivered"


async def test_a_story_of_nothing_is_not_found(ops: Ops) -> None:
    """Also where the id is none at all."""
    async with ops.site.visitor() as visitor:
        await visitor.sign_in(ENGINEER)
        for letter in ("01jxxxxxxxxxxxxxxxxxxxxxxx", "999999", "%00", "'"):
            async with asyncio.timeout(30):
                assert (await visitor.get(f"/ops/messages/{letter}")).status in (400, 404)
