"""Statements over many rows: what a group of units leaves behind is written by a handful of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

SIZES = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
"""rows in one statement: few enough sizes that each stays prepared, close enough that most groups need two at most"""
Row = tuple[Any, ...]


class Batch:
    """One statement with a row of values repeated in it: `VALUES (…), (…)` between `head` and `tail`."""

    def __init__(self, head: str, width: int, tail: str = "", types: Sequence[str] = ()) -> None:
        """`types` are PostgreSQL's, for values that stand where no column tells theirs."""
        self._head, self._width, self._tail, self._types = head, width, tail, types
        self._made: dict[tuple[str, int], str] = {}

    def write(self, cursor: Any, dialect: str, rows: Sequence[Row]) -> int:
        """Writes all rows, in order; how many there were to be written or changed."""
        at = written = 0
        while at < len(rows):
            size = next(size for size in SIZES if size <= len(rows) - at)
            cursor.execute(self._sql(dialect, size), tuple(chain.from_iterable(rows[at : at + size])))
            written += cursor.rowcount
            at += size
        return written

    def _sql(self, dialect: str, size: int) -> str:
        sql = self._made.get((dialect, size))
        if sql is None:
            sql = self._made[dialect, size] = f"{self._head} {self._values(dialect, size)} {self._tail}"
        return sql

    def _values(self, dialect: str, size: int) -> str:
        if dialect == "sqlite":
            return "VALUES " + ", ".join(["(" + ", ".join("?" * self._width) + ")"] * size)
        plain = "(" + ", ".join(["%s"] * self._width) + ")"
        first = "(" + ", ".join(f"%s::{name}" for name in self._types) + ")" if self._types else plain
        return "VALUES " + ", ".join([first] + [plain] * (size - 1))


class Rows(Batch):
    """An INSERT. Its rows wait in the transaction until something must see them, or the group ends."""

    def __init__(self, table: str, *columns: str, tail: str = "") -> None:
        super().__init__(f"INSERT INTO {table} ({', '.join(columns)})", len(columns), tail)
