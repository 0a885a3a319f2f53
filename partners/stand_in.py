"""One stand-in: its listening socket, its manners, and the record of what it saw."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from aiohttp import web

from partners.manners import Manner
from partners.records import Answer, Lines, Recorder, Rows

TOKENS = {name: f"demo-token-of-the-{name}-stand-in" for name in ("registry", "sms", "payments", "civil")}
"""what each stand-in wants as bearer token; published, and of no use anywhere else"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Service = Callable[[Rows], Iterable[web.AbstractRouteDef]]
"""makes the routes of one partner over its rows"""


class StandIn:
    """A partner on a port of its own, so that stopping it refuses connections as a dead host does."""

    def __init__(self, name: str, service: Service, folder: Path, *, port: int = 0, fsync: bool = False) -> None:
        self.name = name
        self._service = service
        self.manner = Manner()
        self.recorder = Recorder(Lines(folder / "seen.jsonl", fsync=fsync))
        self.rows = Rows(Lines(folder / "rows.jsonl", fsync=fsync))
        self._socket = _bound(port)
        self.port: int = self._socket.getsockname()[1]
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """Where it listens, or would."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def listening(self) -> bool:
        """Whether it takes connections."""
        return self._runner is not None

    async def start(self) -> None:
        """Takes connections; harmless when it does already."""
        if self._runner is None:
            application = web.Application(middlewares=[self._witness, self._authorised], client_max_size=4 << 20)
            application.add_routes([*self._service(self.rows), web.get(f"/{self.name}/ping", _ping)])
            runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.05, access_log=None)
            await runner.setup()
            await web.SockSite(runner, self._socket, backlog=1024).start()
            self._runner = runner

    async def stop(self) -> None:
        """Refuses connections and drops those that stand; what it was working on gets no answer."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
            self._socket = _bound(self.port)

    async def close(self) -> None:
        """Ends it; safe twice."""
        await self.stop()
        self._socket.close()
        self.recorder.close()
        self.rows.close()

    def status(self) -> dict[str, object]:
        """How it is, for people and for `tell`."""
        return {
            "name": self.name,
            "address": self.address,
            "listening": self.listening,
            "manner": str(self.manner),
            "seen": self.recorder.count,
            "rows": len(self.rows),
        }

    @web.middleware
    async def _authorised(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKENS[self.name]}" and not request.path.endswith("/ping"):
            return problem(401, "no_credentials", f"send the bearer token of {self.name}")
        return await handler(request)

    @web.middleware
    async def _witness(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.read()
        manner, self.manner = self.manner, self.manner.after_one()
        answer: Answer = "none"
        status = None
        try:
            response = await self._answered(request, handler, manner)
            if manner.verb not in {"hang", "reset", "truncate"}:
                answer, status = _verdict(response, manner), response.status
        finally:
            if not request.path.endswith("/ping"):
                self.recorder.saw(request.headers, request.method, request.path_qs, body, answer, status)
        return await self._sent(request, response, manner)

    async def _answered(self, request: web.Request, handler: Handler, manner: Manner) -> web.Response:
        """What the partner has to say, the work done where the manner lets it."""
        if manner.verb == "slow" and not manner.done:
            await asyncio.sleep(manner.seconds)
        response = await _worked(request, handler) if manner.works else web.Response()
        if manner.verb == "slow" and manner.done:
            await asyncio.sleep(manner.seconds)
        match manner.verb:
            case "refuse":
                return problem(manner.status, "refused", "the partner was told to refuse")
            case "fail":
                headers = {"Retry-After": manner.retry_after} if manner.retry_after else None
                return problem(manner.status, "failed", "the partner was told to fail", headers)
            case "error200":
                return web.json_response({"state": "error", "code": "told_to", "text": "the partner was told to fail"})
            case "garbage":
                return web.Response(text="<html><body>Welcome to nginx!</body></html>", content_type="text/html")
        return response

    async def _sent(self, request: web.Request, response: web.Response, manner: Manner) -> web.StreamResponse:
        """Hands the answer over, or does to the connection what the manner says."""
        transport = request.transport
        if transport is None:
            return response
        match manner.verb:
            case "hang":
                await asyncio.Event().wait()
            case "reset":
                # A linger of no seconds makes the close a reset instead of an orderly end.
                transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                transport.abort()
            case "truncate":
                transport.write(_raw(response, keep=0.5))
                transport.close()
            case "duplicate":
                transport.write(_raw(response))
        return response


async def _ping(_: web.Request) -> web.Response:
    return web.json_response({"state": "ok"})


def problem(status: int, code: str, text: str, headers: dict[str, str] | None = None) -> web.Response:
    """A refusal that says what is wrong."""
    return web.json_response({"state": "error", "code": code, "text": text}, status=status, headers=headers)


def _verdict(response: web.Response, manner: Manner) -> Answer:
    good = response.status < 300 and manner.verb not in {"error200", "garbage"}
    return "ok" if good else "fail"


async def _worked(request: web.Request, handler: Handler) -> web.Response:
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        return problem(
            refusal.status, "http", refusal.reason, {"Allow": a} if (a := refusal.headers.get("Allow")) else None
        )
    assert isinstance(response, web.Response)
    return response


def _raw(response: web.Response, keep: float = 1) -> bytes:
    """The answer as it stands on the wire, or the first part of it."""
    body = response.body if isinstance(response.body, bytes) else b""
    head = f"HTTP/1.1 {response.status} {response.reason}\r\nContent-Type: {response.content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[: int(len(body) * keep)]


def _bound(port: int) -> socket.socket:
    """A socket that owns its port without listening: connections to it are refused."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        raise
    return bound
