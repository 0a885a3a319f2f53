"""Copies of chosen messages, each with something of its own: a route, a time, a body, a fate."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.rows import UNMADE, UNTRIED, Row, ids
from pipe.store import codec
from pipe.store.schema import PENDING, READY, RETRY

Vary = Callable[[int], Row]
"""what is different in the copy of that number: columns of the message and of its delivery"""
_MESSAGE = (
    "seq", "id", "route", "received_at", "kind", "body", "size", "envelope", "checksum", "order_key", "subject",
)  # fmt: skip
_DELIVERY = ("id", "message", "route", "station", "order_key", "done_at", "size")
_STORED_AT_ONCE = 20_000


def newest_of(data: Path, route: str) -> Row:
    """The newest delivery of a route, as a running gateway has it now; nothing where there is none."""
    with closing(sqlite3.connect(f"file:{data / 'pipe.db'}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM delivery WHERE route = ? ORDER BY id DESC LIMIT 1", (route,))
        return dict(found.fetchone() or {"state": ""})


class Copier:
    """Writes copies after all that is there, in the order in which they are asked for."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids = ids()
        self._seq = self._last("message", "seq")
        self._delivery = self._last("delivery", "id")
        self._deliveries = {row["route"]: row for row in self._rows("SELECT * FROM delivery")}
        self._originals = {row["route"]: row for row in self._rows("SELECT * FROM message")}
        for route, its in self._deliveries.items():
            if its["state"] in (READY, RETRY):
                its.update(UNTRIED)
                self._originals[route].update(UNMADE)
        self._ledger: Counter[tuple[str, str]] = Counter()

    def copy(self, route: str, number: int, vary: Vary) -> None:
        """So many copies of the message that the gateway took on that route."""
        original, its = self._originals[route], self._deliveries[route]
        beside = {
            table: self._rows(f"SELECT * FROM {table} WHERE delivery = {its['id']}")  # noqa: S608
            for table in ("attempt", "dead_letter")
        }
        for begin in range(0, number, _STORED_AT_ONCE):
            rows = [self._pair(original, its, vary(at)) for at in range(begin, min(number, begin + _STORED_AT_ONCE))]
            self._insert("message", [message for message, _ in rows], _MESSAGE)
            self._insert("delivery", [delivery for _, delivery in rows], _DELIVERY)
            for table, kept in beside.items():
                own = [{**row, "delivery": delivery["id"]} for _, delivery in rows for row in kept]
                self._insert(table, own, ("delivery",))

    def books(self) -> None:
        """Brings the ledger to what was copied."""
        self._connection.executemany(
            "INSERT INTO ledger (n, route, name) VALUES (?, ?, ?)"
            " ON CONFLICT (route, name) DO UPDATE SET n = n + excluded.n",
            [(n, *key) for key, n in self._ledger.items()],
        )

    def _pair(self, original: Row, its: Row, own: Row) -> tuple[Row, Row]:
        self._seq += 1
        self._delivery += 1
        id_ = next(self._ids)
        message = {**original, **{name: own[name] for name in _MESSAGE if name in own}, "seq": self._seq, "id": id_}
        body = bytes(message["body"])
        message["checksum"] = codec.checksum(id_, body, bytes(message["envelope"]))
        message["size"] = len(body) or original["size"]
        delivery = {**its, **{name: own[name] for name in _DELIVERY if name in own}}
        delivery |= {"id": self._delivery, "message": self._seq, "size": message["size"]}
        self._ledger[message["route"], "accepted"] += 1
        if delivery["state"] not in PENDING:
            self._ledger[message["route"], delivery["state"]] += 1
        return message, delivery

    def _insert(self, table: str, rows: list[Row], own: tuple[str, ...]) -> None:
        if not rows:
            return
        names = [name for name in rows[0] if name in own or rows[0][name] is not None]
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        self._connection.executemany(statement, ([row[name] for name in names] for row in rows))

    def _rows(self, query: str) -> list[Row]:
        return [dict(row) for row in self._connection.execute(query)]

    def _last(self, table: str, key: str) -> int:
        return int(self._connection.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0])  # noqa: S608


def asked_of(data: Path) -> dict[str, str]:
    """What pages and searches are asked for: a message of each kind, a code, a number in a body, a revision."""
    with closing(sqlite3.connect(f"file:{data / 'pipe.db'}?mode=ro", uri=True)) as connection:

        def one(query: str) -> str:
            return str(connection.execute(query).fetchone()[0])

        of = "SELECT m.id FROM delivery d JOIN message m ON m.seq = d.message WHERE d.{} ORDER BY d.id DESC LIMIT 1"
        text = one(
            "SELECT CAST(body AS TEXT) FROM message"
            " WHERE kind = 'bytes' AND route LIKE 'appeals%' ORDER BY seq DESC LIMIT 1"
        )
        return {
            "finished": one(of.format("state = 'delivered'")),
            "pending": one(of.format("done_at IS NULL AND d.state = 'ready'")),
            "dead": one(of.format("state = 'dead'")),
            "code": one("SELECT code FROM dead_letter ORDER BY delivery DESC LIMIT 1"),
            "number": text.rpartition("Звернення")[2].partition(" ")[0].partition('"')[0],
            "revision": one("SELECT id FROM revision ORDER BY at DESC LIMIT 1"),
        }
