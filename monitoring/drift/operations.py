"""What people ask of drift: what is watched, what has changed and who reads it, and that what is now is right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, select

from monitoring.drift.changes import Change
from monitoring.drift.tables import drift as table
from monitoring.drift.telling import Told, part_in, told
from monitoring.drift.watched import Watched, of_row
from pipe.config.blocks import Drift as Keys
from pipe.config.models import Configuration
from pipe.config.readers import Use, uses_of
from pipe.errors import Conflict, NotFound
from pipe.operations.host import Host, reason_given
from pipe.outline import Described
from pipe.refusing import refused
from pipe.sampling import parts_of
from pipe.store.transaction import Tx

MOST_IN_AUDIT = 50
"""changes that one row of the audit names"""


async def find(host: Host, name: str | None = None) -> list[dict[str, Any]]:
    """What is watched of each connection, or of one, with what has changed. Raises NotFound."""
    configuration = host.configuration()
    _there(configuration, name)
    names = sorted(configuration.connections) if name is None else [name]
    if host.engine is not None:
        await host.engine.sampling.keep()
    rows = await host.store.read(lambda connection: _rows(connection, name))
    uses = uses_of(configuration)
    return [_told_of(host, configuration, each, rows, uses) for each in names]


async def accept(host: Host, name: str, reason: str) -> dict[str, Any]:
    """Makes what a connection gives now the known shape. Raises NotFound, Conflict where nothing has changed."""
    reason, configuration = reason_given(reason), host.configuration()
    _there(configuration, name)
    keys = configuration.connections[name].config.drift

    def unit(tx: Tx) -> list[str]:
        texts: list[str] = []
        for row in tx.execute(select(table).where(table.c.connection == name)).fetchall():
            watched = of_row(row._asdict(), keys)
            changes = watched.changes()
            if not changes:
                continue
            watched.accept()
            texts += [Told(change, ()).text("en") for change in changes]
            at = (table.c.connection == name) & (table.c.what == row.what) & (table.c.part == row.part)
            said = {"accepted_at": tx.now, "accepted_by": host.actor, "reason": reason, "changed_at": None}
            tx.execute(table.update().where(at).values(data=orjson.dumps(watched.data()).decode(), **said))
        if not texts:
            raise refused(Conflict, "nothing_changed", hint=f"`pipe drift {name}` tells what is watched", name=name)
        tx.audit(
            "drift.accepted", after={"changes": texts[:MOST_IN_AUDIT], "reason": reason}, target=name, actor=host.actor
        )
        return texts

    if host.engine is not None:
        await host.engine.sampling.keep()
    texts = await host.store.write(unit)
    if host.engine is not None:
        host.engine.sampling.accepted.add(name)
    return {"connection": name, "accepted": texts}


OPERATIONS: Mapping[str, Callable[..., Awaitable[Any]]] = {"drift.list": find, "drift.accept": accept}


def _told_of(
    host: Host, configuration: Configuration, name: str, rows: list[Mapping[str, Any]], uses: list[Use]
) -> dict[str, Any]:
    spec = configuration.connections[name]
    keys: Keys | Literal[False] = spec.config.drift
    watched = [of_row(row, keys) for row in rows if row["connection"] == name]
    watched = [each for each in watched if _is_wanted(each, configuration, keys)]
    catalogue = host.engine.catalogue if host.engine is not None else host.built.catalogue()
    items = [_item(each, catalogue.adapters[spec.type], uses) for each in watched]
    asked = _asked(host, name)
    if asked is not None and asked[0] not in {each["what"] for each in items}:
        items.insert(0, _unasked(*asked))
    return {
        "connection": name, "type": spec.type, "place": str(spec.place), "state": _state(items, watching=bool(keys)),
        "watched": items,
    }  # fmt: skip


def _state(items: list[dict[str, Any]], *, watching: bool) -> str:
    if not watching:
        return "off"
    if any(change["breaks"] for item in items for change in item["changes"]):
        return "changed"
    if any(item["what"] == "sample" and item["known"] is None for item in items):
        return "learning"
    return "same" if any(item["looked_at"] for item in items) else "unknown"


def _item(watched: Watched, adapter: Any, uses: list[Use]) -> dict[str, Any]:
    row = watched.row
    changes = [each.plain() for each in told(watched.changes(), row.connection, adapter, uses)]
    name: str = row.what
    name_uk: str = row.what
    if row.what == "sample":
        change = Change("sample", row.part, "", "gone", "", "")
        name, name_uk = part_in(change, "en"), part_in(change, "uk")
    return {
        "what": row.what, "part": row.part, "name": name, "name_uk": name_uk, **watched.facts(),
        "looked_at": row.looked_at, "changed_at": row.changed_at, "trouble": row.trouble,
        "accepted_at": row.accepted_at, "accepted_by": row.accepted_by, "reason": row.reason, "changes": changes,
    }  # fmt: skip


def _unasked(what: str, where: str) -> dict[str, Any]:
    empty = ("known", "seen", "learned", "learn", "looked_at", "changed_at", "trouble", "accepted_at", "accepted_by",
             "reason")  # fmt: skip
    named = {"what": what, "part": "", "name": what, "name_uk": what, "where": where}
    return {**named, **dict.fromkeys(empty), "changes": []}


def _asked(host: Host, name: str) -> tuple[str, str] | None:
    live = host.engine.connections.get(name) if host.engine is not None else None
    return live.adapter.described_at() if live is not None and isinstance(live.adapter, Described) else None


def _is_wanted(watched: Watched, configuration: Configuration, keys: Keys | bool) -> bool:
    if not isinstance(keys, Keys):
        return False
    return watched.row.what != "sample" or (
        bool(keys.samples) and parts_of(watched.row.part)[0] in configuration.routes
    )


def _there(configuration: Configuration, name: str | None) -> None:
    if name is not None and name not in configuration.connections:
        known = ", ".join(sorted(configuration.connections))
        raise NotFound(f"there is no connection `{name}`; there are: {known}")


def _rows(connection: Connection, name: str | None) -> list[Mapping[str, Any]]:
    query = select(table).order_by(table.c.connection, table.c.what.desc(), table.c.part)
    if name is not None:
        query = query.where(table.c.connection == name)
    return [row._asdict() for row in connection.execute(query)]
