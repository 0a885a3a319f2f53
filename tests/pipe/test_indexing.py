"""The index of words follows the traffic, holds what people may see, and forgets what the journal forgets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text, update

from pipe import indexing
from pipe.errors import StoreUnavailable
from pipe.indexing import Indexing
from pipe.store import full_text, schema
from pipe.upkeep import Upkeep
from tests.pipe.house import House
from tests.pipe.operations.hosts import begin, do

ROUTES = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
retention: {bodies: 1d}
routes:
  open:
    from: {connection: in}
    subject: body.who
    steps: [{decode: json}]
    to: {connection: out, put: x}
  closed:
    from: {connection: in}
    sensitive: [body.name]
    steps: [{decode: json}]
    to: {connection: out, put: x}
"""


async def found(house: House, words: str) -> list[str]:
    """The bodies of what has these words, the newest first."""
    told = await do(house, "exchanges", sought={"text": words}, bodies=True)
    return [row["body"] for row in told["exchanges"]]


async def indexed(house: House) -> Indexing:
    """All that came until now is looked at."""
    work = Indexing(house.engine)
    while await work.once(2):
        pass
    return work


async def test_what_came_is_found_by_its_words(house: House) -> None:
    """All words must be there, side by side where they are in quotes; what is not indexed yet is counted."""
    await begin(house, ROUTES)
    lift, road = json.dumps({"text": "Зламаний ліфт у під’їзді"}), '{"text": "\\u042fма на дорозі, ліфт"}'
    await house.put(lift, "open")
    await house.put(road, "open")
    await house.done(2)
    with pytest.raises(StoreUnavailable, match="no message is indexed yet"):
        await found(house, "ліфт")
    await indexed(house)
    assert await found(house, "ЛІФТ") == [road, lift]
    assert await found(house, "зламан*") == [lift]
    assert await found(house, '"ліфт у під"') == [lift]
    assert await found(house, '"ліфт зламаний"') == []
    assert await found(house, "яма") == [road]
    assert await found(house, "яма зламаний") == []
    await house.put(lift, "open")
    told = await do(house, "exchanges", sought={"text": "ліфт"})
    assert (len(told["exchanges"]), told["unseen"]) == (2, 1)


async def test_sensitive_values_are_not_in_it(house: House) -> None:
    """Neither as they are nor in part; the rest of the text is found. Where no value was found, nothing is."""
    await begin(house, ROUTES)
    await house.put(json.dumps({"name": "Олена Співуча", "text": "Олена Співуча, про воду"}), "closed")
    await house.put(json.dumps({"nome": "Олена Співуча", "text": "про газ"}), "closed")
    await house.done(2)
    await indexed(house)
    shown = await found(house, "воду")
    assert [json.loads(body) for body in shown] == [{"name": "***", "text": "***, про воду"}]
    for words in ("співуча", "олена", "газ", '"олена співуча"'):
        assert await found(house, words) == []


async def test_what_the_journal_no_longer_keeps_is_not_found(house: House, clock: Any) -> None:
    """Retention, an erasure, and whatever a crash left behind."""
    await begin(house, ROUTES)
    for who, word in (("anna", "старе"), ("anna", "вода"), ("borys", "вода")):
        await house.put(json.dumps({"who": who, "text": word}), "open")
        await house.done()
        if word == "старе":
            await house.pass_time(2 * 86400)
    work = await indexed(house)
    await _upkept(house)
    assert await found(house, "старе") == []
    await do(house, "erase", subject="anna", reason="asked")
    assert [json.loads(body)["who"] for body in await found(house, "вода")] == ["borys"]
    assert ("anna" in await words_on_disk(house), "borys" in await words_on_disk(house)) == (False, True)
    gone = update(schema.message).values(kind="gone", body=b"", envelope=b"{}")
    await house.store.write(lambda tx: tx.execute(gone))
    assert await asyncio.to_thread(house.store.full_text.tidy) == 1
    assert await found(house, "вода") == []
    assert await work.once() == 0


async def _upkept(house: House) -> None:
    tidying = asyncio.create_task(Upkeep(house.engine).once())
    while not tidying.done():
        await house.pass_time(1)


async def words_on_disk(house: House) -> str:
    """All that the index holds."""
    if house.url is None:
        house.store.full_text.close()
        return "".join(path.read_bytes().decode("utf-8", "replace") for path in house.data.glob("search.db*"))
    return "\n".join(str(dict(row)) for row in await house.rows(text("SELECT * FROM body_words")))


async def test_few_large_bodies_are_taken_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as lie well in memory, and one at least."""
    monkeypatch.setattr(indexing, "BYTES", 2500)
    await begin(house, ROUTES)
    for size in (1000, 1000, 1000, 9000, 10):
        await house.put(json.dumps({"text": "вода " + "x" * size}), "open")
    await house.done(5)
    work = Indexing(house.engine)
    assert [await work.once() for _ in range(5)] == [2, 1, 1, 1, 0]
    assert len(await found(house, "вода")) == 5


async def test_an_index_is_made_anew_where_it_is_lost(house: House) -> None:
    """A damaged file is thrown away; one that belongs to another journal begins again."""
    await begin(house, ROUTES)
    await house.put('{"text": "вода"}', "open")
    await house.done(1)
    work = await indexed(house)
    if house.url is None:
        house.store.full_text.close()
        file = house.data / full_text.FILE
        whole = file.read_bytes()
        file.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))  # the head is well, what it leads to is not
        with pytest.raises(StoreUnavailable):
            await work.once()
    else:
        ahead = text("UPDATE body_position SET at = 1000")
        await house.store.write(lambda tx: tx.execute(ahead))
        assert await work.once() == 0
        await asyncio.to_thread(house.store.full_text.tidy)
    assert await work.once() == 1
    told = await asyncio.to_thread(house.store.full_text.add, lambda after: (after, []))
    assert told == (0, 1)


@pytest.mark.key("exchanges.full_text", "top.exchanges")
async def test_it_runs_behind_the_traffic_unless_it_is_switched_off(house: House) -> None:
    """Nobody asks it to."""
    await begin(house, f"exchanges: {{full_text: false}}{ROUTES}")
    running = asyncio.create_task(Indexing(house.engine).run())
    try:
        await house.put('{"text": "вода"}', "open")
        await house.done(1)
        await house.pass_time(5)
        with pytest.raises(StoreUnavailable):
            await found(house, "вода")
        await house.reload(ROUTES)
        await _until(house, lambda: _is_found(house))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _is_found(house: House) -> bool:
    try:
        return len(await found(house, "вода")) == 1
    except StoreUnavailable:
        return False


async def _until(house: House, happened: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await happened():
            await house.pass_time(1)
            await asyncio.sleep(0.01)
