"""Codes of an authenticator app (RFC 6238): six digits, 30 seconds, each good once."""

from __future__ import annotations

import base64
import hmac
import secrets
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy import Connection, delete, insert, select, update

from flows.access.changes import Unit
from flows.access.tables import totp
from pipe.store.vault import Vault

DIGITS, STEP_S, WINDOW = 6, 30, 1
SECRET_BYTES = 20
ISSUER = "PIPE"


def new_secret() -> bytes:
    """160 bits of chance."""
    return secrets.token_bytes(SECRET_BYTES)


def spelled(secret: bytes) -> str:
    """The secret as a person types it."""
    text = base64.b32encode(secret).decode()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def address(secret: bytes, login: str) -> str:
    """What the QR code says."""
    query = urlencode({"secret": base64.b32encode(secret).decode(), "issuer": ISSUER, "digits": DIGITS})
    return f"otpauth://totp/{quote(f'{ISSUER}:{login}')}?{query}"


def step_of(secret: bytes, code: str, now: float, after: int = -1) -> int | None:
    """The time step that the code belongs to, at most one before or after now, and later than `after`; else None."""
    # RFC 6238 means SHA-1, and authenticator apps know no other; HMAC is not touched by its collisions.
    codes = TOTP(secret, DIGITS, SHA1(), STEP_S, enforce_key_length=False)  # noqa: S303
    found = None
    for step in range(int(now // STEP_S) - WINDOW, int(now // STEP_S) + WINDOW + 1):
        if hmac.compare_digest(codes.generate(step * STEP_S), code.encode()) and step > after:
            found = step
    return found


def set_up(tx: Unit, vault: Vault, person: str) -> bytes:
    """Gives the person a new secret, to be confirmed with a code, in the place of any there is."""
    secret = new_secret()
    tx.execute(delete(totp).where(totp.c.person == person))
    row = {
        "person": person,
        "secret": vault.seal(secret, _about(person)),
        "at": tx.now,
        "confirmed_at": None,
        "last_step": -1,
    }
    tx.execute(insert(totp), row)
    return secret


def secret_of(connection: Connection, vault: Vault, person: str, *, confirmed: bool) -> bytes | None:
    """The secret; None where the person has none that is (or is not yet) confirmed."""
    row = connection.execute(select(totp.c.secret, totp.c.confirmed_at).where(totp.c.person == person)).first()
    if row is None or (row.confirmed_at is not None) != confirmed:
        return None
    return vault.open(bytes(row.secret), _about(person))


def use(tx: Unit, vault: Vault, person: str, code: str, *, confirmed: bool = True) -> bool:
    """Whether the code is right now; it is spent with that. An unconfirmed secret is confirmed by it."""
    row = tx.execute(select(totp).where(totp.c.person == person)).first()
    if row is None or (row.confirmed_at is not None) != confirmed:
        return False
    step = step_of(vault.open(bytes(row.secret), _about(person)), code, tx.now, row.last_step)
    if step is None:
        return False
    when = row.confirmed_at if confirmed else tx.now
    tx.execute(update(totp).where(totp.c.person == person).values(last_step=step, confirmed_at=when))
    return True


def forget(tx: Unit, person: str) -> bool:
    """Takes the app's secret away; whether there was one."""
    return tx.execute(delete(totp).where(totp.c.person == person).returning(totp.c.person)).first() is not None


def has(connection: Connection, person: str) -> bool:
    """Whether the person has confirmed one."""
    query = select(totp.c.person).where(totp.c.person == person, totp.c.confirmed_at.is_not(None))
    return connection.execute(query).first() is not None


def _about(person: str) -> str:
    return f"totp:{person}"
