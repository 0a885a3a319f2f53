"""The words of messages, to be searched for; apart from the journal, so that writing them holds nobody up.

They only repeat what the journal holds, and are made anew from it where they are lost: the embedded store keeps them in
a file of its own (`DATA/search.db`, in no backup), PostgreSQL in a table that a connection of its own writes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, column, create_engine, select, table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from pipe.errors import StoreUnavailable
from pipe.store import database
from pipe.words import Phrase

FILE = "search.db"
FORMAT = 1
"""of the index; one of another format is made anew"""
MOST_PLACES = 200
"""of one word in one message; PostgreSQL takes no more than 255"""
LAST_PLACE = 16_000
"""words of a message whose places count; PostgreSQL knows no more than 16383"""
_OPTIMIZE = "INSERT INTO body_words (body_words) VALUES ('optimize')"
_MERGE = "INSERT INTO body_words (body_words, rank) VALUES ('merge', -200)"
"""puts pieces of the embedded index together: all of them, or some 200 pages of them"""
_AT_ONCE = 500
_NONE = "no message is indexed yet: a running gateway does so, unless `exchanges: {full_text: false}` stands there"

_NO_END = (1 << 63) - 1

Entry = tuple[int, Sequence[str]]
"""a message's `seq` and its words"""
Read = Callable[[int], tuple[int, Sequence[Entry]]]
"""what comes after a `seq`: the last one looked at, and the entries"""


class FullText(Protocol):
    """The index of one store. Methods block, and let one thread in at a time. They raise StoreUnavailable."""

    def add(self, read: Read) -> tuple[int, int]:
        """Takes in what `read` finds; nothing is forgotten in between. Returns how many, and the `seq` reached."""

    def forget(self, seqs: Iterable[int], *, wholly: bool = False) -> None:
        """These messages are no longer found; `wholly`: nor does the disk hold a trace of their words."""

    def tidy(self) -> int:
        """Forgets what the journal no longer holds, which a crash may have left; returns how many."""

    def close(self) -> None:
        """Lets go of the disk. Safe twice; who uses it again opens it again."""


def full_text(url: str, data: Path) -> FullText:
    """The index that belongs to a store. Nothing is opened before it is used."""
    return Embedded(database.path_of(url), data / FILE) if database.is_sqlite(url) else InPostgres(url)


def holding(
    connection: Connection, data: Path, phrases: Sequence[Phrase], last: int | None = None, most: int | None = None
) -> tuple[str, dict[str, Any]]:
    """The query, and its parameters, for the `seq` of the messages that hold all these phrases.

    Of the newest `most`, and not after `last`. Raises StoreUnavailable where nothing is indexed.
    """
    if not _visible(connection, data):
        raise StoreUnavailable(_NONE)
    if connection.dialect.name == "sqlite":
        found = (
            "SELECT rowid FROM search.body_words WHERE body_words MATCH :asked AND rowid <= :last ORDER BY rowid DESC"
        )
        words = _match(phrases)
    else:
        found = "SELECT seq FROM body_words WHERE words @@ CAST(:asked AS tsquery) AND seq <= :last ORDER BY seq DESC"
        words = _tsquery(phrases)
    bounds = {"last": _NO_END if last is None else last, "most": _NO_END if most is None else most}
    return f"{found} LIMIT :most", {"asked": words, **bounds}


def seen(connection: Connection, data: Path) -> int:
    """`seq` up to which messages can be found by their words; 0 where nothing is indexed."""
    if not _visible(connection, data):
        return 0
    schema = "search" if connection.dialect.name == "sqlite" else None
    position = table("body_position", column("at"), schema=schema)
    return int(connection.execute(select(position.c.at)).scalar() or 0)


def _visible(connection: Connection, data: Path) -> bool:
    if connection.dialect.name != "sqlite":
        return bool(connection.execute(text("SELECT to_regclass('body_position')")).scalar())
    if "search" not in {row[1] for row in connection.exec_driver_sql("PRAGMA database_list")}:
        if not (data / FILE).exists():
            return False
        connection.exec_driver_sql("ATTACH DATABASE ? AS search", (str(data / FILE),))
    made = "SELECT 1 FROM search.sqlite_master WHERE name = 'body_position'"
    return connection.exec_driver_sql(made).first() is not None


