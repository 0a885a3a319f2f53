"""Passwords: argon2id hashes, made and checked in threads; an unknown person costs the same time as a known one."""

from __future__ import annotations

from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, delete, insert, select

from flows.access.changes import Unit
from flows.access.tables import password
from flows.signin import challenges
from pipe import blocking

SHORTEST, LONGEST = 12, 256
PATIENCE_S = 20.0
"""how long a sign-in waits for a free thread: each hash takes 64 MiB, so few are made at once"""
_POOL = "signin"


class Passwords:
    """Makes and checks hashes."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody: str | None = None

    async def hash(self, text: str) -> str:
        """The hash to keep. Raises TimeoutError where too many are in the making."""
        return await blocking.run(_POOL, self._hasher.hash, text, timeout=PATIENCE_S)

    async def right(self, kept: str | None, text: str) -> bool:
        """Whether the password fits; None (nobody of that name, or no password) takes as long and never fits."""
        return await blocking.run(_POOL, self._right, kept, text[: LONGEST + 1], timeout=PATIENCE_S)

    def outdated(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def _right(self, kept: str | None, text: str) -> bool:
        if self._nobody is None:
            self._nobody = self._hasher.hash("nobody's")
        try:
            fits = self._hasher.verify(kept or self._nobody, text)
        except (VerificationError, InvalidHashError):
            return False
        return fits and kept is not None


def mistake(text: str, login: str = "", name: str = "") -> str | None:
    """What is wrong with a new password: short, long, plain, login; None where it will do."""
    if len(text) < SHORTEST:
        return "short"
    if len(text) > LONGEST:
        return "long"
    if len(set(text.casefold())) < 5 or text.casefold() in _COMMON:
        return "plain"
    words = [word for word in (login.partition("@")[0], *name.split()) if len(word) > 3]
    return "login" if any(word.casefold() in text.casefold() for word in words) else None


_COMMON = {"administrator", "adminadminadmin", "passwordpassword", "password1234", "qwertyuiop123", "123456789012"}


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a person's password."""

    hash: str
    must_change: bool
    expires_at: float | None

    def good(self, now: float) -> bool:
        """Whether it may be used now: one-time passwords end."""
        return self.expires_at is None or now < self.expires_at


def kept(connection: Connection, person: str) -> Kept | None:
    """The person's password; None where there is none."""
    row = connection.execute(select(password).where(password.c.person == person)).first()
    return Kept(row.hash, bool(row.must_change), row.expires_at) if row else None


def keep(tx: Unit, person: str, hashed: str, *, must_change: bool = False, expires_at: float | None = None) -> None:
    """Puts a hash in the place of the one before; a sign-in that is half done with that one ends."""
    forget(tx, person)
    challenges.drop_all_of(tx, person)
    row = {"person": person, "hash": hashed, "at": tx.now, "must_change": must_change, "expires_at": expires_at}
    tx.execute(insert(password), row)


def forget(tx: Unit, person: str) -> None:
    """The person has no password any more."""
    tx.execute(delete(password).where(password.c.person == person))
