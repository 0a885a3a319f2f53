"""One-time passwords for other systems: what a caller may ask of the routes `otp-ask`, `otp-check` and `otp-state`."""

from __future__ import annotations

import re
from typing import Any

from flows.otp import bindings, codes, settings
from flows.otp.rules import State, Wait, phone_of
from pipe.contract import Message, Transaction
from pipe.errors import BadRequest, NotFound

SHORTEST_SESSION = 22
"""signs of a session: 128 bits of chance, of which only a hash is kept"""
_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_SESSION = re.compile(r"[A-Za-z0-9_=.-]{22,200}", re.ASCII)


def own(message: Message, session: str) -> str:
    """A caller's sessions are its own: another caller's of the same letters is another."""
    return f"{message.caller or ''}\x1f{session}"


def asked(tx: Transaction, message: Message) -> dict[str, Any]:
    """Asks for a code. Known and unknown numbers get the same answer, and cost the same."""
    body, company = _body(message), message.params["company"]
    number = phone_of(str(body.get("phone", "")))
    if number is None:
        raise BadRequest("`phone` is no telephone number: write +380671234567")
    purpose = str(body.get("purpose", "service"))
    if not _WORD.fullmatch(purpose):
        raise BadRequest("`purpose` is a word of small letters, such as `service`")
    language = body.get("language", "uk")
    if language not in ("uk", "en"):
        raise BadRequest("`language` is `uk` or `en`")
    subject = bindings.phone(tx, number)
    session = own(message, _session(body))
    found = codes.ask(
        tx, codes.Asker(company, subject, purpose, session, str(body.get("address", "")), language)
    )  # fmt: skip
    if isinstance(found, Wait):
        return {"state": "wait", "why": found.why, "again_at": found.until}
    link = bindings.offer(tx, found.connection, subject, company)
    return {"challenge": found.id, "bot": found.connection, "start": link, **_shown(tx, found)}


def checked(tx: Transaction, message: Message) -> dict[str, Any]:
    """Tries a code."""
    body, company = _body(message), message.params["company"]
    session, purpose = own(message, _session(body)), str(body.get("purpose", "service"))
    result, left = codes.check(
        tx, str(body.get("challenge", "")), str(body.get("code", "")), session=session, company=company, purpose=purpose
    )
    return {"result": result, "left": left, "open_until": codes.open_until(tx, session, company)}


def state(tx: Transaction, message: Message) -> dict[str, Any]:
    """How a challenge stands. Raises NotFound for one of another session."""
    body = _body(message)
    session = own(message, _session(body))
    found = codes.by_id(tx, str(body.get("challenge", "")), session)
    if found is None or found.company != message.params["company"]:
        raise NotFound("there is no such challenge")
    return {**_shown(tx, found), "open_until": codes.open_until(tx, session, found.company)}


def _shown(tx: Transaction, found: codes.Challenge) -> dict[str, Any]:
    """What everybody may see: nothing tells whether the number has a chat with the bot."""
    told = (State.RIGHT, State.BURNED, State.REPLACED)
    ended = State.EXPIRED.value if tx.now >= found.expires_at else "asked"
    numbers = settings.of(tx, found.company).numbers
    return {
        "state": found.state.value if found.state in told else ended,
        "digits": numbers.digits,
        "left": found.left,
        "expires_at": found.expires_at,
        "again_at": codes.free_at(tx, found),
    }


def _body(message: Message) -> dict[str, Any]:
    if not isinstance(message.body, dict):
        raise BadRequest("the body is an object")
    return message.body


def _session(body: dict[str, Any]) -> str:
    session = str(body.get("session", ""))
    if not _SESSION.fullmatch(session):
        raise BadRequest(
            f"`session` is a secret of at least {SHORTEST_SESSION} letters and digits, one for each browser"
        )
    return session
