"""The stand-in of the text message service: numbers in E.164, a length that fits, and not too many in a second."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable

import orjson
from aiohttp import web

from partners.records import Rows
from partners.stand_in import problem

E164 = re.compile(r"\+[1-9][0-9]{7,14}", re.ASCII)
LONGEST = 10 * 67
"""signs of ten joined messages in Cyrillic"""
PER_SECOND = 50


def sms(rows: Rows) -> Iterable[web.AbstractRouteDef]:
    """POST /sms/messages `{to, text}`."""
    recent: deque[float] = deque(maxlen=PER_SECOND)

    async def send(request: web.Request) -> web.Response:
        now = time.monotonic()
        if len(recent) == PER_SECOND and now - recent[0] < 1:
            return problem(429, "too_many", f"at most {PER_SECOND} messages a second", {"Retry-After": "1"})
        recent.append(now)
        body = await request.read()
        key = request.headers.get("Idempotency-Key")
        if (known := rows.of_key(key)) is not None:
            return _sent(known)
        if request.content_type != "application/json":
            return problem(415, "not_json", f"send application/json, not {request.content_type}")
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return problem(400, "not_json", str(error))
        if fault := _fault(message):
            return problem(422, *fault)
        return _sent(rows.add(key, body, to=message["to"]))

    return [web.post("/sms/messages", send)]


def _fault(message: object) -> tuple[str, str] | None:
    match message:
        case {"to": str(to), "text": str(text), **others}:
            if others:
                return "unknown_field", f"unknown: {', '.join(map(str, others))}"
            if not E164.fullmatch(to):
                return "bad_number", "`to` must be a number in E.164: + and 8 to 15 digits"
            if not 0 < len(text) <= LONGEST:
                return "bad_length", f"`text` must have 1 to {LONGEST} signs, not {len(text)}"
            return None
    return "bad_message", "send an object of the texts `to` and `text`"


def _sent(row: dict[str, object]) -> web.Response:
    return web.json_response({"state": "ok", "id": f"sms-{row['n']}"}, status=202)
