"""Small questions that units of work ask of the tables first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, select

from flows.access.changes import Unit
from pipe.errors import BadRequest, NotFound
from pipe.refusing import Term, refused


def there(tx: Unit, table: Table, name: str, what: str) -> dict[str, Any]:
    """The row of that id. Raises NotFound."""
    row = tx.execute(select(table).where(table.c.id == name)).mappings().first()
    if row is None:
        raise refused(NotFound, "nothing_there", what=Term(what), name=name)
    return plain(row)


def plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The row as the audit can hold it: a driver's names of columns are not quite texts."""
    return {str(name): value for name, value in row.items()}


def free(tx: Unit, table: Table, name: str, what: str) -> None:
    """Raises BadRequest where there is a row of that id."""
    if tx.execute(select(table.c.id).where(table.c.id == name)).first() is not None:
        raise refused(BadRequest, "there_already", what=Term(what), name=name)


def reason_of(text: str) -> str:
    """The reason of a change. Raises BadRequest where there is none."""
    if not text.strip():
        raise refused(BadRequest, "no_reason")
    return text.strip()


def names_of(names: Mapping[str, str]) -> dict[str, Any]:
    """The two columns of a name in both languages. Raises BadRequest where there is none in Ukrainian."""
    uk, en = names.get("uk", "").strip(), names.get("en", "").strip()
    if not uk:
        raise refused(BadRequest, "no_ukrainian_name")
    return {"name_uk": uk, "name_en": en or uk}
