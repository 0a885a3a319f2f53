"""Values between the envelope and the route: JSON in which every number keeps its digits."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson

from pipe.contract import Blob, Receipt
from pipe.errors import ReplyInvalid

_FAULT = {"code", "text", "detail"}


def written_values(value: Any) -> bytes:
    """The values as a route decodes them."""
    return orjson.dumps(value, default=_number)


def read_reply(receipt: Receipt) -> Any:
    """What the route answered, as values. Raises ReplyInvalid where it is no JSON."""
    body = receipt.body.read() if isinstance(receipt.body, Blob) else receipt.body
    if not body:
        return {}
    if not isinstance(body, bytes):
        return body
    try:
        return json.loads(body, parse_float=Decimal)
    except ValueError as error:
        raise ReplyInvalid("the route's reply is no object: leave out the `encode` of `reply:`") from error


def read_fault(receipt: Receipt) -> dict[str, Any]:
    """`{code, text, detail}` of a reply that `faults:` made. Raises ReplyInvalid."""
    told = read_reply(receipt)
    if not isinstance(told, dict) or set(told) - _FAULT:
        raise ReplyInvalid("`map:` of `faults:` makes `{code, text, detail}` for SOAP callers")
    code = told.get("code") or ("Server" if int(receipt.status or 500) >= 500 else "Client")
    if code not in {"Client", "Server"}:
        raise ReplyInvalid(f"the `code` of a fault is Client or Server, not {code!r}")
    detail = told.get("detail")
    if detail is not None and not isinstance(detail, dict):
        raise ReplyInvalid("the `detail` of a fault is an object: the fault's element and what it holds")
    return {"code": code, "text": str(told.get("text") or "the request was refused"), "detail": detail}


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError
