"""What adapters note about their partners: see `pipe.contract.Services.note`."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection, delete, select

from pipe.store.schema import memo
from pipe.store.transaction import Tx


def read(connection: Connection, owner: str, name: str) -> Any:
    """The value of that name; None where there is none."""
    c = memo.c
    value = connection.execute(select(c.value).where(c.connection == owner, c.name == name)).scalar()
    return None if value is None else orjson.loads(value)


def keep(tx: Tx, owner: str, name: str, value: Any) -> None:
    """Instead of what was there."""
    tx.execute(delete(memo).where(memo.c.connection == owner, memo.c.name == name))
    tx.insert(memo, connection=owner, name=name, value=orjson.dumps(value))
