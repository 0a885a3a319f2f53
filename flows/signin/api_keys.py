"""Keys of programs: shown once, kept as hashes; two may live at a time, so that one can be replaced without a gap."""

from __future__ import annotations

import hmac
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from flows.access.tables import key
from flows.access.words import covers, joined, parted
from flows.signin.sessions import hashed
from pipe.errors import BadRequest
from pipe.refusing import refused
from pipe.store.transaction import Tx

PREFIX = "pipeapi"
LIVE_AT_ONCE = 2
LONGEST_S = 366 * 86400.0
USED_EVERY_S = 60.0
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Key:
    """One that is good now."""

    id: str
    person: str
    permissions: frozenset[str]
    """patterns; none: all that its owner may"""
    used_at: float | None

    def covers(self, permission: str) -> bool:
        """Whether the key may be used for this, if its owner may do it."""
        return not self.permissions or any(covers(pattern, permission) for pattern in self.permissions)


def issue(tx: Tx, person: str, *, name: str, permissions: Iterable[str], lasts: float, by: str) -> tuple[str, str]:
    """A new key: its id, and the key, which is kept nowhere. Raises BadRequest where two live already."""
    live = select(key.c.id).where(key.c.person == person, key.c.revoked_at.is_(None), key.c.expires_at > tx.now)
    if len(tx.execute(live).all()) >= LIVE_AT_ONCE:
        raise refused(BadRequest, "two_keys")
    name_of_key, secret = _chance(8), _chance(52)
    whole = f"{PREFIX}_{name_of_key}_{secret}_{_checksum(name_of_key + secret)}"
    tx.insert(
        key,
        id=name_of_key,
        person=person,
        name=name,
        hash=hashed(whole),
        permissions=joined(permissions),
        created_at=tx.now,
        created_by=by,
        expires_at=tx.now + min(lasts, LONGEST_S),
    )
    return name_of_key, whole


def find(connection: Connection, whole: str, now: float) -> Key | None:
    """The key that these letters are, where it is good now."""
    parts = whole.split("_")
    if len(parts) != 4 or parts[0] != PREFIX or parts[3] != _checksum(parts[1] + parts[2]):
        return None
    row = connection.execute(select(key).where(key.c.id == parts[1])).first()
    if not hmac.compare_digest(row.hash if row else "", hashed(whole)):
        return None
    assert row is not None
    if row.revoked_at is not None or not row.created_at - 1 <= now < row.expires_at:
        return None
    return Key(row.id, row.person, parted(row.permissions), row.used_at)


def used(tx: Tx, id: str) -> None:
    """Notes that it was used."""
    tx.execute(update(key).where(key.c.id == id).values(used_at=tx.now))


def end(tx: Tx, id: str, by: str) -> bool:
    """Revokes a key, at once; whether it was live."""
    live = update(key).where(key.c.id == id, key.c.revoked_at.is_(None))
    ended = live.values(revoked_at=tx.now, revoked_by=by).returning(key.c.id)
    return tx.execute(ended).first() is not None


def _chance(signs: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(signs))


def _checksum(text: str) -> str:
    """Tells a mistyped key from an unknown one, and lets scanners of leaked texts know it for ours."""
    number = zlib.crc32(text.encode())
    return "".join(_LETTERS[number >> shift & 31] for shift in range(0, 30, 5))