class _Index:
    """What both have in common: one connection, opened when first used, and one at a time on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    def add(self, read: Read) -> tuple[int, int]:
        with self._lock, self._open() as connection:
            before = int(connection.execute(text("SELECT at FROM body_position")).scalar_one())
            at, entries = read(before)
            if entries:
                connection.execute(text(self._insert), [self._row(*entry) for entry in entries])
            if at > before:
                connection.execute(text("UPDATE body_position SET at = :at"), {"at": at})
            return len(entries), at

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        try:
            if self._engine is None:
                self._engine = self._opened()
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None
            self._lost(error)
            raise StoreUnavailable(f"the index of words cannot be used: {error.orig}") from error

    _insert: str

    def _row(self, seq: int, words: Sequence[str]) -> dict[str, Any]:
        raise NotImplementedError

    def _opened(self) -> Engine:
        raise NotImplementedError

    def _lost(self, error: DBAPIError) -> None:
        """What is to be done after a failure, so that the next use does better."""


class Embedded(_Index):
    """SQLite's FTS5 in a file of its own."""

    _insert = "INSERT INTO body_words (rowid, words) VALUES (:seq, :words)"

    def __init__(self, journal: str, file: Path) -> None:
        super().__init__()
        self._journal, self._file = journal, file

    def forget(self, seqs: Iterable[int], *, wholly: bool = False) -> None:  # noqa: D102 — see FullText
        gone = [{"seq": seq} for seq in seqs]
        if not gone or not self._file.exists():
            return
        with self._lock:
            with self._open() as connection:
                connection.execute(text("DELETE FROM body_words WHERE rowid = :seq"), gone)
                # What was taken out is only marked so in the index, until its pieces are put together anew.
                connection.execute(text(_OPTIMIZE if wholly else _MERGE))
            if wholly:
                with self._open() as connection:
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def tidy(self) -> int:  # noqa: D102 — see FullText
        if not self._file.exists():
            return 0
        with self._lock, self._open() as connection:
            connection.exec_driver_sql("ATTACH DATABASE ? AS journal", (self._journal,))
            try:
                stale = (
                    "SELECT s.id FROM body_words_docsize s LEFT JOIN journal.message m ON m.seq = s.id"
                    " WHERE m.seq IS NULL OR m.kind = 'gone'"
                )
                gone = [row[0] for row in connection.exec_driver_sql(stale)]
                last = connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM journal.message").scalar_one()
            finally:
                connection.exec_driver_sql("DETACH DATABASE journal")
            at = connection.exec_driver_sql("SELECT at FROM body_position").scalar_one()
            if last < at:  # the journal was put back, or emptied: its numbers begin again
                connection.exec_driver_sql("DELETE FROM body_words")
                connection.exec_driver_sql("UPDATE body_position SET at = 0")
            for seq in gone:
                connection.exec_driver_sql("DELETE FROM body_words WHERE rowid = ?", (seq,))
            return len(gone)

    def _row(self, seq: int, words: Sequence[str]) -> dict[str, Any]:
        return {"seq": seq, "words": " ".join(words)}

    def _opened(self) -> Engine:
        self._file.touch(mode=0o600)
        if (found := self._version()) not in (0, FORMAT):
            self._remove()
            self._file.touch(mode=0o600)
        engine = create_engine(
            f"sqlite:///{self._file}", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        with engine.connect() as connection:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON", "busy_timeout=5000"):
                connection.exec_driver_sql(f"PRAGMA {pragma}")
            if found != FORMAT:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.exec_driver_sql(
                    "CREATE VIRTUAL TABLE body_words USING"
                    " fts5(words, tokenize = \"unicode61 remove_diacritics 0 tokenchars '_'\")"
                )
                connection.exec_driver_sql("CREATE TABLE body_position (at INTEGER NOT NULL)")
                connection.exec_driver_sql("INSERT INTO body_position VALUES (0)")
                connection.exec_driver_sql(f"PRAGMA user_version={FORMAT}")
                connection.commit()
        return engine

    def _version(self) -> int:
        raw = sqlite3.connect(self._file)
        try:
            return int(raw.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.DatabaseError:
            return -1
        finally:
            raw.close()

    def _remove(self) -> None:
        for tail in ("", "-wal", "-shm"):
            self._file.with_name(FILE + tail).unlink(missing_ok=True)

    def _lost(self, error: DBAPIError) -> None:
        # What the disk has damaged is made anew from the journal.
        if isinstance(error.orig, sqlite3.DatabaseError) and not isinstance(error.orig, sqlite3.OperationalError):
            self._remove()


class InPostgres(_Index):
    """A table of PostgreSQL with an inverted index."""

    _insert = "INSERT INTO body_words (seq, words) VALUES (:seq, CAST(:words AS tsvector)) ON CONFLICT DO NOTHING"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def forget(self, seqs: Iterable[int], *, wholly: bool = False) -> None:  # noqa: D102 — see FullText
        gone = list(seqs)
        if not gone or not self._there():
            return
        with self._lock, self._open() as connection:
            for begin in range(0, len(gone), _AT_ONCE):
                taken = text("DELETE FROM body_words WHERE seq = ANY(:seqs)")
                connection.execute(taken, {"seqs": gone[begin : begin + _AT_ONCE]})

    def tidy(self) -> int:  # noqa: D102 — see FullText
        if not self._there():
            return 0
        with self._lock, self._open() as connection:
            last = connection.execute(text("SELECT coalesce(max(seq), 0) FROM message")).scalar_one()
            stale = (
                "DELETE FROM body_words w WHERE NOT EXISTS"
                " (SELECT 1 FROM message m WHERE m.seq = w.seq AND m.kind <> 'gone')"
            )
            count = connection.execute(text(stale)).rowcount
            if last < connection.execute(text("SELECT at FROM body_position")).scalar_one():
                connection.execute(text("DELETE FROM body_words"))
                connection.execute(text("UPDATE body_position SET at = 0"))
            return count

    def _row(self, seq: int, words: Sequence[str]) -> dict[str, Any]:
        return {"seq": seq, "words": _tsvector(words)}

    def _there(self) -> bool:
        """Whether anything was ever indexed: who only forgets makes no tables."""
        if self._engine is None:
            engine = database.open_writer(self._url)
            with engine.connect() as connection:
                return _visible(connection, Path())
        return True

    def _opened(self) -> Engine:
        engine = database.open_writer(self._url)
        with engine.begin() as connection:
            for statement in _TABLES:
                connection.execute(text(statement))
            if (at := connection.execute(text("SELECT format FROM body_position")).scalar()) != FORMAT:
                if at is not None:
                    connection.execute(text("DELETE FROM body_words"))
                    connection.execute(text("DELETE FROM body_position"))
                connection.execute(text("INSERT INTO body_position VALUES (0, :format)"), {"format": FORMAT})
        return engine


_TABLES = (
    "CREATE TABLE IF NOT EXISTS body_words (seq BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
    "CREATE INDEX IF NOT EXISTS body_words_in ON body_words USING gin (words)",
    "CREATE TABLE IF NOT EXISTS body_position (at BIGINT NOT NULL, format INTEGER NOT NULL)",
)


def _match(phrases: Sequence[Phrase]) -> str:
    """As FTS5 is asked."""
    return " AND ".join(f'"{" ".join(words)}"{" *" if open_ else ""}' for words, open_ in phrases)


def _tsquery(phrases: Sequence[Phrase]) -> str:
    """As PostgreSQL is asked."""
    asked = []
    for words, open_ in phrases:
        told = [f"'{word}'" for word in words]
        asked.append(f"({' <-> '.join([*told[:-1], told[-1] + (':*' if open_ else '')])})")
    return " & ".join(asked)


def _tsvector(words: Sequence[str]) -> str:
    places: dict[str, list[int]] = {}
    for place, word in enumerate(words[:LAST_PLACE], 1):
        held = places.setdefault(word, [])
        if len(held) < MOST_PLACES:
            held.append(place)
    for word in words[LAST_PLACE:]:
        places.setdefault(word, [])
    return " ".join(f"'{word}'{':' if at else ''}{','.join(map(str, at))}" for word, at in places.items())
