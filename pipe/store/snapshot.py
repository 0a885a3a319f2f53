"""A copy of the embedded store as of one moment, made while others write."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from pipe.errors import BackupDamaged, StoreFull, StoreUnavailable

STEPS = 20000
"""of SQLite's machine between two looks at how far it is"""


def snapshot(source: Path, copy: Path, floor: int, progress: Callable[[int, int], None]) -> None:
    """Copies without the free pages, so that nothing that was wiped or pruned goes along.

    `progress` gets the bytes written and about how many there will be; it may raise to stop. Raises StoreFull where the
    copy would leave less than `floor` bytes free, StoreUnavailable where it cannot be made.
    """
    connection = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        size = _size(connection)
        free = os.statvfs(copy.parent)
        if free.f_bavail * free.f_frsize - size < floor:
            raise StoreFull(
                f"the copy needs {size >> 20} MiB in {copy.parent} for a while, "
                f"and {floor >> 20} MiB must stay free there; {free.f_bavail * free.f_frsize >> 20} MiB are free",
                hint="make room where the data folder lies",
            )
        stopped: list[BaseException] = []

        def look() -> bool:
            try:
                progress(copy.stat().st_size if copy.exists() else 0, size)
            except BaseException as error:  # boundary: the driver swallows it; it is raised again below
                stopped.append(error)
            return bool(stopped)

        connection.set_progress_handler(look, STEPS)
        try:
            connection.execute("VACUUM INTO ?", (str(copy),))
        except sqlite3.Error as error:
            if stopped:
                raise stopped[0] from None
            raise _refusal(error) from error
    finally:
        connection.close()
    copy.chmod(0o600)


def sound(path: Path) -> list[str]:
    """What SQLite finds wrong with a database file; nothing where it is sound."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(10)")]
        return [text for text in found if text != "ok"]
    except sqlite3.Error as error:
        return [str(error)]
    finally:
        connection.close()


def _size(connection: sqlite3.Connection) -> int:
    number = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")]
    page: int = connection.execute("PRAGMA page_size").fetchone()[0]
    return int(number[0] - number[1]) * page


def _refusal(error: sqlite3.Error) -> StoreUnavailable | StoreFull | BackupDamaged:
    if "full" in str(error):
        return StoreFull(f"the copy of the tables does not fit: {error}")
    if "malformed" in str(error):
        return BackupDamaged(f"the store itself is damaged and cannot be copied: {error}")
    return StoreUnavailable(f"the tables cannot be copied: {error}")
