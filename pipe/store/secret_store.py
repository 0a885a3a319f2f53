"""Secrets kept in the store, encrypted with the master key: `${secret:NAME}`. Written here, never shown again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, func, select

from pipe.errors import BadRequest
from pipe.store.schema import secret
from pipe.store.transaction import Tx
from pipe.store.vault import Vault

if TYPE_CHECKING:
    from pipe.store.store import Store

LIVE = 2
"""values kept for each name: the newest is used, the one before it is still accepted"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class SecretStore:
    """Today's values in memory; `load` takes up what was written."""

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}

    async def load(self, store: Store) -> None:
        """Reads all values. Raises RowDamaged or SecretMissing where the master key does not fit."""
        self._values = await store.read(lambda connection: _opened(connection, store.vault))

    def get(self, name: str) -> str | None:
        """The newest value; None where there is none of that name."""
        return values[0] if (values := self._values.get(name)) else None

    def accepted(self, name: str) -> list[str]:
        """All live values, the newest first: what callers may still use while a secret is being changed."""
        return list(self._values.get(name, ()))


def put(tx: Tx, vault: Vault, name: str, value: str, actor: str) -> int:
    """Stores a new value and forgets all but the one before; returns its version."""
    _checked(name)
    if not value:
        raise BadRequest("an empty value is no secret")
    version = (tx.execute(select(func.max(secret.c.version)).where(secret.c.name == name)).scalar() or 0) + 1
    sealed = vault.seal(value.encode(), _about(name))
    tx.insert(secret, name=name, version=version, value=sealed, at=tx.now, by=actor)
    tx.execute(delete(secret).where(secret.c.name == name, secret.c.version <= version - LIVE))
    tx.audit("secret.set", after={"version": version}, target=name, actor=actor)
    return version


def remove(tx: Tx, name: str, actor: str, reason: str) -> int:
    """Forgets all values of a name; returns how many there were."""
    gone = len(tx.execute(delete(secret).where(secret.c.name == name).returning(secret.c.version)).fetchall())
    if gone:
        tx.audit("secret.removed", before={"values": gone}, after={"reason": reason}, target=name, actor=actor)
    return gone


def listed(connection: Connection) -> list[dict[str, Any]]:
    """Names and times; values never leave."""
    s = secret.c
    newest = (
        select(s.name, func.max(s.version).label("version"), func.count().label("live")).group_by(s.name).subquery()
    )
    joined = select(s.name, s.version, s.at, s.by, newest.c.live).join(
        newest, (newest.c.name == s.name) & (newest.c.version == s.version)
    )
    return [dict(row) for row in connection.execute(joined.order_by(s.name)).mappings()]


def _opened(connection: Connection, vault: Vault) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for row in connection.execute(select(secret).order_by(secret.c.name, secret.c.version.desc())).mappings():
        values.setdefault(row["name"], []).append(vault.open(bytes(row["value"]), _about(row["name"])).decode())
    return values


def _about(name: str) -> str:
    return f"secret {name}"


def _checked(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadRequest(f"`{name}` cannot be the name of a secret: letters, digits, `_`, `.` and `-` can")
