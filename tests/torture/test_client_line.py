"""Whatever the network does between a caller and the gateway: half a request is none, and a key has one id."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import orjson
import pytest
import pytest_asyncio

from pipe.testing import faults
from tests.conftest import DEEP
from tests.journeys.attacks import post
from tests.journeys.ledger import Sent
from tests.torture.strait import Strait, a_strait, phone

pytestmark = [
    pytest.mark.journey,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),
]

STEP = 1 if DEEP else 23
"""every byte, or every so manieth"""
STORM_S = 240 if DEEP else 4
WHOLE = 600
"""more bytes than a request or an answer of these tests has"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strait(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Strait]:
    """A gateway and its register, proxies before both."""
    async with a_strait(tmp_path_factory.mktemp("strait"), ["well"]) as made:
        yield made


@pytest.fixture
def number() -> int:
    """Nobody else's."""
    return random.randrange(1000, 9_000_000)


def body_of(order: str) -> bytes:
    """An appeal, without spaces, so that its length is known."""
    return orjson.dumps({"applicant": {"name": "Н", "phone": order}, "text": "т"})


@pytest.mark.parametrize("fault", [faults.Cut, faults.Reset])
@pytest.mark.parametrize("towards", ["server", "client"])
async def test_a_caller_that_is_cut_off_anywhere_repeats_and_has_one_id(
    strait: Strait, fault: Callable[..., faults.Fault], towards: faults.Towards, number: int
) -> None:
    """After each byte of the question or of the answer: unknown, sent again with the same key, accepted once."""
    caller, order = strait.callers["well"], phone(number)
    outcomes = []
    for n, after in enumerate(range(0, WHOLE, STEP)):
        await strait.front.turn(fault(after=after, towards=towards))
        meant = Sent(f"{order}-{n}", "unknown", None, f"{order}|т", order, n)
        outcomes.append((await caller.attempt(meant, body_of(order))).outcome)
        await strait.front.heal()
        while (await caller.attempt(meant, body_of(order))).outcome != "accepted":
            continue
    await strait.delivered("well", within=60)
    assert set(outcomes) == {"unknown", "accepted"}
    assert await strait.wrong() == []


@pytest.mark.parametrize("after", [0, 4, 60, 140])
async def test_noise_in_a_request_is_refused_and_not_kept(strait: Strait, after: int, number: int) -> None:
    """From the first byte, in the line, in the headers, in the body: 400 or an end, and no row."""
    body = b'{"applicant": {"phone": "' + phone(number).encode() + b'", "name": "a"}, "text": "b"}'
    request = post("/pipe/well", body, "Content-Type: application/json", f"Idempotency-Key: noise-{number}")
    before = strait.kept.messages()
    await strait.front.turn(faults.Garbage(after=after, towards="server"))
    reader, writer = await asyncio.open_connection("127.0.0.1", strait.front.port)
    writer.write(request)
    async with asyncio.timeout(40):
        said = await reader.read()
    writer.close()
    await strait.front.heal()
    assert said[:12] in (b"", b"HTTP/1.1 400"), said
    assert strait.kept.messages() == before


async def test_a_slow_network_is_slow_and_nothing_else(strait: Strait, number: int) -> None:
    """Pieces of a few bytes, each a little late, both ways: accepted at the first try."""
    caller, order = strait.callers["well"], phone(number)
    await strait.front.turn(faults.Rate(4096))
    row = await caller.attempt(Sent(f"{order}-0", "unknown", None, f"{order}|т", order), body_of(order))
    await strait.front.heal()
    assert row.outcome == "accepted"


@pytest.mark.parametrize("crashes", [pytest.param(0, marks=pytest.mark.deep), 5 if DEEP else 1])
async def test_a_storm_on_both_sides_loses_nothing(strait: Strait, crashes: int) -> None:
    """Faults by chance on both networks under traffic, with and without kills: the books agree when it is over."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    stop, base = asyncio.Event(), chance.randrange(1000, 9_000_000)

    async def traffic(number: int) -> None:
        n = 0
        while not stop.is_set():
            await strait.callers["well"].hand_in(phone(base + number), n)
            n += 1

    async def weather(proxy: str) -> None:
        while not stop.is_set():
            fault = any_fault(chance)
            at = strait.front if proxy == "front" else strait.back["well"]
            await at.turn(fault)
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            await at.heal()
            at.drop()
            await asyncio.sleep(chance.uniform(0, 0.2))

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(traffic(number))
        for side in ("front", "back"):
            group.create_task(weather(side))
        for _ in range(crashes):
            await asyncio.sleep(STORM_S / (crashes + 1))
            await strait.restart()
        await asyncio.sleep(STORM_S / (crashes + 1))
        stop.set()
    await strait.delivered("well", within=60)
    wrong = await strait.wrong()
    assert wrong == [], f"seed {seed}"
    accepted = {row.id for row in strait.callers["well"].rows if row.outcome == "accepted"}
    assert strait.rows == len(accepted), f"seed {seed}"


def any_fault(chance: random.Random) -> faults.Fault:
    """One of all, with numbers by chance."""
    towards: faults.Towards = chance.choice(("server", "client"))
    after = chance.randrange(0, 800)
    return chance.choice(
        (
            faults.Delay(chance.uniform(0, 1), towards=towards),
            faults.Rate(chance.uniform(20, 5000), towards=towards),
            faults.Cut(after=after, towards=towards),
            faults.Reset(after=after, towards=towards),
            faults.Swallow(after=after, towards=towards),
            faults.HalfOpen(),
            faults.Garbage(after=after),
            faults.AcceptThenClose(),
            faults.Refuse(),
        )
    )
