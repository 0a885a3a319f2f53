"""Opens SQLite or PostgreSQL as SQLAlchemy engines with the settings that the promises need."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from pipe.errors import StoreLocked

READ_LIMIT_S = 10.0
STATEMENTS = 512
"""that the writing connection keeps prepared: the batches alone have a dozen sizes each"""
LOCK = 7473
"""the number of PostgreSQL's advisory lock that stands for `a gateway works on this database`"""
_TAKE_LOCK = text("SELECT pg_try_advisory_lock(:lock)")
_WHO_HAS_LOCK = text("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = :lock AND granted")
PRAGMAS = (
    "auto_vacuum=INCREMENTAL",
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=5000",
    "cache_size=-65536",
    "journal_size_limit=67108864",  # bytes that the log keeps once a checkpoint has emptied it
)
CHECKPOINT_WAIT_S = 0.25

# The driver looks for a way to adapt every None and every bytes that it binds, in vain, and formats an error each time:
# with these two it finds one at once, which halves the cost of a row.
sqlite3.register_adapter(type(None), cast("Callable[[None], None]", {}.get))
sqlite3.register_adapter(bytes, bytes)


def open_writer(url: str) -> Engine:
    """The engine of the one connection that writes. Every transaction on it begins immediate and is fsynced."""
    if is_sqlite(url):
        engine = create_engine(
            url,
            poolclass=NullPool,
            connect_args={"isolation_level": None, "check_same_thread": False, "cached_statements": STATEMENTS},
        )
        event.listen(engine, "connect", _durable)
        # The driver would begin deferred transactions; upgrading those can fail for reasons that no time-out covers.
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine
    return create_engine(_psycopg(url), poolclass=NullPool)


def open_reader(url: str) -> Engine:
    """An engine whose connections cannot write, for pages and commands."""
    if is_sqlite(url):
        engine = create_engine(url, connect_args={"check_same_thread": False}, pool_size=4, max_overflow=0)
        event.listen(engine, "connect", _read_only)
        return engine
    options = f"-c default_transaction_read_only=on -c statement_timeout={int(READ_LIMIT_S * 1000)}"
    return create_engine(
        _psycopg(url), pool_size=4, max_overflow=0, connect_args={"options": options}, isolation_level="AUTOCOMMIT"
    )


def only_gateway(engine: Engine) -> Connection:
    """A connection that locks the database as long as it lives, wherever the folders lie. Raises StoreLocked."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    if not connection.execute(_TAKE_LOCK, {"lock": LOCK}).scalar():
        holder = connection.execute(_WHO_HAS_LOCK, {"lock": LOCK}).scalar()
        connection.close()
        raise StoreLocked(f"the database {engine.url.database} is in use by the gateway of server process {holder}")
    return connection


def checkpoint(url: str) -> bool:
    """Brings the embedded store's log into its file, and gives the space of both back. False where readers stood by.

    Most is done while others write; only the end holds them up, at most `CHECKPOINT_WAIT_S` seconds.
    """
    connection = sqlite3.connect(path_of(url), timeout=CHECKPOINT_WAIT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy
    except sqlite3.OperationalError:  # locked: the next round has another chance
        return False
    finally:
        connection.close()


def is_sqlite(url: str) -> bool:
    """Whether the store is the embedded one."""
    return make_url(url).get_backend_name() == "sqlite"


def path_of(url: str) -> str:
    """The file of an embedded store."""
    path = make_url(url).database
    assert path is not None
    return path


def default_url(data: Path) -> str:
    """The embedded store of a data folder."""
    return f"sqlite:///{data / 'pipe.db'}"


def _psycopg(url: str) -> Any:
    return make_url(url).set(drivername="postgresql+psycopg")


def _durable(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _read_only(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA busy_timeout=5000")
