"""What people subscribed to. Units of work; each writes its row of the audit. The rows go when the person leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from flows.access.changes import Actor, Unit, noted
from flows.access.tables import person as people
from flows.access.tables import subscription as table
from pipe.config.alerts import Hours, Way, Wish
from pipe.errors import Conflict, NotFound

MOST = 20
"""subscriptions of one person"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One of them."""

    id: str
    person: str
    way: Way
    language: Literal["uk", "en"]
    wish: Wish
    told_at: float | None = None
    """when the person was last told something by it"""
    told: str | None = None
    """the message that did so"""

    @property
    def name(self) -> str:
        """By which alerts remember that it has heard."""
        return f"subscription/{self.id}"


def of(where: Unit | Connection, person: str) -> list[Subscription]:
    """Those of a person, the oldest first."""
    query = select(table).where(table.c.person == person).order_by(table.c.made_at, table.c.id)
    return [_read(row) for row in where.execute(query).mappings()]


def everyone(where: Unit | Connection) -> list[tuple[Subscription, str, str | None]]:
    """All there are, with login and mail address of their people, in order of logins."""
    query = select(table, people.c.login, people.c.email).join(people, people.c.id == table.c.person)
    rows = where.execute(query.order_by(people.c.login, table.c.made_at, table.c.id)).mappings()
    return [(_read(row), row["login"], row["email"]) for row in rows]


def mine(where: Unit | Connection, person: str, id: str) -> Subscription:
    """One of a person's own. Raises NotFound, for those of others, too."""
    row = where.execute(select(table).where(table.c.id == id, table.c.person == person)).mappings().first()
    if row is None:
        raise NotFound("there is no such subscription of yours")
    return _read(row)


def add(tx: Unit, by: Actor, person: str, login: str, way: Way, language: str, wish: Wish) -> str:
    """A new one; its id. Raises Conflict where there are too many."""
    if len(of(tx, person)) >= MOST:
        raise Conflict(f"nobody has more than {MOST} subscriptions", hint="change or end one of those you have")
    kept, made = _columns(way, language, wish), tx.new_id()
    tx.execute(insert(table), {"id": made, "person": person, **kept, "made_at": tx.now, "changed_at": tx.now})
    noted(tx, by, "subscription.made", login, after={"id": made, **_told(kept)})
    return made


def change(tx: Unit, by: Actor, person: str, login: str, id: str, way: Way, language: str, wish: Wish) -> None:
    """Another way, language or wish. Raises NotFound."""
    before = _columns(*_parts(mine(tx, person, id)))
    kept = _columns(way, language, wish)
    tx.execute(update(table).where(table.c.id == id).values(**kept, changed_at=tx.now))
    noted(tx, by, "subscription.changed", login, before=_told(before), after={"id": id, **_told(kept)})


def end(tx: Unit, by: Actor, person: str, login: str, id: str) -> None:
    """Nothing is told by it any more. Raises NotFound."""
    before = _columns(*_parts(mine(tx, person, id)))
    tx.execute(delete(table).where(table.c.id == id))
    noted(tx, by, "subscription.ended", login, before={"id": id, **_told(before)})


def told(tx: Unit, id: str, message: str) -> None:
    """Notes the message that told it last."""
    tx.execute(update(table).where(table.c.id == id).values(told_at=tx.now, told=message))


def _parts(of: Subscription) -> tuple[Way, str, Wish]:
    return of.way, of.language, of.wish


def _columns(way: Way, language: str, wish: Wish) -> dict[str, Any]:
    rules, about = "|".join(wish.rules), orjson.dumps(list(wish.about)).decode()
    return {
        "way": way, "language": language, "severity": wish.severity, "rules": f"|{rules}|" if rules else "",
        "about": about, "hours": wish.hours,
    }  # fmt: skip


def _told(columns: Mapping[str, Any]) -> dict[str, Any]:
    rules, hours = columns["rules"].strip("|"), columns["hours"]
    return {
        **columns, "rules": rules.split("|") if rules else [], "about": orjson.loads(columns["about"]),
        "hours": str(hours) if hours else None,
    }  # fmt: skip


def _read(row: Mapping[Any, Any]) -> Subscription:
    told = _told(row)
    wish = Wish(
        row["severity"], tuple(told["rules"]), tuple(told["about"]), Hours(row["hours"]) if row["hours"] else None
    )
    return Subscription(row["id"], row["person"], row["way"], row["language"], wish, row["told_at"], row["told"])
