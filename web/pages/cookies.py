"""The cookies of the pages. `__Host-` means: from this very host, over TLS or loopback, for the whole of it.

Browsers take `Secure` cookies from `http://127.0.0.1` and `http://localhost` too (decision 0017), so there is one rule.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal

import orjson
from aiohttp import web

SESSION = "__Host-pipe"
VISITOR = "__Host-pipe-visitor"
"""of who has no session yet, for the forms of strangers: a name of its own, so that it never takes a session's place"""
LANGUAGE = "__Host-pipe-language"
THEME = "__Host-pipe-theme"
TOAST = "__Host-pipe-toast"
WAY = "__Host-pipe-way"
"""what a provider of sign-in must bring back; the one cookie that another site's redirect carries"""
YEAR_S = 366 * 86400

SameSite = Literal["Strict", "Lax"]


def put(
    response: web.StreamResponse, name: str, value: str, *, age: int | None = None, same_site: SameSite = "Strict"
) -> None:
    """Sets a cookie; without `age` (seconds) it ends with the browser."""
    response.set_cookie(name, value, max_age=age, path="/", secure=True, httponly=True, samesite=same_site)


def drop(response: web.StreamResponse, name: str) -> None:
    """Takes a cookie away."""
    response.set_cookie(name, "", max_age=0, path="/", secure=True, httponly=True, samesite="Strict")


def put_toast(response: web.StreamResponse, key: str, values: Mapping[str, Any]) -> None:
    """Lets the next page say what was done."""
    packed = base64.urlsafe_b64encode(orjson.dumps([key, dict(values)])).decode()
    put(response, TOAST, packed, age=60)


def toast_of(request: web.Request) -> tuple[str, Mapping[str, Any]] | None:
    """What the page before left to be said; None where it is nothing or garbled."""
    packed = request.cookies.get(TOAST)
    if not packed:
        return None
    try:
        key, values = orjson.loads(base64.urlsafe_b64decode(packed))
    except ValueError:
        return None
    return (key, values) if isinstance(key, str) and isinstance(values, dict) else None
