"""Tables that sort, filter and page on the server: what is asked for stands in the address, so it can be sent on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from web.pages.forms import Input
from web.pages.words import PLACES, alphabetical

SIZE = 50
Shown = TypeVar("Shown")


class Query(Input):
    """What a table is asked for. Add fields for filters of your own."""

    q: str = Field(default="", max_length=200, description="Words to look for.")
    sort: str = Field(default="", max_length=40, description="Column to sort by; with `-` before it, from the end.")
    page: int = Field(default=1, ge=1, le=100_000, description="Which page, from 1.")


class Listing(BaseModel, Generic[Shown]):
    """One page of a table."""

    model_config = ConfigDict(frozen=True)

    rows: list[Shown] = Field(description="What is on this page.")
    total: int = Field(description="How many there are in all.")
    page: int = Field(description="Which page this is, from 1.")
    pages: int = Field(description="How many pages there are.")
    sort: str = Field(description="By what it is sorted.")
    size: int = Field(default=SIZE, description="How many there are on a page.")

    @property
    def first(self) -> int:
        """Number of the first row shown."""
        return (self.page - 1) * self.size + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """Number of the last row shown."""
        return (self.page - 1) * self.size + len(self.rows)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that can be sorted by, or looked into."""

    name: str
    column: ColumnElement[Any]
    search: bool = False
    words: bool = False
    """whether people's words stand in it, to be sorted as the alphabet has them"""

    def order(self) -> ColumnElement[Any]:
        """What is sorted by."""
        found = self.column
        for letter, place in PLACES.items() if self.words else ():
            found = func.replace(found, letter, place)
        return found


def listed(
    connection: Connection,
    query: Select[Any],
    ask: Query,
    columns: Sequence[Column],
    show: Callable[[Row[Any]], Shown],
    *,
    sort: str,
    last: ColumnElement[Any],
) -> Listing[Shown]:
    """One page of a query. `sort` is what holds where nothing (or nonsense) is asked; `last` decides between equals."""
    query = sought(query, ask, columns)
    total = connection.execute(select(func.count()).select_from(query.order_by(None).subquery())).scalar_one()
    by = {each.name: each.order() for each in columns}
    chosen = ask.sort if ask.sort.removeprefix("-") in by else sort
    column = by[chosen.removeprefix("-")]
    pages = max(1, -(-total // SIZE))
    page = min(ask.page, pages)
    order = column.desc() if chosen.startswith("-") else column.asc()
    rows = connection.execute(query.order_by(order, last).limit(SIZE).offset((page - 1) * SIZE))
    return Listing(rows=[show(row) for row in rows], total=total, page=page, pages=pages, sort=chosen)


def paged(
    rows: Iterable[Shown],
    ask: Query,
    by: Mapping[str, Callable[[Shown], Any]],
    *,
    sort: str,
    text: Callable[[Shown], str],
    size: int = SIZE,
) -> Listing[Shown]:
    """One page of what lies in memory, by the same rules: `by` are the columns, `text` is what words are sought in."""
    wanted = ask.q.casefold()
    found = [row for row in rows if wanted in text(row).casefold()]
    chosen = ask.sort if ask.sort.removeprefix("-") in by else sort
    key = by[chosen.removeprefix("-")]
    found.sort(key=lambda row: _sortable(key(row)), reverse=chosen.startswith("-"))
    pages = max(1, -(-len(found) // size))
    page = min(ask.page, pages)
    shown = found[(page - 1) * size : page * size]
    return Listing(rows=shown, total=len(found), page=page, pages=pages, sort=chosen, size=size)


def _sortable(value: Any) -> tuple[bool, Any]:
    """What is not there comes first, and words stand beside words whatever their letters' size."""
    return value is not None, alphabetical(value) if isinstance(value, str) else value or 0


def sought(query: Select[Any], ask: Query, columns: Sequence[Column]) -> Select[Any]:
    """The query with only the rows that hold the words looked for."""
    return query.where(or_(*(_holds(each.column, ask.q) for each in columns if each.search))) if ask.q else query


def _holds(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether the text stands in the column. SQLite knows cases of Latin letters only: each spelling is asked for."""
    spellings = {text, text.lower(), text.upper(), text.capitalize(), text.title()}
    return or_(*(column.contains(each, autoescape=True) for each in spellings))
