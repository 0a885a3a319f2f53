"""One stand-in: its listening socket, its manners, and the record of what it saw."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from aiohttp import web

from partners.manners import Manner
from partners.partner import Partner
from partners.records import Answer, Rows

TOKENS = {name: f"demo-token-of-the-{name}-stand-in" for name in ("registry", "sms", "payments", "civil")}
"""what each stand-in wants as bearer token; published, and of no use anywhere else"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Service = Callable[[Rows], Iterable[web.AbstractRouteDef]]
"""makes the routes of one partner over its rows"""
Guard = Callable[[web.Request], Awaitable[str | None]]
"""says what is wrong with a caller; None lets it in"""


class StandIn(Partner):
    """A partner that speaks HTTP."""

    def __init__(
        self,
        name: str,
        service: Service,
        folder: Path,
        *,
        port: int = 0,
        fsync: bool = False,
        guard: Guard | None = None,
    ) -> None:
        """`guard` decides who is let in; by default whoever has the bearer token of that name."""
        super().__init__(name, folder, port=port, fsync=fsync)
        self._service = service
        self._guard = guard or self._by_token
        self._runner: web.AppRunner | None = None

    async def _open(self, sock: socket.socket) -> None:
        application = web.Application(middlewares=[self._witness, self._authorised], client_max_size=64 << 20)
        application.add_routes([web.get(f"/{self.name}/ping", _ping), *self._service(self.rows)])
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.05, access_log=None)
        await runner.setup()
        await web.SockSite(runner, sock, backlog=1024).start()
        self._runner = runner

    async def _shut(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def failed_well(self) -> web.Response:
        """What `error200` answers: good at first sight."""
        return web.json_response({"state": "error", "code": "told_to", "text": "the partner was told to fail"})

    def refusal(self, status: int, code: str, text: str, headers: dict[str, str] | None = None) -> web.Response:
        """What `refuse` and `fail` answer."""
        return problem(status, code, text, headers)

    async def _by_token(self, request: web.Request) -> str | None:
        right = request.headers.get("Authorization") == f"Bearer {TOKENS[self.name]}"
        return None if right else f"send the bearer token of {self.name}"

    @web.middleware
    async def _authorised(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.endswith("/ping") and (wrong := await self._guard(request)) is not None:
            return problem(401, "no_credentials", wrong)
        return await handler(request)

    @web.middleware
    async def _witness(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.read()
        manner = self.take_turn()
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
                return self.refusal(manner.status, "refused", "the partner was told to refuse")
            case "fail":
                headers = {"Retry-After": manner.retry_after} if manner.retry_after else None
                return self.refusal(manner.status, "failed", "the partner was told to fail", headers)
            case "error200":
                return self.failed_well()
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
