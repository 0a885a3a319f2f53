"""What an attack needs: raw bytes on a socket, a partner that answers as told, and a look at what the gateway kept."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from tests.journeys.gateway import Gateway

T = TypeVar("T")
MIB = 1 << 20

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Told:
    """One answer of the gateway, as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    """names in small letters"""
    body: bytes

    @property
    def code(self) -> str | None:
        """The PIPE code of a problem; None for anything else."""
        if "problem+json" not in self.headers.get("content-type", ""):
            return None
        code: str | None = orjson.loads(self.body).get("code")
        return code

    @property
    def detail(self) -> str:
        """What a problem says in words."""
        detail: str = orjson.loads(self.body)["detail"]
        return detail

    @property
    def verdict(self) -> tuple[int, str | None, str | None]:
        """Status, code and `X-Pipe-Error`: what the tables of attacks expect."""
        return self.status, self.code, self.headers.get("x-pipe-error")


async def spoken(address: str, *pieces: bytes, within: float = 30, closing_too: bool = False) -> list[Told]:
    """All answers to raw bytes on one connection, until the gateway closes it or is silent.

    Where `closing_too`, raises TimeoutError if it stays open for `within` seconds.
    """
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    received = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(within):
            while chunk := await reader.read(65536):
                received += chunk
                if not closing_too and (answers := answers_in(received)) and _rests(answers[-1]):
                    break
    except ConnectionError:
        pass  # it hung up: what it said before stands
    finally:
        writer.close()
    return answers_in(received)


def _rests(answer: Told) -> bool:
    """Whether the gateway has nothing more to say to what was sent."""
    return answer.headers.get("connection") != "close"


def answers_in(received: bytes) -> list[Told]:
    """The whole answers that stand in these bytes."""
    answers: list[Told] = []
    while (end := received.find(b"\r\n\r\n")) >= 0:
        first, *lines = received[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", "0"))
        body = received[end + 4 : end + 4 + size]
        if len(body) < size:
            break
        received = received[end + 4 + size :]
        if not first.startswith("HTTP/1.1 100"):
            answers.append(Told(int(first.split()[1]), headers, body))
    return answers


def post(path: str, body: bytes = b"", *fields: str, method: str = "POST", length: bool = True) -> bytes:
    """A request as raw bytes; `fields` are further header lines."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway.test", *fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def asked(address: str, path: str, body: bytes = b"", *fields: str, method: str = "POST") -> Told:
    """The answer to one well-made request."""
    answers = await spoken(address, post(path, body, *fields, method=method))
    assert answers, f"{method} {path} was not answered"
    return answers[0]


@dataclass(slots=True)
class Partner:
    """A server on a port of its own that answers each path as it was told, and remembers what it saw."""

    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """method, path with query, headers by small letters, body"""
    connections: int = 0
    address: str = ""
    _runner: web.AppRunner | None = None

    async def start(self) -> Partner:
        """Begins to listen."""
        self._runner = web.AppRunner(_application(self), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://{host}:{port}"
        return self

    async def stop(self) -> None:
        """Ends."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What was told for this path; else the body back, as JSON where it is empty."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((request.method, request.raw_path, headers, body))
        told = self.answers.get(request.path)
        if told is not None:
            return await told(request)
        return web.Response(body=body or b"{}", content_type="application/json")


def _application(partner: Partner) -> web.Application:
    application = web.Application(client_max_size=64 << 20)
    application.router.add_route("*", "/{rest:.*}", partner.answer)
    return application


class Kept:
    """What the gateway's own database holds, read beside it."""

    def __init__(self, gateway: Gateway) -> None:
        self._path = gateway.data / "pipe.db"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as database:
            return list(database.execute(query, values))

    def messages(self, *, but: str = "") -> int:
        """How many messages are kept, those of one route left out."""
        return int(self.rows("SELECT count(*) FROM message WHERE route <> ?", but)[0][0])

    def deliveries(self, route: str) -> list[tuple[str, str | None]]:
        """State and code of a route's deliveries, in their order."""
        return [
            (state, code)
            for state, code in self.rows("SELECT state, code FROM delivery WHERE route = ? ORDER BY id", route)
        ]


@dataclass
class Siege:
    """One gateway and the partner behind it, for all attacks of this file."""

    gateway: Gateway
    partner: Partner
    kept: Kept

    @property
    def pid(self) -> int:
        """The gateway's process."""
        assert self.gateway.process is not None
        return self.gateway.process.pid

    async def ask(self, path: str, body: bytes = b"", *fields: str, method: str = "POST") -> Told:
        """The answer to one well-made request."""
        return await asked(self.gateway.address, path, body, *fields, method=method)


def memory(pid: int) -> int:
    """Bytes of memory that a process holds now."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * 4096


def most_memory(pid: int) -> int:
    """Bytes of memory that a process ever held since `forget_peak`."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    """Begins to count the most memory anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


async def soon(happened: Callable[[], T], within: float = 30) -> T:
    """Waits for what another process does, and returns it. Raises TimeoutError where it does not come."""
    async with asyncio.timeout(within):
        while not (found := happened()):  # noqa: ASYNC110  another process sets no event of ours
            await asyncio.sleep(0.02)
        return found
