"""Reads what rights are decided from into one value; after a change only what is different."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Executable, Result, RowMapping, Table, select

from flows.access import tables as t
from flows.access.model import (
    Company,
    FieldRule,
    Forbid,
    Grant,
    Group,
    Membership,
    Position,
    Role,
    Separation,
    Snapshot,
    Subject,
    Unit,
)
from flows.access.words import parted


class Reader(Protocol):
    """A connection, or the transaction of a unit of work."""

    def execute(self, statement: Executable, /) -> Result[Any]:
        """Runs a query."""


def revision(reader: Reader) -> int:
    """The number of the last change."""
    return int(reader.execute(select(t.revision.c.n)).scalar_one())


def load(reader: Reader) -> Snapshot:
    """All of it as of one revision."""
    while True:
        before = revision(reader)
        made = Snapshot(revision=before, **{table: read(reader, None) for table, read in _READERS.items()})
        # Each query sees what was committed when it began; where nothing was in between, they saw the same.
        if revision(reader) == before:
            return made


def renewed(reader: Reader, snapshot: Snapshot, changed: Iterable[tuple[str, str]]) -> Snapshot:
    """The snapshot with what has changed since, as of one revision. `changed` has to name all of it, or more."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for table, name in changed:
        wanted[table].add(name)
    while True:
        before = revision(reader)
        fresh = {
            table: {**dict.fromkeys(names), **_READERS[table](reader, names)}
            for table, names in wanted.items()
            if table in _READERS
        }
        if revision(reader) == before:
            return snapshot.but(before, fresh)


# --- one table each -----------------------------------------------------------------------------------------------

PIECE = 500
"""names in one query"""


def _rows(reader: Reader, table: Table, key: ColumnElement[Any], names: Iterable[str] | None) -> Iterable[RowMapping]:
    if names is None:
        yield from reader.execute(select(table)).mappings()
        return
    listed = sorted(names)
    for at in range(0, len(listed), PIECE):
        yield from reader.execute(select(table).where(key.in_(listed[at : at + PIECE]))).mappings()


def _plain(table: Table, make: Callable[[RowMapping], Any]) -> Callable[[Reader, Iterable[str] | None], dict[str, Any]]:
    return lambda reader, names: {row["id"]: make(row) for row in _rows(reader, table, table.c.id, names)}


def _people(reader: Reader, names: Iterable[str] | None) -> dict[str, Subject]:
    places: dict[str, list[Membership]] = defaultdict(list)
    for row in _rows(reader, t.membership, t.membership.c.person, names):
        places[row["person"]].append(
            Membership(row["kind"], row["of"], row["valid_from"], row["valid_until"], row["source"])
        )
    found = {}
    for row in _rows(reader, t.person, t.person.c.id, names):
        found[row["id"]] = Subject(
            row["id"],
            row["login"],
            row["kind"],
            row["name"],
            row["company"],
            row["level"],
            row["state"],
            row["valid_until"],
            row["moved_at"],
            tuple(sorted(places[row["id"]], key=lambda place: (place.kind, place.of))),
        )
    return found


def _roles(reader: Reader, names: Iterable[str] | None) -> dict[str, Role]:
    permissions: dict[str, set[str]] = defaultdict(set)
    for row in _rows(reader, t.role_permission, t.role_permission.c.role, names):
        permissions[row["role"]].add(row["permission"])
    includes: dict[str, set[str]] = defaultdict(set)
    for row in _rows(reader, t.role_include, t.role_include.c.role, names):
        includes[row["role"]].add(row["included"])
    return {
        row["id"]: Role(
            row["id"],
            row["name_uk"],
            row["name_en"],
            row["about"],
            row["emergency"],
            frozenset(permissions[row["id"]]),
            frozenset(includes[row["id"]]),
        )
        for row in _rows(reader, t.role, t.role.c.id, names)
    }


def _grant(row: RowMapping) -> Grant:
    same = {name: row[name] for name in _SAME_GRANT}
    return Grant(**same, tags=parted(row["tags"]), states=parted(row["states"]))


_SAME_GRANT = tuple(name for name in Grant.__dataclass_fields__ if name not in {"tags", "states"})


def _forbid(row: RowMapping) -> Forbid:
    same = {name: row[name] for name in _SAME_FORBID}
    return Forbid(
        **same, permissions=parted(row["permissions"]), tags=parted(row["tags"]), states=parted(row["states"])
    )


_SAME_FORBID = tuple(name for name in Forbid.__dataclass_fields__ if name not in {"permissions", "tags", "states"})


def _fields(reader: Reader, names: Iterable[str] | None) -> dict[str, FieldRule]:
    rules = [
        FieldRule(row["kind"], row["name"], row["level"], row["below"])
        for row in _rows(reader, t.field, t.field.c.kind, None)
    ]
    return {rule.id: rule for rule in rules if names is None or rule.id in names}


def _of(kind: type[Any]) -> Callable[[RowMapping], Any]:
    names = tuple(kind.__dataclass_fields__)
    return lambda row: kind(*[row[name] for name in names])


_READERS: Mapping[str, Callable[[Reader, Iterable[str] | None], dict[str, Any]]] = {
    "company": _plain(t.company, _of(Company)),
    "unit": _plain(t.unit, _of(Unit)),
    "position": _plain(t.position, _of(Position)),
    "group": _plain(t.group, _of(Group)),
    "person": _people,
    "role": _roles,
    "grant": _plain(t.grant, _grant),
    "forbid": _plain(t.forbid, _forbid),
    "separation": _plain(t.separation, _of(Separation)),
    "field": _fields,
}
