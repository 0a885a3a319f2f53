"""What a database's error means: the disk is full, the disk is broken, or only a statement went wrong."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import psycopg
from sqlalchemy.exc import DBAPIError

_FATAL = ("disk I/O error", "malformed", "readonly", "unable to open", "not a database")
_NO_INDEX = "SQLITE_IOERR_SHMSIZE"
"""The log's index has no room to grow. A restart might find the commit in the log; this process, while it lives, knows
that the commit does not count, and writes the next one over it."""
TRIAL = "space.trial"
"""a file beside the store's, for a moment: whether it can be written tells what is wrong with the disk"""
_FULL = ("database or disk is full", "No space left", "could not extend file")


def cause_of(error: Exception) -> BaseException:
    """The driver's own exception, whether SQLAlchemy wrapped it or not."""
    return (error.orig or error) if isinstance(error, DBAPIError) else error


def is_full(cause: BaseException) -> bool:
    """Whether there is no room left; it may come back."""
    return any(sign in str(cause) for sign in _FULL)


def over_quota(cause: BaseException, database: str | None) -> bool:
    """Whether SQLite could not write because the files of its folder may have no more space: it does not tell why."""
    if getattr(cause, "sqlite_errorname", None) != "SQLITE_IOERR_WRITE" or not database:
        return False
    trial = Path(database).with_name(TRIAL)
    try:
        with trial.open("wb", buffering=0) as file:
            file.write(bytes(64 << 10))
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in (errno.EDQUOT, errno.ENOSPC)
    finally:
        with suppress(OSError):
            trial.unlink()
    return False


def is_fatal(cause: BaseException) -> bool:
    """Whether nobody can know any more what is on disk."""
    if isinstance(cause, psycopg.Error):
        return isinstance(
            cause, (psycopg.OperationalError, psycopg.InterfaceError)
        )  # the connection, or the server's disk
    if not isinstance(cause, sqlite3.Error):
        return True
    return any(sign in str(cause) for sign in _FATAL) and not _lacks_index(cause)


def is_disk(error: Exception) -> bool:
    """Whether the database said so of its disk or connection: then it concerns the whole transaction."""
    cause = cause_of(error)
    if not isinstance(cause, (sqlite3.Error, psycopg.Error)):
        return False
    return is_full(cause) or is_fatal(cause) or _lacks_index(cause)


def _lacks_index(cause: BaseException) -> bool:
    return getattr(cause, "sqlite_errorname", None) == _NO_INDEX
