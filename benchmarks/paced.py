"""A load at a fixed pace: how late answers and deliveries are does not depend on how fast the subject could go.

`python -m benchmarks.paced SECONDS URL RATE [URL RATE …]` prints for each URL the milliseconds that each answer took,
from the moment at which its request was due, as a JSON list of lists. A body names that moment as `sent`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence

import aiohttp
import orjson
import uvloop

from benchmarks.load import BODY
from benchmarks.subjects import ROOT

CONNECTIONS = 100


async def run(seconds: float, targets: Sequence[tuple[str, float]]) -> list[list[float]]:
    """Puts all the loads at once."""
    limits = aiohttp.ClientTimeout(total=30)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, timeout=limits) as client:
        begin = time.monotonic() + 0.1
        return list(await asyncio.gather(*(_paced(client, url, rate, begin, seconds) for url, rate in targets)))


async def _paced(client: aiohttp.ClientSession, url: str, rate: float, begin: float, seconds: float) -> list[float]:
    async def ask(due: float) -> float:
        body = orjson.dumps({**fields, "sent": due})
        async with client.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            await answer.read()
            assert answer.status < 300, f"{url} answered {answer.status}"
        return round((time.monotonic() - due) * 1000, 2)

    fields = orjson.loads(BODY)
    asked: list[asyncio.Task[float]] = []
    for number in range(int(rate * seconds)):
        due = begin + number / rate
        await asyncio.sleep(due - time.monotonic())
        asked.append(asyncio.create_task(ask(due)))
    return list(await asyncio.gather(*asked))


def paced(seconds: float, *targets: tuple[str, float]) -> list[list[float]]:
    """The same in a process of its own."""
    arguments = [str(seconds), *(word for url, rate in targets for word in (url, str(rate)))]
    command = [sys.executable, "-m", "benchmarks.paced", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=seconds + 60)
    times: list[list[float]] = orjson.loads(done.stdout)
    return times


if __name__ == "__main__":
    _words = sys.argv[2:]
    _targets = [(url, float(rate)) for url, rate in zip(_words[::2], _words[1::2], strict=True)]
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(run(float(sys.argv[1]), _targets))))
