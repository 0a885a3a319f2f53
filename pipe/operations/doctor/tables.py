"""The store: is it sound, is it ours, is it backed up? Nothing is written and nothing is migrated."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, func, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from pipe.operations.doctor.finding import Finding
from pipe.store import database, schema
from pipe.store.migrations import STORE, Migration

LOOK_S = 10.0
"""how long the rows are looked at"""
OLD_BACKUP_S = 7 * 86400.0
LARGE_LOG = 1 << 30
_NEEDED = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def tables(data: Path, url: str | None, components: Iterable[tuple[str, Sequence[Migration]]]) -> list[Finding]:
    """Everything about the store; one line where there is none."""
    embedded = url is None or database.is_sqlite(url)
    path = data / "pipe.db"
    if embedded and not path.exists():
        return [Finding("store", "warn", f"there is no store in {data} yet", "the first `pipe run` makes it")]
    found = [_sound(path), _log(path)] if embedded else []
    engine = _engine(path, url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("message"):
                return [
                    *found,
                    Finding("store", "warn", "the database is empty", "the first `pipe run` makes the tables"),
                ]
            return [
                *found,
                *([] if embedded else [_server(connection)]),
                _version(connection, components),
                _backup(connection),
            ]
    except SQLAlchemyError as error:
        return [*found, Finding("store", "fail", f"it cannot be read: {error.__cause__ or error}", "see its own log")]
    finally:
        engine.dispose()


def _engine(path: Path, url: str | None) -> Engine:
    if url is not None and not database.is_sqlite(url):
        return database.open_reader(url)
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(_only_to_read(path), uri=True))


def _only_to_read(path: Path) -> str:
    """The address of a database file that leaves no trace of having been opened."""
    # Without a log nobody writes; told so, SQLite makes none.
    still = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    return f"{path.resolve().as_uri()}?mode=ro{still}"


def _sound(path: Path) -> Finding:
    until = time.monotonic() + LOOK_S
    connection = sqlite3.connect(_only_to_read(path), uri=True)
    try:
        connection.set_progress_handler(lambda: time.monotonic() > until, 20000)
        wrong = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)") if row[0] != "ok"]
    except sqlite3.Error as error:
        if "interrupted" in str(error):
            return Finding("integrity", "ok", f"nothing wrong in {LOOK_S:g} s; `pipe backup` looks at all of it")
        wrong = [str(error)]
    finally:
        connection.close()
    if wrong:
        hint = "stop the gateway, keep a copy of the folder, check the disk, and restore the last good backup"
        return Finding("integrity", "fail", f"the store is damaged: {wrong[0]}", hint)
    return Finding("integrity", "ok", f"the store's pages and rows are sound ({path.stat().st_size >> 20} MiB)")


def _log(path: Path) -> Finding:
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LARGE_LOG:
        hint = "some reader has stood by for long: a backup, or another program that has the file open"
        return Finding("log", "warn", f"the store's log has grown to {size >> 20} MiB", hint)
    return Finding("log", "ok", f"the store's log has {size >> 20} MiB")


def _server(connection: Connection) -> Finding:
    settings = {name: str(connection.exec_driver_sql(f"SHOW {name}").scalar()) for name in _NEEDED}
    bad = {name: value for name, value in settings.items() if value != _NEEDED[name]}
    if bad:
        said = ", ".join(f"{name} is {value}" for name, value in bad.items())
        return Finding("server", "fail", f"PostgreSQL: {said}", "turn it on: else what is accepted can be lost")
    return Finding("server", "ok", "PostgreSQL syncs every commit")


def _version(connection: Connection, components: Iterable[tuple[str, Sequence[Migration]]]) -> Finding:
    known = {name: len(migrations) for name, migrations in (("store", STORE), *components)}
    there = {row.component: row.version for row in connection.execute(select(schema.version))}
    newer = {name: version for name, version in there.items() if version > known.get(name, version)}
    older = [name for name, version in known.items() if there.get(name, 0) < version]
    if newer:
        said = ", ".join(f"{name} {version}" for name, version in newer.items())
        return Finding(
            "tables", "fail", f"they were written by a newer gateway ({said})", "run that one or a later one"
        )
    if older:
        return Finding("tables", "ok", f"the next start brings {', '.join(older)} up to date")
    return Finding("tables", "ok", "they are of this version")


def _backup(connection: Connection) -> Finding:
    if not inspect(connection).has_table("backup"):
        return Finding("backup", "warn", "there is no backup", "`pipe backup FOLDER`")
    at = connection.execute(select(func.max(schema.backup.c.at))).scalar()
    if at is None:
        return Finding("backup", "warn", "there is no backup", "`pipe backup FOLDER`")
    days = (time.time() - at) / 86400
    if days * 86400 > OLD_BACKUP_S:
        return Finding("backup", "warn", f"the last backup is {days:.0f} days old", "`pipe backup FOLDER`, each night")
    return Finding("backup", "ok", f"the last backup is {days * 24:.0f} hours old")
