"""How rows of the exchange log leave the gateway: JSON lines and CSV, the same from a command and from a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

FIELDS = (
    "id", "delivery", "received_at", "done_at", "route", "from", "station", "state", "attempts", "seconds", "code",
    "status", "text", "caller", "content_type", "size", "origin", "parent",
)  # fmt: skip


def columns(*, bodies: bool) -> list[str]:
    """The head of a table."""
    return [*FIELDS, *(["body"] if bodies else [])]


def cells(row: Mapping[str, Any], *, bodies: bool) -> list[Any]:
    """One row of it."""
    return [body_text(row) if name == "body" else row.get(name) for name in columns(bodies=bodies)]


def line(row: Mapping[str, Any]) -> str:
    """The row as one line of JSON."""
    return orjson.dumps(row).decode() + "\n"


def body_text(row: Mapping[str, Any]) -> str | None:
    """The body as text: Base64 where it is none, JSON where it is values; None where there is none."""
    body = row.get("body_base64") or row.get("body")
    return body if body is None or isinstance(body, str) else orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
