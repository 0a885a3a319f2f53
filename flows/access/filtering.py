"""A predicate as the WHERE of a list: the same answer as the decision, row by row, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Dialect,
    String,
    TypeDecorator,
    and_,
    false,
    func,
    literal,
    not_,
    or_,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeEngine

from flows.access.predicate import Bar, Predicate, Region
from flows.access.words import HIGHEST

FEW = 5
"""values that are compared one by one"""


@dataclass(frozen=True, slots=True)
class Protected:
    """Where a table keeps what rights ask for. What a table does not have, none of its rows has."""

    company: ColumnElement[Any] | None = None
    unit: ColumnElement[Any] | None = None
    owner: ColumnElement[Any] | None = None
    level: ColumnElement[Any] | None = None
    """a table without one holds what is open; NULL in a row means the highest"""
    tags: ColumnElement[Any] | None = None
    """`|a|b|`, as `words.joined` writes them"""
    state: ColumnElement[Any] | None = None
    did: Mapping[str, ColumnElement[Any]] = field(default_factory=dict)
    """permission → the column with the person who used it on this row"""


def condition(predicate: Predicate, table: Protected, factor_age: float | None = None) -> ColumnElement[bool]:
    """True for the rows on which the person may. Rows are never fetched first and left out later."""
    allows = [
        _all(_among(allow.region, table, predicate.person), _up_to(allow.level, table)) for allow in predicate.allows
    ]
    allowed = _any(allows)
    stops = [
        _all(_among(bar.region, table, predicate.person), _from(bar.level, table))
        for bar in predicate.bars
        if _stands(bar, factor_age)
    ]
    stops += [table.did[other] == predicate.person for other, _ in predicate.after if other in table.did]
    # NULL is no answer: a row whose company nobody knows is not forbidden for one company.
    return _all([allowed], [not_(func.coalesce(stop, false())) for stop in stops])


def _stands(bar: Bar, factor_age: float | None) -> bool:
    return bar.factor_within is None or factor_age is None or factor_age > bar.factor_within


def _among(region: Region, table: Protected, person: str) -> list[ColumnElement[bool]]:
    parts = []
    if region.companies is not None:
        parts.append(_one_of(table.company, region.companies))
    if region.units is not None:
        parts.append(_one_of(table.unit, region.units))
    if region.own:
        parts.append(_one_of(table.owner, {person}))
    if region.tags:
        tags = table.tags
        parts.append(_any([Holds(tags, f"|{tag}|") for tag in sorted(region.tags)]) if tags is not None else false())
    if region.states:
        parts.append(_one_of(table.state, region.states))
    return parts


def _one_of(column: ColumnElement[Any] | None, values: frozenset[str] | set[str]) -> ColumnElement[bool]:
    if column is None:
        return false()
    if len(values) == 1:
        return column == next(iter(values))
    return column.in_(sorted(values)) if len(values) <= FEW else Among(column, sorted(values))


def _up_to(level: int, table: Protected) -> list[ColumnElement[bool]]:
    if table.level is None:
        return [] if level >= 0 else [false()]
    return [_level(table.level) <= level]


def _from(level: int, table: Protected) -> list[ColumnElement[bool]]:
    if table.level is None:
        return [] if level <= 0 else [false()]
    return [_level(table.level) >= level] if level > 0 else []


def _level(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """An index can be used where there is nothing to stand in for."""
    return func.coalesce(column, HIGHEST) if getattr(column, "nullable", True) else column


def _all(*parts: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    return and_(true(), *(each for some in parts for each in some))


def _any(parts: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    return or_(false(), *parts)


class _Texts(TypeDecorator[Any]):
    """Several texts in one parameter: a statement is the same however many there are, and need not be made anew."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """An array where there are arrays."""
        return dialect.type_descriptor(ARRAY(String()) if dialect.name == "postgresql" else String())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """JSON for SQLite, an array for PostgreSQL."""
        return value if dialect.name == "postgresql" else json.dumps(value)


class Among(FunctionElement[bool]):
    """Whether a column has one of many values."""

    type = Boolean()
    inherit_cache = True
    name = "among"

    def __init__(self, column: ColumnElement[Any], values: Sequence[str]) -> None:
        """The values are bound, never written into the SQL."""
        super().__init__(column, literal(values, _Texts()))


@compiles(Among, "sqlite")
def _in_json(element: Among, compiler: Any, **how: Any) -> str:
    column, values = (compiler.process(each, **how) for each in element.clauses)
    # `+` keeps the column's index out: for many values the order of the list's own index is worth more.
    return f"(+{column} IN (SELECT value FROM json_each({values})))"  # noqa: S608 — names of columns and parameters


@compiles(Among, "postgresql")
def _in_array(element: Among, compiler: Any, **how: Any) -> str:
    column, values = (compiler.process(each, **how) for each in element.clauses)
    return f"({column} = ANY({values}))"


class Holds(FunctionElement[bool]):
    """Whether a text holds another one, byte for byte: LIKE is of two minds about capital letters."""

    type = Boolean()
    inherit_cache = True
    name = "holds"

    def __init__(self, text: ColumnElement[Any], part: str) -> None:
        """`part` is bound, never written into the SQL."""
        super().__init__(text, literal(part, String))


@compiles(Holds, "sqlite")
def _instr(element: Holds, compiler: Any, **how: Any) -> str:
    return f"(instr({compiler.process(element.clauses, **how)}) > 0)"


@compiles(Holds, "postgresql")
def _strpos(element: Holds, compiler: Any, **how: Any) -> str:
    return f"(strpos({compiler.process(element.clauses, **how)}) > 0)"
