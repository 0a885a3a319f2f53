"""Every failure as the one body that callers of any HTTP surface get."""

from __future__ import annotations

import orjson
from aiohttp import web

from pipe.errors import (
    BadRequest,
    Denied,
    GatewayDefect,
    MethodNotAllowed,
    NoCredentials,
    NotFound,
    PipeError,
    RateLimited,
    TooLarge,
    WrongMediaType,
    problem,
    problem_headers,
)

_BY_STATUS: dict[int, type[PipeError]] = {
    400: BadRequest,
    401: NoCredentials,
    403: Denied,
    404: NotFound,
    405: MethodNotAllowed,
    413: TooLarge,
    415: WrongMediaType,
    429: RateLimited,
}


def problem_response(error: PipeError, message_id: str | None = None) -> web.Response:
    """The answer that tells of `error`: RFC 9457 JSON, `X-Pipe-Error`, and what else belongs to its status."""
    return web.Response(
        status=error.status,
        body=orjson.dumps(problem(error, message_id)),
        content_type="application/problem+json",
        headers=problem_headers(error),
    )


def from_http_exception(error: web.HTTPException) -> PipeError:
    """The failure of ours that says what aiohttp's exception says."""
    kind = _BY_STATUS.get(error.status)
    if kind is MethodNotAllowed:
        return MethodNotAllowed(allow=error.headers.get("Allow", ""))
    if kind is not None:
        return kind()
    return BadRequest(f"HTTP {error.status}") if error.status < 500 else GatewayDefect()
