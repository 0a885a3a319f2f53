"""What a unit of work may do. Its counts, events and wake-ups take effect with the commit or vanish with a rollback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, Executable, Result, insert

from pipe.store.audit import append_audit
from pipe.store.statements import Statement

if TYPE_CHECKING:
    from pipe.store.writer import Committed

_ADD = Statement(
    "INSERT INTO ledger (route, name, n) VALUES (:route, :name, :n) "
    "ON CONFLICT (route, name) DO UPDATE SET n = ledger.n + excluded.n"
)  # fmt: skip
_PUBLISH = Statement("INSERT INTO feed (seq, topic, at, event) VALUES (:seq, :topic, :at, :event)")


class Tx:
    """One group's transaction; each unit gets it in turn, between `savepoint` and `release` or `rollback`."""

    def __init__(
        self,
        connection: Connection,
        now: float,
        new_id: Callable[[], str],
        sequences: dict[str, int],
        committed: Committed,
    ) -> None:
        self.connection = connection
        self.cursor = connection.connection.cursor()
        self.dialect = connection.dialect.name
        self.now = now
        self.new_id = new_id
        self.actor = "gateway"
        self._sequences = sequences
        self._committed = committed
        self._counts: dict[tuple[str, str], int] = {}
        self._unit_counts: dict[tuple[str, str], int] = {}
        self._unit_bytes: dict[str, int] = {}
        self._unit_ready: list[Any] = []
        self._unit_topics: list[str] = []
        self._unit_ended: set[int] = set()
        self._ended: set[int] = set()
        self._unit_due: float | None = None

    # --- SQL ---

    def execute(self, statement: Executable, parameters: Any = None) -> Result[Any]:
        """Runs a statement of SQLAlchemy Core."""
        return self.connection.execute(statement, parameters)

    def execute_text(self, sql: str) -> None:
        """Runs SQL that has no other form, such as a PRAGMA."""
        self.connection.exec_driver_sql(sql)

    def run(self, statement: Statement, parameters: Mapping[str, Any]) -> Any:
        """Runs a hot statement straight on the driver; returns its cursor."""
        self.cursor.execute(statement.sql[self.dialect], parameters)
        return self.cursor

    def run_many(self, statement: Statement, rows: list[dict[str, Any]]) -> None:
        """Runs a hot statement for each row."""
        if rows:
            self.cursor.executemany(statement.sql[self.dialect], rows)

    def number(self, table: str) -> int:
        """The next number of a table. Numbers grow in commit order; some are skipped by rollbacks."""
        self._sequences[table] = number = self._sequences.get(table, 0) + 1
        return number

    # --- what takes effect with the commit ---

    def count(self, route: str, name: str, n: int = 1) -> None:
        """Adds to a total of the ledger."""
        key = (route, name)
        self._unit_counts[key] = self._unit_counts.get(key, 0) + n

    def weigh(self, route: str, size: int) -> None:
        """Adds to the bytes that wait on a route."""
        self._unit_bytes[route] = self._unit_bytes.get(route, 0) + size

    def ready(self, work: Any) -> None:
        """Hands work to the engine after the commit."""
        self._unit_ready.append(work)
        self._unit_ended.discard(_number(work))

    def ended(self, delivery: int) -> None:
        """Takes a delivery back that was handed over in this commit and ended in it."""
        self._unit_ended.add(delivery)

    def due(self, at: float) -> None:
        """Tells the engine's scheduler that something becomes due."""
        if self._unit_due is None or at < self._unit_due:
            self._unit_due = at

    def publish(self, topic: str, event: Mapping[str, Any]) -> int:
        """Appends to a feed; returns the event's number."""
        seq = self.number("feed")
        self.run(_PUBLISH, {"seq": seq, "topic": topic, "at": self.now, "event": orjson.dumps(event)})
        self._unit_topics.append(topic)
        return seq

    def audit(
        self, event: str, *, before: Any = None, after: Any = None, target: str = "", actor: str | None = None
    ) -> None:
        """Writes who did what, chained to the row before."""
        append_audit(self, event, before, after, target, actor or self.actor)

    def insert(self, table: Any, **values: Any) -> None:
        """Inserts one row of a table of the schema."""
        self.connection.execute(insert(table), values)

    # --- the writer's side ---

    def savepoint(self) -> None:
        """Begins a unit."""
        self.cursor.execute("SAVEPOINT unit")
        self._unit_counts, self._unit_bytes, self._unit_ready, self._unit_topics, self._unit_due = {}, {}, [], [], None
        self._unit_ended = set()
        self.actor = "gateway"

    def release(self) -> None:
        """Keeps a unit."""
        self.cursor.execute("RELEASE SAVEPOINT unit")
        for key, n in self._unit_counts.items():
            self._counts[key] = self._counts.get(key, 0) + n
        for route, size in self._unit_bytes.items():
            self._committed.bytes[route] = self._committed.bytes.get(route, 0) + size
        if self._ended or self._unit_ended:
            self._ended = (self._ended - {_number(work) for work in self._unit_ready}) | self._unit_ended
        self._committed.ready += self._unit_ready
        self._committed.topics.update(self._unit_topics)
        if self._unit_due is not None and (self._committed.due is None or self._unit_due < self._committed.due):
            self._committed.due = self._unit_due

    def rollback(self) -> None:
        """Undoes a unit."""
        self.cursor.execute("ROLLBACK TO SAVEPOINT unit")
        self.cursor.execute("RELEASE SAVEPOINT unit")

    def flush(self) -> None:
        """Writes the group's counts, once for each total."""
        self._committed.counts = self._counts
        if self._ended:
            self._committed.ready = [work for work in self._committed.ready if _number(work) not in self._ended]
        self.run_many(_ADD, [{"route": route, "name": name, "n": n} for (route, name), n in self._counts.items() if n])


def _number(work: Any) -> int:
    """The delivery's number, whether the whole work was handed over or only where it lies."""
    number: int = work[2] if isinstance(work, tuple) else work.id
    return number
