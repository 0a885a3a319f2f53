"""The same thing handed in again and again, and a partner that says yes more than once, or too late."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
import pytest_asyncio

from pipe.testing import faults
from tests.journeys.attacks import soon
from tests.journeys.books import lines
from tests.torture.strait import Strait, a_strait, phone

pytestmark = [
    pytest.mark.journey,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]

PATH = "/pipe/well"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strait(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Strait]:
    """A gateway and its register."""
    async with a_strait(tmp_path_factory.mktemp("strait"), ["well"]) as made:
        yield made


def appeal(number: int, text: str = "т") -> bytes:
    """Of one phone."""
    return orjson.dumps({"applicant": {"name": "Н", "phone": phone(number)}, "text": text})


async def post(strait: Strait, key: str, *bodies: bytes) -> list[tuple[int, dict[str, str]]]:
    """What comes of requests with one key at the same time."""
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}

    async def one(client: aiohttp.ClientSession, body: bytes) -> tuple[int, dict[str, str]]:
        async with client.post(strait.world.gateway.address + PATH, data=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client, asyncio.timeout(30):
        return await asyncio.gather(*(one(client, body) for body in bodies))


def kept(strait: Strait, *ids: str) -> int:
    """How many deliveries these messages have in all."""
    marks = ", ".join("?" * len(ids))
    query = f"SELECT count(*) FROM delivery d JOIN message m ON d.message = m.seq WHERE m.id IN ({marks})"
    return int(strait.kept.rows(query, *ids)[0][0])


async def wrong(strait: Strait) -> list[str]:
    """What the books say that is wrong; what `post` handed in stands in no book of ours, so strangers are no news."""
    return [finding for finding in await strait.wrong() if not finding.startswith("L3")]


async def test_one_after_the_other_with_one_key_is_one_message(strait: Strait) -> None:
    """Twenty times the same answer, also over a kill."""
    told = [(await post(strait, "serial", appeal(1)))[0] for _ in range(10)]
    await strait.restart()
    told += [(await post(strait, "serial", appeal(1)))[0] for _ in range(10)]
    ids = {answer["id"] for _, answer in told}
    assert ({status for status, _ in told}, len(ids), kept(strait, *ids)) == ({202}, 1, 1)


async def test_fifty_at_the_same_time_with_one_key_are_one_message(strait: Strait) -> None:
    """Whoever comes first is stored, the others get its id."""
    before = strait.kept.messages()
    told = await post(strait, "parallel", *[appeal(2)] * 50)
    ids = {answer["id"] for _, answer in told}
    assert ({status for status, _ in told}, len(ids), strait.kept.messages() - before) == ({202}, 1, 1)


async def test_one_key_for_two_bodies_at_the_same_time_is_one_message(strait: Strait) -> None:
    """One of the two bodies wins, and every request with the other is refused."""
    before = strait.kept.messages()
    told = await post(strait, "mixed", *[appeal(3), appeal(3, "інше")] * 25)
    by_status = Counter(status for status, _ in told)
    codes = {answer["code"] for status, answer in told if status == 422}
    assert by_status == Counter({202: 25, 422: 25})
    assert (codes, strait.kept.messages() - before) == ({"PIPE-3011"}, 1)


async def test_a_partner_that_says_yes_twice_is_heard_once(strait: Strait) -> None:
    """The second answer belongs to nobody: the next message on that connection gets its own."""
    await strait.delivered("well")
    rows = strait.rows
    await strait.world.tell("duplicate", "for=4")
    for n in range(6):
        await strait.callers["well"].hand_in(phone(4), n)
    await strait.delivered("well")
    assert strait.rows - rows == 6
    assert await wrong(strait) == []


async def test_a_yes_that_comes_too_late_changes_nothing(strait: Strait) -> None:
    """The partner did it, said so after the time-out, and is asked again with the same key: delivered once."""
    recorder = strait.world.partners.stand_ins["registry"].recorder
    await strait.delivered("well")
    rows = strait.rows
    await strait.back["well"].turn(faults.Delay(0.6, towards="client"))
    row = await strait.callers["well"].hand_in(phone(5), 0)
    await soon(lambda: strait.codes("well") >= {"PIPE-2002"}, 50)
    await strait.back["well"].heal()
    await strait.delivered("well")
    seen = [each for each in lines(recorder._lines.path) if each["key"] == row.id]
    assert (strait.rows - rows, len(seen) > 1, {each["answer"] for each in seen}) == (1, True, {"ok"})
    assert await wrong(strait) == []
