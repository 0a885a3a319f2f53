"""The log of exchanges: found by whatever is known, page by page, and as it moves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipe.errors import BadRequest, PeerFailed, Refused
from tests.pipe.house import House
from tests.pipe.operations.hosts import audited, begin, do

ROUTES = """
connections:
  in: {type: memory_source}
  other: {type: memory_source}
  crm: {type: memory_sink, breaker: false}
  archive: {type: memory_sink, breaker: false}
routes:
  appeals:
    from: {connection: in}
    order_by: body.who
    subject: body.who
    sensitive: [body.name]
    retry: {attempts: 2, first: 1h, max: 1h, within: 2h}
    steps: [{decode: json}]
    to:
      - {connection: crm, put: x}
      - {connection: archive, put: y}
  visits:
    from: {connection: other}
    to: {connection: crm, put: x}
"""
NAME = "Олена Співуча"


async def found(house: House, **sought: Any) -> list[tuple[str, str, str]]:
    """Route, target and state of what fits, the newest first."""
    rows = (await do(house, "exchanges", sought=sought))["exchanges"]
    return [(row["route"], row["station"], row["state"]) for row in rows]


async def traffic(house: House) -> str:
    """An appeal that one partner refuses, then a visit a minute later; returns the appeal's id."""
    await begin(house, ROUTES)
    house.partner("crm").script = [Refused(f"who is {NAME}?")]
    body = json.dumps({"who": "anna", "name": NAME})
    accepted = await house.put(body, "appeals", caller="mfc", content_type="application/json")
    await house.done(2)
    await house.pass_time(60)
    await house.put("a visit", "visits")
    await house.done(3)
    return accepted.id


async def test_an_exchange_is_found_by_whatever_is_known_of_it(house: House) -> None:
    """Each filter alone, and several together: all must fit."""
    appeal = await traffic(house)
    refused, stored, visit = (
        ("appeals", "crm", "dead"),
        ("appeals", "archive", "delivered"),
        ("visits", "crm", "delivered"),
    )
    now = house.clock.now()
    code = (await do(house, "exchanges", sought={"outcome": "dead"}))["exchanges"][0]["code"]
    assert await found(house) == [visit, stored, refused]
    expected: list[tuple[dict[str, Any], list[tuple[str, str, str]]]] = [
        ({"route": "visits"}, [visit]),
        ({"connection": "crm"}, [visit, refused]),
        ({"connection": "in"}, [stored, refused]),
        ({"connection": "nobody"}, []),
        ({"outcome": "ok"}, [visit, stored]),
        ({"outcome": "failed"}, [refused]),
        ({"outcome": "pending"}, []),
        ({"outcome": "dead"}, [refused]),
        ({"code": code}, [refused]),
        ({"id": appeal}, [stored, refused]),
        ({"key": "anna"}, [stored, refused]),
        ({"key": "borys"}, []),
        ({"subject": "anna"}, [stored, refused]),
        ({"since": now - 30}, [visit]),
        ({"until": now - 30}, [stored, refused]),
        ({"connection": "in", "outcome": "ok", "key": "anna"}, [stored]),
    ]
    for sought, rows in expected:
        assert (sought, await found(house, **sought)) == (sought, rows)
    for nonsense in ({"outcome": "lost"}, {"text": "?!"}, {"colour": "red"}):
        with pytest.raises(BadRequest):
            await found(house, **nonsense)


async def test_a_row_says_from_where_to_where_and_hides_what_is_sensitive(house: House) -> None:
    """Bodies only where they are asked for, masked; who asked stands in the audit, whose data it was does not."""
    await traffic(house)
    [row] = (await do(house, "exchanges", sought={"outcome": "dead", "subject": "anna"}, bodies=True))["exchanges"]
    assert (row["from"], row["station"], row["caller"]) == ("in", "crm", "mfc")
    assert (row["attempts"], row["seconds"], row["body_kept"]) == (1, 0.0, True)
    assert json.loads(row["body"]) == {"who": "anna", "name": "***"}
    assert NAME not in json.dumps(row, ensure_ascii=False)
    assert "who is ***?" in row["text"]
    bare = (await do(house, "exchanges"))["exchanges"]
    assert not any("body" in each for each in bare)
    [noted] = await audited(house, "exchanges.searched")
    assert json.loads(noted["after"]) == {"outcome": "dead", "subject": "***", "bodies": True}


async def test_pages_follow_one_another(house: House) -> None:
    """None is missed or told twice, though others come meanwhile."""
    await begin(house, ROUTES)
    for number in range(5):
        await house.put(f"{number}", "visits")
    await house.done(5)
    seen: list[int] = []
    before = None
    for _ in range(3):
        page = await do(house, "exchanges", before=before, limit=2)
        seen += [row["delivery"] for row in page["exchanges"]]
        before = page["next"]
        await house.put("meanwhile", "visits")
    assert (seen, before) == ([5, 4, 3, 2, 1], None)


async def test_news_tell_what_came_what_is_tried_and_what_ended(house: House) -> None:
    """From now on, each change; what does not fit is left out."""
    await begin(house, ROUTES)
    await house.put("before", "visits")
    await house.done(1)
    marks = await do(house, "exchanges.news")
    assert marks.pop("exchanges") == []
    house.partner("crm").script = [PeerFailed("busy")]
    await house.put(json.dumps({"who": "anna"}), "appeals")
    await house.reaches("delivered", "retry", "delivered")

    async def news(**sought: Any) -> list[tuple[str, str, int]]:
        told = await do(house, "exchanges.news", sought=sought, after=marks["after"], ended=marks["ended"])
        marks.update(after=told["after"], ended=told["ended"])
        return [(row["station"], row["state"], row["attempts"]) for row in told["exchanges"] if row["delivery"] > 1]

    assert await news(connection="crm") == [("crm", "retry", 1)]
    await house.pass_time(3600)
    await house.reaches("delivered", "delivered", "delivered")
    assert ("crm", "delivered", 2) in await news()
