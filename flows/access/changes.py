"""How every change of who may do what is written: with its audit row and the news of it, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Executable, Result, select, update

from flows.access.tables import revision

TOPIC = "access"
"""the feed that says that rights have changed: `{"revision": n, "changed": [[table, id], …]}`"""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it, as the audit names him."""

    name: str
    """`person/LOGIN`, `service/LOGIN`, or the bare name of a user of the machine who gave a command"""
    person: str | None = None
    """the id among `access_person`; None: at the console, where the machine's own rights are what counts"""
    address: str | None = None
    """where he sits, for the audit"""


class Unit(Protocol):
    """What a unit of work of rights needs of its transaction; `pipe.store.transaction.Tx` is one."""

    now: float

    def new_id(self) -> str:
        """A fresh id."""

    def execute(self, statement: Executable, parameters: Any = None) -> Result[Any]:
        """Runs SQL."""

    def publish(self, topic: str, event: Mapping[str, Any]) -> int:
        """Appends to a feed."""

    def audit(
        self, event: str, *, before: Any = None, after: Any = None, target: str = "", actor: str | None = None
    ) -> None:
        """Writes who did what."""


def changed(
    tx: Unit,
    by: Actor,
    event: str,
    target: str,
    rows: Iterable[tuple[str, str]],
    *,
    before: Any = None,
    after: Any = None,
) -> int:
    """Notes a change in the audit, counts the revision up and tells the feed; returns the new revision.

    `rows` are (table without its prefix, id) of what is different now. Call it in the unit that wrote them.
    """
    noted(tx, by, event, target, before=before, after=after)
    tx.execute(update(revision).where(revision.c.id == 1).values(n=revision.c.n + 1))
    number = int(tx.execute(select(revision.c.n)).scalar_one())
    tx.publish(TOPIC, {"revision": number, "changed": [list(row) for row in rows]})
    return number


def noted(tx: Unit, by: Actor, event: str, target: str, *, before: Any = None, after: Any = None) -> None:
    """Notes in the audit what changes nobody's rights: a sign-in, a denial, an export."""
    if by.address is not None:
        after = {**(after if isinstance(after, Mapping) else {"value": after}), "address": by.address}
    tx.audit(event, before=before, after=after, target=target, actor=by.name)


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both rows, only what differs."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}
