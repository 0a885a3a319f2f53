"""The way in where no administrator is there yet: a password for once, a day at most, that opens one form only.

Whoever has it makes the first administrator, a person with a name; then it is gone.
"""

from __future__ import annotations

import hmac
import secrets

from sqlalchemy import Connection, delete, insert, select

from flows.access.changes import Unit
from flows.access.tables import person
from flows.signin.sessions import hashed
from flows.signin.tables import first

LOGIN = "admin"
LASTS_S = 86400.0
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""without those that are mistaken for one another"""


def make(tx: Unit) -> str:
    """A new one in the place of the one before; kept as a hash. 118 bits of chance need no slow hash."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(24))
    text = "-".join(letters[at : at + 4] for at in range(0, 24, 4))
    forget(tx)
    row = {"id": 1, "hash": hashed(text), "created_at": tx.now, "until": tx.now + LASTS_S}
    tx.execute(insert(first), row)
    tx.audit("signin.first_password_made", after={"until": tx.now + LASTS_S})
    return text


def nobody_yet(connection: Connection) -> bool:
    """Whether there is no person who may sign in; the first password is good for nothing as soon as there is one."""
    query = select(person.c.id).where(person.c.kind == "person", person.c.state == "active").limit(1)
    return connection.execute(query).first() is None


def until(connection: Connection, now: float) -> float | None:
    """When it ends; None where there is none that is good now."""
    if not nobody_yet(connection):
        return None
    row = connection.execute(select(first.c.created_at, first.c.until)).first()
    return float(row.until) if row is not None and row.created_at - 1 <= now < row.until else None


def right(connection: Connection, text: str, now: float) -> bool:
    """Whether the text is the password, now."""
    row = connection.execute(select(first.c.hash)).first()
    fits = hmac.compare_digest(row.hash if row else "", hashed(text.strip().lower()))
    return fits and until(connection, now) is not None


def forget(tx: Unit) -> bool:
    """It is gone; whether it was there."""
    return tx.execute(delete(first).returning(first.c.id)).first() is not None
