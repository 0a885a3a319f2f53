"""Numbered changes of the tables. Each runs once, in order, in one transaction with the number it leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection, insert, select, text, update

from pipe.errors import SchemaTooNew
from pipe.store import audit_guard, schema

Migration = Callable[[Connection], None]


_SECOND = (schema.erasure, schema.backup)
_THIRD = (schema.memo,)
_INDEXES = ("message_gone_at", "message_blob")


def _first(connection: Connection) -> None:
    later = {table.name for table in (*_SECOND, *_THIRD)}
    tables = [table for table in schema.metadata.sorted_tables if table.name not in later]
    schema.metadata.create_all(connection, tables=tables)


def _second(connection: Connection) -> None:
    """What is erased and where the backups lie, so that a restored copy forgets what was forgotten.

    And ways to what is old or lies in files that do not pass all that is finished.
    """
    schema.metadata.create_all(connection, tables=_SECOND)
    connection.execute(text("DROP INDEX IF EXISTS message_gone"))
    for index in schema.message.indexes:
        if index.name in _INDEXES:
            index.create(connection, checkfirst=True)


def _third(connection: Connection) -> None:
    """What adapters note about their partners."""
    schema.metadata.create_all(connection, tables=_THIRD)


def _fourth(connection: Connection) -> None:
    """The audit is only added to: the database itself refuses to alter or remove its rows."""
    for statement in audit_guard.statements(connection.dialect.name):
        connection.execute(text(statement))


def _fifth(connection: Connection) -> None:
    """Ways to all messages of an order key and to all deliveries of an error code."""
    for statement in schema.LATER_INDEXES:
        connection.execute(text(statement))


STORE: tuple[Migration, ...] = (_first, _second, _third, _fourth, _fifth)
"""append only; a released one never changes"""


def migrate(connection: Connection, components: Iterable[tuple[str, Sequence[Migration]]]) -> list[str]:
    """Brings every component (the store first, then flows) to its newest version; returns what was done.

    Raises SchemaTooNew where the folder was written by a newer gateway.
    """
    done: list[str] = []
    schema.version.create(connection, checkfirst=True)
    for component, migrations in (("store", STORE), *components):
        at = connection.execute(
            select(schema.version.c.version).where(schema.version.c.component == component)
        ).scalar()
        if at is not None and at > len(migrations):
            raise SchemaTooNew(
                f"the store's {component!r} tables are of version {at}; this gateway knows {len(migrations)}"
            )
        for number in range((at or 0) + 1, len(migrations) + 1):
            migrations[number - 1](connection)
            done.append(f"{component} {number}")
        if at is None:
            connection.execute(insert(schema.version), {"component": component, "version": len(migrations)})
        else:
            connection.execute(
                update(schema.version).where(schema.version.c.component == component).values(version=len(migrations))
            )
    return done
