"""What an HTTP status means for a message, and how a reply looks to `success:` and its fellows."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NoReturn

from adapters.http_transport import Reply
from pipe.contract import Receipt
from pipe.errors import Busy, NotAuthorised, PeerBroke, PeerError, PeerFailed, Refused

LONGEST_PAUSE = 3600.0
"""seconds; a partner that asks for more is asked again after this"""
MAX_DEPTH = 64
"""levels of a reply that is read as JSON"""
_AGAIN = {408, 425, 502, 503, 504}


def receipt(reply: Reply) -> Receipt:
    """The reply as expressions see it. A body that is not what its content type says stays bytes; no body is None."""
    kind = reply.headers.get("Content-Type")
    headers: dict[str, str] = {}
    for name, value in reply.headers.items():
        key = _lower_snake(name)
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return Receipt(status=reply.status, headers=headers, body=_read(reply.body, kind or ""), content_type=kind)


@lru_cache(maxsize=1024)
def _lower_snake(name: str) -> str:
    return name.lower().replace("-", "_")


def failure(answer: Receipt, now: float, who: str) -> PeerError | None:
    """The error that this status stands for, with the receipt in it; None for 2xx. A `Retry-After` date needs `now`."""
    status = int(answer.status or 0)
    if 200 <= status < 300:
        return None
    pause = retry_after(answer.headers.get("retry_after"), now)
    text = f"{who} answered {status}"
    if 300 <= status < 400:
        return Refused(f"{text}: it redirects to {_host(answer.headers)}, and redirects are not followed", reply=answer)
    if status in {401, 403, 407}:
        return NotAuthorised(text, reply=answer)
    if status == 429 or (status == 503 and pause is not None):
        return Busy(text, retry_after=pause, reply=answer)
    if status in _AGAIN:
        return PeerFailed(text, retry_after=pause, reply=answer)
    if status == 500:
        return PeerBroke(text, reply=answer)
    return (PeerFailed if status > 500 else Refused)(text, reply=answer)


def retry_after(text: str | None, now: float) -> float | None:
    """Seconds that the partner asks us to wait: its number, or what is left until its date; None for anything else."""
    if not text:
        return None
    if re.fullmatch(r"[+-]?[0-9]{1,1000}", text):
        seconds: float = min(int(text), LONGEST_PAUSE)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(float(seconds), 0.0), LONGEST_PAUSE)


def _host(headers: Mapping[str, str]) -> str:
    """Where a redirect leads, without the path: that may hold a token."""
    address = headers.get("location", "")
    rest = address.partition("//")[2] if "//" in address else ""
    host = rest.split("/")[0].split("?")[0].rpartition("@")[2]
    return host or ("another path of the same host" if address else "nowhere")


def _read(body: bytes, content_type: str) -> Any:
    if not body:
        return None
    try:
        if content_type == "application/json":
            return strict_json(body)
        kind, _, parameters = content_type.lower().partition(";")
        kind = kind.strip()
        if kind == "application/json" or kind.endswith("+json"):
            return strict_json(body)
        if kind.startswith("text/") and kind != "text/xml":
            return body.decode(_charset(parameters))
    except (ValueError, LookupError, RecursionError):
        return body
    return body


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return value.strip().strip('"')
    return "utf-8"


def strict_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises ValueError for what JSON forbids or leaves open (a key twice, NaN, half a character) and for what no step of
    ours could write again (a number beyond all measure, more than 64 levels).
    """
    value = _STRICT.decode(body.decode("utf-8-sig"))
    if _HALF.search(body):
        json.dumps(value, ensure_ascii=False).encode()
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(value):
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _within(outer)]
    return bool(level)


def _within(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
