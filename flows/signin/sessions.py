"""Sessions: rows, not cookies, so that one can be ended from here at once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from flows.access.changes import Unit
from flows.access.tables import session
from flows.access.words import joined, parted

IDLE_S, LONGEST_S = 15 * 60.0, 12 * 3600.0
SEEN_EVERY_S = 30.0
"""that it was used is written down at most so often"""
KEPT_S = 30 * 86400.0
"""ended ones are shown so long"""
FEED = "signin"
"""topic that says which sessions have begun and ended"""


@dataclass(frozen=True, slots=True)
class Session:
    """One that is good now."""

    id: str
    """SHA-256 of the cookie's token: names it, and opens nothing"""
    person: str
    created_at: float
    seen_at: float
    expires_at: float
    factors: frozenset[str]
    factor_at: float | None
    address: str
    agent: str


def new_token() -> str:
    """256 bits of chance, for a cookie."""
    return secrets.token_urlsafe(32)


def hashed(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def begin(
    tx: Unit, person: str, *, address: str, agent: str, factors: Sequence[str], longest: float = LONGEST_S
) -> str:
    """Starts one; returns the token for the cookie, which is kept nowhere. The first factor is not a second one."""
    token = new_token()
    row = {
        "id": hashed(token),
        "person": person,
        "created_at": tx.now,
        "seen_at": tx.now,
        "expires_at": tx.now + longest,
        "factors": joined(factors),
        "factor_at": tx.now if len(factors) > 1 else None,
        "address": address,
        "agent": agent[:200],
    }
    tx.execute(insert(session), row)
    tx.publish(FEED, {"began": person})
    return token


def find(connection: Connection, token: str, now: float, idle: float = IDLE_S) -> Session | None:
    """The session of a cookie, where it is good now."""
    return by_id(connection, hashed(token), now, idle)


def by_id(connection: Connection, id: str, now: float, idle: float = IDLE_S) -> Session | None:
    """The session of that id, where it is good now."""
    row = connection.execute(select(session).where(session.c.id == id)).first()
    if row is None or row.ended_at is not None or now >= min(row.expires_at, row.seen_at + idle):
        return None
    # Begun in the future: the clock was set back, and nobody knows how old it is.
    if row.created_at > now + idle:
        return None
    values = {name: getattr(row, name) for name in Session.__slots__}
    return Session(**{**values, "factors": parted(row.factors)})


def seen(tx: Unit, id: str) -> None:
    """Notes that it was used; an ended one stays ended."""
    tx.execute(update(session).where(session.c.id == id, session.c.ended_at.is_(None)).values(seen_at=tx.now))


def add_factor(tx: Unit, id: str, factor: str) -> None:
    """Notes that a second factor was shown in it, now."""
    row = tx.execute(select(session.c.factors).where(session.c.id == id)).first()
    if row is not None:
        factors = joined({*parted(row.factors), factor})
        tx.execute(update(session).where(session.c.id == id).values(factors=factors, factor_at=tx.now))


def end(tx: Unit, ids: Sequence[str], by: str) -> int:
    """Ends those of these that have not ended; open pages hear of it. Returns how many."""
    open_ = (session.c.id.in_(list(ids)), session.c.ended_at.is_(None))
    ending = update(session).where(*open_).values(ended_at=tx.now, ended_by=by).returning(session.c.id)
    ended = [row.id for row in tx.execute(ending)]
    if ended:
        tx.publish(FEED, {"ended": ended})
    return len(ended)


def end_all_of(tx: Unit, person: str, by: str, *, but: str | None = None) -> int:
    """Ends all of a person's, but for one."""
    query = select(session.c.id).where(session.c.person == person, session.c.ended_at.is_(None))
    return end(tx, [row.id for row in tx.execute(query) if row.id != but], by)


def sweep(tx: Unit) -> int:
    """Forgets what ended long ago; returns how many."""
    return len(tx.execute(delete(session).where(session.c.expires_at < tx.now - KEPT_S).returning(session.c.id)).all())
