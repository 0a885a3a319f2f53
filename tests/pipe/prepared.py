"""Tables that were made once and are laid out again: to make them anew takes longer than most tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from sqlalchemy import event

from pipe.store import database, migrations

Version = tuple[migrations.Migration, ...]


def lay_out(data: Path, url: str | None) -> None:
    """What a first start does to an empty store; nothing where there is one already."""
    if url is not None:
        if url.startswith("postgresql") and url not in _DONE:
            _DONE.add(url)
            _in_postgres(url)
    elif not (data / "pipe.db").exists():
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        (data / "pipe.db").write_bytes(_file(migrations.STORE))


@cache
def _file(version: Version) -> bytes:
    with TemporaryDirectory() as folder:
        engine = database.open_writer(database.default_url(Path(folder)))
        with engine.begin() as connection:
            migrations.migrate(connection, [])
        engine.dispose()
        assert not (Path(folder) / "pipe.db-wal").exists()
        return (Path(folder) / "pipe.db").read_bytes()


_DONE: set[str] = set()
_MADE: dict[Version, bytes] = {}
"""the statements that made the tables of the first database of a version, to be sent at once"""


def _in_postgres(url: str) -> None:
    made = _MADE.get(migrations.STORE)
    if made is None:
        _MADE[migrations.STORE] = _recorded(url)
        return
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT to_regclass('schema_version')").fetchone()
        if row == (None,):
            connection.execute(made)


def _recorded(url: str) -> bytes:
    made: list[str] = []
    engine = database.open_writer(url)

    @event.listens_for(engine, "before_cursor_execute")
    def heard(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.lstrip().startswith(("CREATE", "INSERT", "UPDATE", "DROP")):
            made.append(psycopg.ClientCursor(cursor.connection).mogrify(statement, parameters or None))

    with engine.begin() as connection:
        migrations.migrate(connection, [])
    engine.dispose()
    return ";\n".join(made).encode()
