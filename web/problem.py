"""Every failure as the one body that callers of any HTTP surface get."""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import Any

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


def problem_bytes(error: PipeError, *fields: str) -> bytes:
    """The same answer as it is sent, with further header fields, where no request of aiohttp's waits for one."""
    response = problem_response(error)
    body = response.body
    assert isinstance(body, bytes)
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *fields]
    lines += [f"{name}: {value}" for name, value in response.headers.items() if name != "Content-Length"]
    lines += ["X-Content-Type-Options: nosniff", f"Date: {formatdate(usegmt=True)}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def from_http_exception(error: web.HTTPException) -> PipeError:
    """The failure of ours that says what aiohttp's exception says."""
    kind = _BY_STATUS.get(error.status)
    if kind is MethodNotAllowed:
        return MethodNotAllowed(allow=error.headers.get("Allow", ""))
    if kind is not None:
        return kind()
    return BadRequest(f"HTTP {error.status}") if error.status < 500 else GatewayDefect()


def problem(error: PipeError, message_id: str | None = None) -> dict[str, Any]:
    """The RFC 9457 body that tells a caller of the failure.

    The text is told where the caller is to blame; elsewhere it may name what lies behind the gateway, so the class
    speaks.
    """
    title = (error.__doc__ or "").splitlines()[0]
    body: dict[str, Any] = {
        "type": f"urn:pipe:error:{error.slug()}",
        "title": title,
        "status": error.status,
        "code": error.code,
        "detail": error.text if error.blame == "caller" else title,
        "hint": error.hint,
    }
    if identity := message_id or error.facts.get("message"):
        body["id"] = identity
    if error.blame == "caller" and "path" in error.facts:
        body["path"] = error.facts["path"]
    return body


def problem_headers(error: PipeError) -> dict[str, str]:
    """The header fields that go with `problem`: whose fault, when to come back, what is allowed instead."""
    headers = {"X-Pipe-Error": f"{error.blame}.{error.slug()}"}
    wait = error.retry_after if error.retry_after is not None else _COME_BACK.get(error.status)
    if wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    if error.status == 401:
        headers["WWW-Authenticate"] = error.facts.get("challenge", "Bearer")
    if error.status == 405:
        headers["Allow"] = error.facts.get("allow", "")
    return headers


_COME_BACK = {409: 1.0, 429: 1.0, 503: 5.0}
"""seconds after which trying again makes sense, by status, where the error does not say"""
