"""The page about the tables of the store."""

from __future__ import annotations

import inspect
import re

from sqlalchemy import Table

from pipe.reference.page import code, page, table
from pipe.store import schema

MEANINGS = {
    "message": "What was accepted or emitted, one row each, written once.",
    "delivery": "A message on its way to one station; its state is the whole truth about it.",
    "attempt": "What each try of a delivery came to.",
    "dead_letter": "What could not be delivered, with all that a person needs to mend it.",
    "idempotency": "Keys of messages that callers may repeat.",
    "gather": "Splits whose results are awaited.",
    "gather_item": "The results of a split, one row an item.",
    "ledger": "Totals that pruning never changes.",
    "feed": "Events that pages follow, in order and without a gap.",
    "audit": "Who did what, each row chained to the one before by its hash.",
    "secret": "Secrets that pages write, encrypted.",
    "revision": "Every configuration that was taken up, with all its files.",
    "control": "What a person paused.",
    "schedule": "When routes with a schedule are due.",
    "identity": "Arrivals that a source names itself, taken once.",
    "erasure": "Whose data was wiped, by keyed hash, so that it is wiped again after a restore.",
    "backup": "Where the backups were put.",
    "memo": "What a connection's adapter must know after a restart, such as what a broker still holds for it.",
    "schema_version": "How far each component's tables have been migrated.",
}
_COMMENT = re.compile(r'Column\("(\w+)".*\)\s*,\s*#\s*(.+)')


def tables_page() -> str:
    """The reference page."""
    comments = _comments()
    parts = ["Both stores, SQLite and PostgreSQL, have the same tables. Flows add their own beside them."]
    for found in schema.metadata.sorted_tables:
        parts += [f"## {found.name}", MEANINGS.get(found.name, ""), _columns(found, comments), _indexes(found)]
    return page("Tables of the store", *parts)


def _columns(found: Table, comments: dict[tuple[str, str], str]) -> str:
    rows = []
    for column in found.columns:
        mark = "key" if column.primary_key else "" if column.nullable else "not null"
        rows.append((code(column.name), str(column.type).lower(), mark, comments.get((found.name, column.name), "")))
    return table(("Column", "Type", "", "Meaning"), rows)


def _indexes(found: Table) -> str:
    shown = [f"`{index.name}` ({', '.join(column.name for column in index.columns)})" for index in found.indexes]
    return f"Indexes: {', '.join(sorted(shown))}." if shown else ""


def _comments() -> dict[tuple[str, str], str]:
    """What stands behind the columns in the module that defines them."""
    found: dict[tuple[str, str], str] = {}
    name = ""
    for line in inspect.getsource(schema).splitlines():
        if re.fullmatch(r'    "(\w+)",', line):
            name = line.strip().strip('",')
        elif match := _COMMENT.search(line):
            found[name, match[1]] = match[2].strip()
    return found
