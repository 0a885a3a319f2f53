"""The stand-in of the treasury: pays only what carries an idempotency key, an IBAN that adds up and whole kopiykas."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import orjson
from aiohttp import web

from partners.records import Rows
from partners.stand_in import problem

IBAN = re.compile(r"UA[0-9]{27}", re.ASCII)
FIELDS = {"ref": str, "iban": str, "amount": int, "purpose": str}
LARGEST = 100_000_000
"""kopiykas of one payment"""


def payments(rows: Rows) -> Iterable[web.AbstractRouteDef]:
    """POST /payments `{ref, iban, amount, purpose}`."""

    async def pay(request: web.Request) -> web.Response:
        key = request.headers.get("Idempotency-Key")
        if not key:
            return problem(400, "no_key", "send an Idempotency-Key")
        if request.content_type != "application/json":
            return problem(415, "not_json", f"send application/json, not {request.content_type}")
        body = await request.read()
        if (known := rows.of_key(key)) is not None:
            if known["sha256"] != hashlib.sha256(body).hexdigest():
                return problem(422, "key_reused", "this key came with another payment")
            return _paid(known)
        try:
            order = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return problem(400, "not_json", str(error))
        if fault := _fault(order):
            return problem(422, *fault)
        return _paid(rows.add(key, body, ref=order["ref"], amount=order["amount"]))

    return [web.post("/payments", pay)]


def adds_up(iban: str) -> bool:
    """Whether a Ukrainian IBAN is whole: its letters as numbers, the head moved to the end, 1 modulo 97."""
    moved = iban[4:] + iban[:4]
    return IBAN.fullmatch(iban) is not None and int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1


def _fault(order: object) -> tuple[str, str] | None:
    if not isinstance(order, dict) or set(order) != set(FIELDS):
        return "bad_fields", f"send an object of exactly {', '.join(FIELDS)}"
    for name, kind in FIELDS.items():
        if type(order[name]) is not kind:
            return "bad_type", f"`{name}` must be {'a whole number' if kind is int else 'a text'}"
    if not adds_up(order["iban"]):
        return "bad_iban", "`iban` must be a Ukrainian IBAN whose check digits are right"
    if not 0 < order["amount"] <= LARGEST:
        return "bad_amount", f"`amount` must be 1 to {LARGEST} kopiykas"
    return None if order["purpose"] else ("no_purpose", "`purpose` must not be empty")


def _paid(row: dict[str, object]) -> web.Response:
    return web.json_response({"state": "ok", "payment": f"P-{row['n']:06}"}, status=201)
