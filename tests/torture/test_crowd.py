"""Many who connect and say nothing, or say it very slowly: those who have something to say are served."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from pathlib import Path

import pytest

from tests.conftest import DEEP
from tests.journeys.attacks import post, spoken
from tests.torture.strait import a_strait, phone

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

IDLE = 10_000 if DEEP else 1_500
ADDRESSES = 10
"""an address may have a thousand"""
SLOW = 50
ROUNDS = 60


def request(number: int) -> bytes:
    """A good one."""
    body = b'{"applicant": {"phone": "%s", "name": "a"}, "text": "b"}' % phone(number).encode()
    return post("/pipe/well", body, "Content-Type: application/json", f"Idempotency-Key: crowd-{number}")


async def latencies(address: str, begin: int) -> list[float]:
    """How long each of some requests takes, one after the other, on connections of their own."""
    taken = []
    for number in range(begin, begin + ROUNDS):
        began = time.perf_counter()
        [told] = await spoken(address, request(number))
        taken.append(time.perf_counter() - began)
        assert told.status == 202, told
    return taken


async def silent(port: int, number: int) -> socket.socket:
    """A connection that says nothing, from one of the loopback addresses."""
    made = socket.socket()
    made.setblocking(False)
    made.bind((f"127.0.1.{number % ADDRESSES + 1}", 0))
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    return made


async def test_a_crowd_that_says_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Idle connections by the thousand, headers without an end, bodies that trickle: the median stays what it was."""
    loop = asyncio.get_running_loop()
    async with a_strait(tmp_path, ["well"]) as strait:
        address = strait.world.gateway.address
        port = int(address.rpartition(":")[2])
        before = await latencies(address, 0)
        crowd = [await silent(port, number) for number in range(IDLE)]
        slow = [await silent(port, number) for number in range(2 * SLOW)]
        try:
            for number, one in enumerate(slow):
                head = b"POST /pipe/well HTTP/1.1\r\nHost: x\r\n"
                end = b"Idempotency-Key: slow-%d\r\nContent-Length: 100000\r\n\r\n{" % number
                await loop.sock_sendall(one, head + (end if number % 2 else b"X: "))
            during = await latencies(address, 1000)
            ended = [await ends(one) for one in slow] if DEEP else []
            kept = strait.kept.messages()
        finally:
            for one in (*crowd, *slow):
                one.close()
        after = await latencies(address, 2000)
    assert statistics.median(during) < 5 * statistics.median(before) + 0.02
    assert statistics.median(after) < 5 * statistics.median(before) + 0.02
    assert kept == 2 * ROUNDS
    assert set(ended) <= {True}


async def ends(one: socket.socket) -> bool:
    """Whether the gateway gives a slow one up in time: ten seconds for a header, 1 KiB a second for a body."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(40):
            while await loop.sock_recv(one, 4096):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True
