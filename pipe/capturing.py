"""Makes test cases of stored messages: what came, what the partners answered, and fakes of what is sensitive."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from pipe.contract import Blob, Message
from pipe.errors import PipeError
from pipe.route import Route
from pipe.steps.pipeline import StepStopped
from pipe.store import codec, schema
from pipe.store.loading import Loader
from pipe.store.schema import DELIVERED
from pipe.store.vault import Vault

LARGEST = 64 << 10
"""bytes of a body that a test case may have"""
_NOISE = {
    "host",
    "user_agent",
    "accept",
    "accept_encoding",
    "accept_language",
    "content_type",
    "x_forwarded_for",
    "x_real_ip",
}
_SMALL, _LARGE = "абвгґдежзиіклмнопрстуфхцчшщюя", "АБВГҐДЕЖЗИІКЛМНОПРСТУФХЦЧШЩЮЯ"
_ALPHABETS = (string.digits, string.ascii_lowercase, string.ascii_uppercase, _SMALL, _LARGE)


@dataclass(slots=True)
class Case:
    """One message as a test sends it."""

    send: dict[str, Any]
    replies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """connections whose answer decides what happens, and was not kept"""

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"send": self.send, "replies": self.replies, "unknown": self.unknown}


class Fakes:
    """Stands in for sensitive values: the same fake for the same value, of the same shape, telling nothing."""

    def __init__(self, values: tuple[str, ...], hash_of: Callable[..., str]) -> None:
        """`values` longest first, as the store keeps them; `hash_of` is keyed."""
        self._fakes = {value: _fake(value, hash_of) for value in values}

    def put(self, value: Any) -> Any:
        """The value with fakes in it, at any depth."""
        if isinstance(value, str):
            for real, fake in self._fakes.items():
                value = value.replace(real, fake)
            return value
        if isinstance(value, Mapping):
            return {self.put(key): self.put(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.put(inner) for inner in value]
        if isinstance(value, bool) or value is None or str(value) not in self._fakes:
            return value
        return type(value)(self._fakes[str(value)])


def _fake(value: str, hash_of: Callable[..., str]) -> str:
    """Digits for digits, letters for letters of the same alphabet; a country code and a first digit stay."""
    blocks = [hash_of("fake", value, str(number)) for number in range(len(value) // 16 + 1)]
    chance = bytes.fromhex("".join(blocks))
    kept = 4 if value.startswith("+") else 1 if value[:1].isdigit() else 0
    return value[:kept] + "".join(_like(sign, chance[number]) for number, sign in enumerate(value[kept:], kept))


def _like(sign: str, chance: int) -> str:
    alphabet = next((each for each in _ALPHABETS if sign in each), None)
    return sign if alphabet is None else alphabet[chance % len(alphabet)]


async def case_of(
    row: Mapping[str, Any], route: Route, loader: Loader, attempts: list[Any], *, masked: bool
) -> Case | None:
    """The case of one accepted message; None where its body is gone, too large, or cannot be masked for sure."""
    if row["body"] is None or row["size"] > LARGEST:
        return None
    known = {**row, "message_id": row["id"]}
    try:
        message = loader.message(known)
        fakes = Fakes(loader.sensitive(known) if masked else (), loader.vault.hash)
        body = await _body(message, route, readable=masked)
    except (PipeError, StepStopped):
        return None
    headers = {name: value for name, value in message.headers.items() if name not in _NOISE}
    send: dict[str, Any] = {
        "body": body,
        "headers": headers,
        "params": message.params,
        "query": message.query,
        "caller": message.caller,
        "company": message.company,
    }
    if isinstance(body, bytes):
        send.pop("body")
        send["base64"] = base64.b64encode(body).decode()
    written = {name: fakes.put(value) for name, value in send.items() if value not in (None, {}, "")}
    replies = {name: fakes.put(given) for name, given in _replies(attempts, loader.vault).items()}
    case = Case(written, replies)
    _say_unknown(case, route)
    return case


async def _body(message: Message, route: Route, *, readable: bool) -> Any:
    """Values where the route decodes: in bytes a sensitive value may be written in many ways."""
    body = message.body
    if isinstance(body, Blob):
        body = body.read()
    if not isinstance(body, bytes) or not body:
        return body or None
    if route.door_steps:
        decoded = (await route.door.run(message)).message
        assert decoded is not None
        body = (
            list(decoded.body)
            if not isinstance(decoded.body, (dict, list, str, bytes, int, float, type(None)))
            else decoded.body
        )
    if not isinstance(body, bytes):
        return body
    try:
        return body.decode()
    except UnicodeDecodeError:
        if readable and route.config.sensitive:
            raise PipeError("the body is no text, so nothing in it can be masked") from None
        return body


def _replies(attempts: list[Any], vault: Vault) -> dict[str, list[dict[str, Any]]]:
    """What the partners answered, as far as the journal kept it, in the order of the attempts."""
    replies: dict[str, list[dict[str, Any]]] = {}
    for connection, outcome, code, reply in attempts:
        if reply is not None:
            data = bytes(reply)
            kept = codec.load(vault.open(data[1:], "gather") if data[:1] == b"+" else data)
            answer = {name: kept[name] for name in ("status", "body") if kept.get(name) is not None}
        elif outcome == DELIVERED or code is None or not code.startswith("PIPE-2"):
            continue
        else:
            answer = {"error": code}
        replies.setdefault(connection, []).append(answer)
    return replies


def _say_unknown(case: Case, route: Route) -> None:
    first = route.config.to[0] if route.config.to else None
    if (
        route.synchronous
        and first is not None
        and first.connection is not None
        and first.connection not in case.replies
    ):
        case.replies[first.connection] = [{"status": 200, "body": {}}]
        case.unknown.append(first.connection)


def stored(connection: Connection, route: str, count: int) -> list[Any]:
    """The rows of the last accepted messages of a route, the oldest first."""
    m = schema.message
    newest = (
        select(m).where(m.c.route == route, m.c.stage == 0, m.c.origin.is_(None)).order_by(m.c.seq.desc()).limit(count)
    )
    return list(reversed(connection.execute(newest).mappings().all()))


def attempts_of(connection: Connection, id: str, seq: int, targets: Mapping[tuple[str, str], str]) -> list[Any]:
    """(connection, outcome, code, reply) of every attempt for a message and what its route made of it, in order."""
    m, d, a, item = schema.message.c, schema.delivery.c, schema.attempt.c, schema.gather_item.c
    children = [row.seq for row in connection.execute(select(m.seq).where((m.origin == id) | (m.parent == id)))]
    # The last good answer of a split's child is kept with its gather.
    gathered = (item.gather == m.gather) & (item.position == m.position)
    deliveries = (
        select(d.id, d.route, d.station, d.state, d.code, item.reply)
        .join(schema.message, m.seq == d.message)
        .join(schema.gather_item, gathered, isouter=True)
        .where(d.message.in_([seq, *children]))
        .order_by(d.id)
    )
    found: list[tuple[Any, ...]] = []
    for row in connection.execute(deliveries).all():
        name = targets.get((row.route, row.station))
        if name is None:
            continue
        tries = connection.execute(select(a.outcome, a.code, a.reply).where(a.delivery == row.id).order_by(a.n)).all()
        found += [(name, each.outcome, each.code, each.reply) for each in tries] or [
            (name, row.state, row.code, row.reply)
        ]
    return found
