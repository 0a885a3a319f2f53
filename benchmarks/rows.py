"""Many messages without the time to receive them: the newest one of a gateway that stands still, copied.

What is written is what the gateway itself wrote, with ids and checksums of its own and the ledger to match: `pipe
ledger verify` finds nothing wrong with it. The indexes are made anew at the end, which is faster by far.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from pipe.clock import new_id
from pipe.store import codec
from pipe.store.retention import GONE
from pipe.store.schema import PENDING, READY, delivery, message

_QUICK = ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-1048576", "temp_store=MEMORY")
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_PREFIX = 20
"""signs of an id that all copies share; the other six count"""
_OF_AN_ATTEMPT = ("next_at", "output_kind", "output", "code", "status", "note", "ms")
Row = dict[str, Any]
UNTRIED: Row = {"state": READY, "attempts": 0, **dict.fromkeys(_OF_AN_ATTEMPT)}
"""a delivery that may have been tried: what its steps made carries its id, and none of its copies was tried"""
UNMADE: Row = dict.fromkeys(("output_kind", "output"))
"""its message"""


def multiply(data: Path, number: int, *, age_s: float = 0, gone: bool = False) -> None:
    """Writes so many copies of the newest message, `age_s` seconds older than it is; `gone`: with its body pruned."""
    with closing(bare(data)) as connection, refilled(connection):
        _copy(connection, number, age_s=age_s, gone=gone)


def bare(data: Path) -> sqlite3.Connection:
    """A connection to the tables of a gateway that stands still, which writes fast and not safely."""
    connection = sqlite3.connect(data / "pipe.db", isolation_level=None)
    connection.row_factory = sqlite3.Row
    for pragma in _QUICK:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


@contextmanager
def refilled(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction in which messages and deliveries have no indexes; they are made anew at its end."""
    connection.execute("BEGIN")
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master"
        " WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('message', 'delivery')"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    yield
    for _, sql in indexes:
        connection.execute(sql)
    connection.execute("COMMIT")


def _copy(connection: sqlite3.Connection, number: int, *, age_s: float, gone: bool) -> None:
    original = _newest(connection, message, "seq")
    its_delivery = _newest(connection, delivery, "id")
    assert its_delivery["message"] == original["seq"], "the newest message has one delivery"
    if its_delivery["state"] in PENDING:
        its_delivery |= UNTRIED
        original |= UNMADE
    if gone:
        original |= {"kind": GONE, "body": b"", "envelope": b"{}"}
    original["received_at"] -= age_s
    if its_delivery["done_at"] is not None:
        its_delivery["done_at"] -= age_s
    body, envelope = bytes(original["body"]), bytes(original["envelope"])
    first, first_delivery = original["seq"] + 1, its_delivery["id"] + 1
    places = range(number)
    checked = ((first + at, id_, codec.checksum(id_, body, envelope)) for at, id_ in zip(places, ids(), strict=False))
    _insert(connection, message, original, ("seq", "id", "checksum"), checked)
    numbered = ((first_delivery + at, first + at) for at in places)
    _insert(connection, delivery, its_delivery, ("id", "message"), numbered)
    totals = ["accepted"] if its_delivery["state"] in PENDING else ["accepted", its_delivery["state"]]
    for name in totals:
        connection.execute(
            "UPDATE ledger SET n = n + ? WHERE route = ? AND name = ?", (number, original["route"], name)
        )


def _newest(connection: sqlite3.Connection, table: Table, key: str) -> Row:
    return dict(connection.execute(f"SELECT * FROM {table.name} ORDER BY {key} DESC LIMIT 1").fetchone())  # noqa: S608


def _insert(
    connection: sqlite3.Connection, table: Table, original: Row, own: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Copies of one row that differ in the columns `own` only."""
    same = {name: value for name, value in original.items() if name not in own and value is not None}
    names, places = ", ".join((*own, *same)), ", ".join("?" * (len(own) + len(same)))
    values = tuple(same.values())
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({places})"  # noqa: S608 - names of our own tables
    connection.executemany(statement, (row + values for row in rows))


def ids() -> Iterator[str]:
    """Ids as of now, each higher than the one before, so that their index grows at its end."""
    prefix = new_id()[:_PREFIX]
    for at in range(1 << 30):
        yield prefix + "".join([_DIGITS[at >> shift & 31] for shift in (25, 20, 15, 10, 5, 0)])
