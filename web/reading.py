"""Addresses that are only read: one path, GET and HEAD, nothing below it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from pipe.errors import MethodNotAllowed, NotFound

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def only_read(path: str, handler: Handler) -> Handler:
    """The handler, for GET and HEAD of exactly that path. Raises NotFound and MethodNotAllowed for all else."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.rel_url.raw_path != path:
            raise NotFound("nothing is served at this address")
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(allow="GET, HEAD")
        return await handler(request)

    return serve
