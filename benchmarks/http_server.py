"""What our accept path costs over a bare aiohttp handler: `python -m benchmarks.http_server`.

The subjects take turns in processes of their own, with a door that returns at once; the load comes from this process.
Read the ratio, not the numbers: load and subject share the machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from adapters.http_server import HttpServer, HttpServerConfig
from pipe.config.models import Listener
from tests.adapters.http_server_gateway import FakeDoor, FakeDoors, FakeServices
from web.listener import Listeners

SUBJECTS = ("bare", "application", "gateway")
CONNECTIONS = 64
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = float(os.environ.get("SECONDS_EACH", "3"))
KEY = "a-partners-key"
BODY = b'{"applicant": {"phone": "+380671234567"}, "text": "' + b"x" * 960 + b'"}'
REQUEST = (
    b"POST /pipe/appeals HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: load/1\r\nAccept: */*\r\n"
    b"Content-Type: application/json\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n"
    b"Idempotency-Key: 0b0e7b1c\r\nContent-Length: %d\r\n\r\n" % len(BODY)
) + BODY


class ForgetfulDoor(FakeDoor):
    """Accepts at once and keeps nothing."""

    async def accept(self, arrival: Any) -> Any:
        """At once."""
        return self.reply


async def bare(request: Any) -> web.StreamResponse:
    """What anybody would write first."""
    await request.read()
    return web.Response(status=202, body=b'{"id":"x"}', content_type="application/json")


async def serve(subject: str) -> None:
    """Serves until killed; tells the port on standard output."""
    if subject == "gateway":
        os.environ["PARTNER_KEYS"] = f"partner:{hashlib.sha256(KEY.encode()).hexdigest()}"
        listeners = Listeners({"public": Listener(address="127.0.0.1:0")})
        await listeners.start()
        settings = {"type": "http_server", "auth": {"api_keys": "${env:PARTNER_KEYS}"}}
        server = HttpServer("partners", HttpServerConfig.model_validate(settings), FakeServices(listeners))
        await server.open()
        print(listeners.addresses()["public"][1], flush=True)
        await server.run(FakeDoors(ForgetfulDoor("/appeals")))
        return
    if subject == "application":
        application = web.Application()
        application.router.add_post("/pipe/appeals", bare)
        runner: web.BaseRunner = web.AppRunner(application, access_log=None)
    else:
        runner = web.ServerRunner(web.Server(bare, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site.port, flush=True)
    await asyncio.Event().wait()


@dataclass
class Load(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it is answered."""

    times: list[float] = field(repr=False)
    until: float
    done: asyncio.Future[None]
    transport: Any = None
    asked: float = 0
    seen: bytearray = field(default_factory=bytearray)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks."""
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Sends one request."""
        self.asked = time.perf_counter()
        self.transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """Takes an answer, which ends with its JSON."""
        self.seen += data
        if not self.seen.endswith(b"}"):
            return
        assert self.seen.startswith(b"HTTP/1.1 202"), bytes(self.seen)
        self.seen.clear()
        now = time.perf_counter()
        self.times.append(now - self.asked)
        if now < self.until:
            self.ask()
        elif not self.done.done():
            self.transport.close()
            self.done.set_result(None)


def processor_seconds(pid: int) -> float:
    """What the process has used of the processor so far: steadier than the clock where others work too."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(subject: str) -> tuple[float, float, float]:
    """Requests a second, the 99th percentile in milliseconds, and microseconds of processor a request, of one turn."""
    loop = asyncio.get_running_loop()
    process = await create_subprocess_exec(sys.executable, "-m", "benchmarks.http_server", subject, stdout=PIPE)
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        for seconds in (0.5, SECONDS):  # the first to warm up
            times: list[float] = []
            waits: list[asyncio.Future[None]] = [loop.create_future() for _ in range(CONNECTIONS)]
            until, used = time.perf_counter() + seconds, processor_seconds(process.pid)
            for wait in waits:
                await loop.create_connection(partial(Load, times, until, wait), "127.0.0.1", port)
            await asyncio.gather(*waits)
        used = (processor_seconds(process.pid) - used) / len(times) * 1e6
        return len(times) / SECONDS, statistics.quantiles(times, n=100)[98] * 1000, used
    finally:
        process.kill()
        await process.wait()


async def compare() -> None:
    """Prints the medians of all subjects and their ratio to the bare one."""
    results: dict[str, list[tuple[float, float, float]]] = {subject: [] for subject in SUBJECTS}
    for _ in range(ROUNDS):
        for subject in SUBJECTS:
            results[subject].append(await measure(subject))
    middle = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in results.items()}
    for name, (rate, late, used) in middle.items():
        share = middle["bare"][2] / used
        print(f"{name:12} {rate:7.0f}/s, p99 {late:5.1f} ms, {used:5.1f} µs of processor: {share:.2f} of bare")


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]) if len(sys.argv) > 1 else compare())
