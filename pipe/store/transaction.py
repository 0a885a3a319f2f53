"""What a unit of work may do. Its rows, counts, events and wake-ups take effect with the commit or vanish with it.

A group of units shares one transaction. What a unit only adds (`later`) waits in memory and is written with that of the
others by a few statements; a unit that needs the database at once (`run`, `execute`) gets a savepoint of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, Executable, Result, insert

from pipe.store.audit import append_audit
from pipe.store.batch import Batch, Row, Rows
from pipe.store.faults import is_disk
from pipe.store.statements import Statement

if TYPE_CHECKING:
    from pipe.store.writer import Committed

_LEDGER = Rows("ledger", "route", "name", "n", tail="ON CONFLICT (route, name) DO UPDATE SET n = ledger.n + excluded.n")
_FEED = Rows("feed", "seq", "topic", "at", "event")


@dataclass(slots=True)
class UnitOfWork:
    """What one unit did to the transaction, until the group is written."""

    rows: list[tuple[Batch, Row, Callable[[Tx, bool], None] | None]] = field(default_factory=list)
    counts: list[tuple[str, str, int]] = field(default_factory=list)
    weights: list[tuple[str, int]] = field(default_factory=list)
    ready: list[Any] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    due: float | None = None
    saved: bool = False
    """whether it has a savepoint"""
    error: Exception | None = None
    """why nothing of it is kept"""


class Tx:
    """One group's transaction; each unit gets it in turn, between `begin` and `keep` or `undo`."""

    def __init__(
        self,
        connection: Connection,
        now: float,
        new_id: Callable[[], str],
        sequences: dict[str, int],
        committed: Committed,
    ) -> None:
        self._connection = connection
        self._cursor = connection.connection.cursor()
        self.dialect = connection.dialect.name
        self.now = now
        self.new_id = new_id
        self.actor = "gateway"
        self._sequences = sequences
        self._committed = committed
        self._units: list[UnitOfWork] = []
        self._waiting: list[UnitOfWork] = []
        """units with rows that are not written yet"""
        self._expected: set[tuple[Batch, Hashable]] = set()
        self._fresh = True
        """whether nothing was written since the transaction began"""
        self._unit = UnitOfWork()

    # --- SQL ---

    @property
    def connection(self) -> Connection:
        """The connection itself, all that was added so far within sight."""
        self._at_once()
        return self._connection

    def execute(self, statement: Executable, parameters: Any = None) -> Result[Any]:
        """Runs a statement of SQLAlchemy Core."""
        return self.connection.execute(statement, parameters)

    def execute_text(self, sql: str) -> None:
        """Runs SQL that has no other form, such as a PRAGMA."""
        self.connection.exec_driver_sql(sql)

    def run(self, statement: Statement, parameters: Mapping[str, Any]) -> Any:
        """Runs a hot statement straight on the driver; returns its cursor."""
        self._at_once()
        self._cursor.execute(statement.sql[self.dialect], parameters)
        return self._cursor

    def find(self, statement: Statement, parameters: Mapping[str, Any], batch: Batch, key: Hashable) -> Any:
        """Runs a hot query that asks for what `later(batch, …, key)` adds, and for nothing else."""
        if (batch, key) in self._expected:
            self._at_once()
        self._cursor.execute(statement.sql[self.dialect], parameters)
        return self._cursor

    def later(
        self, batch: Batch, row: Row, key: Hashable = None, then: Callable[[Tx, bool], None] | None = None
    ) -> None:
        """Adds a row, to be written with those of other units.

        `key` is what others may look for before that. `then` hears whether there was a row to be written or changed; it
        may count and run statements, but add no rows.
        """
        self._unit.rows.append((batch, row, then))
        if key is not None:
            self._expected.add((batch, key))

    def number(self, table: str) -> int:
        """The next number of a table. Numbers grow in commit order; some are skipped by rollbacks."""
        self._sequences[table] = number = self._sequences.get(table, 0) + 1
        return number

    # --- what takes effect with the commit ---

    def count(self, route: str, name: str, n: int = 1) -> None:
        """Adds to a total of the ledger."""
        self._unit.counts.append((route, name, n))

    def weigh(self, route: str, size: int) -> None:
        """Adds to the bytes that wait on a route."""
        self._unit.weights.append((route, size))

    def ready(self, work: Any) -> None:
        """Hands work to the engine after the commit."""
        self._unit.ready.append(work)
        if self._unit.ended:
            number = _number(work)
            self._unit.ended = [ended for ended in self._unit.ended if ended != number]

    def ended(self, delivery: int) -> None:
        """Takes a delivery back that was handed over in this commit and ended in it."""
        self._unit.ended.append(delivery)

    def due(self, at: float) -> None:
        """Tells the engine's scheduler that something becomes due."""
        if self._unit.due is None or at < self._unit.due:
            self._unit.due = at

    def publish(self, topic: str, event: Mapping[str, Any]) -> int:
        """Appends to a feed; returns the event's number."""
        seq = self.number("feed")
        self.later(_FEED, (seq, topic, self.now, orjson.dumps(event)))
        self._unit.topics.append(topic)
        return seq

    def audit(
        self, event: str, *, before: Any = None, after: Any = None, target: str = "", actor: str | None = None
    ) -> None:
        """Keeps who did what, chained to the row before."""
        append_audit(self, event, before, after, target, actor or self.actor)

    def insert(self, table: Any, **values: Any) -> None:
        """Inserts one row of a table of the schema."""
        self.connection.execute(insert(table), values)

    # --- the writer's side ---

    def begin(self) -> None:
        """Begins a unit."""
        self._unit = UnitOfWork()
        self.actor = "gateway"

    def keep(self) -> UnitOfWork:
        """Ends a unit that did well. What becomes of it is known after `flush`."""
        unit = self._unit
        if unit.saved:
            self._cursor.execute("RELEASE SAVEPOINT unit")
        if unit.rows:
            self._waiting.append(unit)
        self._units.append(unit)
        return unit

    def undo(self, error: Exception) -> UnitOfWork:
        """Ends a unit that raised: nothing of it stays."""
        unit = self._unit
        if unit.saved:
            self._cursor.execute("ROLLBACK TO SAVEPOINT unit")
            self._cursor.execute("RELEASE SAVEPOINT unit")
        unit.error = error
        self._write_waiting()  # nobody may go on expecting what this unit had added
        self._expected.clear()
        return unit

    def flush(self) -> None:
        """Writes what waits, and the group's totals, once for each. Raises what means that the disk is at fault."""
        self._write_waiting()
        counts: dict[tuple[str, str], int] = {}
        ended: set[int] = set()
        for unit in self._units:
            if unit.error is None:
                self._take_effect(unit, counts, ended)
        committed = self._committed
        committed.counts = counts
        if ended:
            committed.ready = [work for work in committed.ready if _number(work) not in ended]
        totals = [(route, name, n) for (route, name), n in counts.items() if n]
        self._write(_LEDGER, totals)

    def _take_effect(self, unit: UnitOfWork, counts: dict[tuple[str, str], int], ended: set[int]) -> None:
        committed = self._committed
        for route, name, n in unit.counts:
            counts[route, name] = counts.get((route, name), 0) + n
        for route, size in unit.weights:
            committed.bytes[route] = committed.bytes.get(route, 0) + size
        if ended:
            ended.difference_update(map(_number, unit.ready))
        ended.update(unit.ended)
        committed.ready += unit.ready
        committed.topics.update(unit.topics)
        if unit.due is not None and (committed.due is None or unit.due < committed.due):
            committed.due = unit.due

    # --- rows that wait ---

    def _at_once(self) -> None:
        """What waits must be on the table, and what follows must be undoable by itself."""
        unit = self._unit
        if not unit.saved:
            self._write_waiting()
            self._cursor.execute("SAVEPOINT unit")
            unit.saved, self._fresh = True, False
        if unit.rows:
            self._tell(unit, self._write_each(unit))

    def _write_waiting(self) -> None:
        if not self._waiting:
            return
        units, self._waiting = self._waiting, []
        self._expected.clear()
        # The first to write needs no savepoint: every call of the driver waits for the interpreter's lock.
        first, self._fresh = self._fresh, False
        if not first:
            self._cursor.execute("SAVEPOINT rows")
        try:
            whole = self._write_rows(units)
        except Exception as error:  # boundary: a row that the database refuses is its own unit's failure
            if is_disk(error):
                raise
            whole = False
        if whole:
            for unit in units:
                self._tell(unit, repeat(True))
        else:
            self._undo_rows(first=first)
            for unit in units:
                self._write_alone(unit)
        if not first:
            self._cursor.execute("RELEASE SAVEPOINT rows")

    def _undo_rows(self, *, first: bool) -> None:
        """A row was refused, or is no longer there to be changed; whose it is shows when each unit writes alone."""
        if not first:
            self._cursor.execute("ROLLBACK TO SAVEPOINT rows")
            return
        self._cursor.execute("ROLLBACK")
        if self.dialect == "sqlite":  # the other driver begins by itself
            self._cursor.execute("BEGIN IMMEDIATE")

    def _write_alone(self, unit: UnitOfWork) -> None:
        self._cursor.execute("SAVEPOINT alone")
        try:
            found = self._write_each(unit)
        except Exception as error:  # boundary: told to the unit's caller
            if is_disk(error):
                raise
            self._cursor.execute("ROLLBACK TO SAVEPOINT alone")
            unit.error = error
        else:
            self._tell(unit, found)
        self._cursor.execute("RELEASE SAVEPOINT alone")

    def _write_rows(self, units: list[UnitOfWork]) -> bool:
        """Writes the rows by few statements; whether each was there to be written."""
        by_batch: dict[Batch, list[Row]] = {}
        for unit in units:
            for batch, row, _ in unit.rows:
                known = by_batch.get(batch)
                if known is None:
                    by_batch[batch] = [row]
                else:
                    known.append(row)
        written = [self._write(batch, rows) == len(rows) for batch, rows in by_batch.items()]
        return all(written)

    def _write_each(self, unit: UnitOfWork) -> list[bool]:
        """The same for one unit; which of its rows were there."""
        if all(then is None for _, _, then in unit.rows):
            return [self._write_rows([unit])] * len(unit.rows)
        return [self._write(batch, [row]) == 1 for batch, row, _ in unit.rows]

    def _tell(self, unit: UnitOfWork, found: Iterable[bool]) -> None:
        """Lets a unit hear of its rows, which are written. What fails here fails the group: nothing is left out."""
        current = self._unit
        rows, unit.rows = unit.rows, []
        for (_, _, then), there in zip(rows, found, strict=False):
            if then is not None:
                self._unit, unit.saved = unit, True  # it is undone with the group from here on, not by itself
                then(self, there)
        self._unit = current

    def _write(self, batch: Batch, rows: list[Row]) -> int:
        return batch.write(self._cursor, self.dialect, rows)


def _number(work: Any) -> int:
    """The delivery's number, whether the whole work was handed over or only where it lies."""
    number: int = work[2] if isinstance(work, tuple) else work.id
    return number
