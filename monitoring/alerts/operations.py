"""What people ask of alerts: which there are, that somebody takes care of one, and quiet for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_args

from sqlalchemy import Connection, select

from monitoring.alerts.book import Alert, restored
from monitoring.alerts.listeners import Nobody, People, configured, tell
from monitoring.alerts.looking import GATEWAY
from monitoring.alerts.tables import alert, silence
from pipe.config.alerts import RULES, Listener, RuleName, loudness
from pipe.errors import BadRequest, NotFound
from pipe.operations.host import Host, reason_given
from pipe.refusing import refused
from pipe.store.transaction import Tx

MOST = 1000
NOBODY = Nobody()


async def find(host: Host, *, past: bool = False, limit: int = 100) -> dict[str, Any]:
    """Those that fire, the loudest first, then what is pending; with `past` also what is over, the newest first."""
    now, most = host.clock.now(), max(1, min(limit, MOST))
    rows, quiet = await host.store.read(
        lambda connection: (_rows(connection, most, past=past), _quiet(connection, now))
    )
    return {"alerts": [_told(row) for row in rows], "silences": quiet}


async def acknowledge(host: Host, id: str, note: str = "") -> dict[str, Any]:
    """Somebody takes care of it: it is not told again while it lasts; the all-clear is. Raises NotFound."""

    def unit(tx: Tx) -> dict[str, Any]:
        row = tx.execute(select(alert).where(alert.c.id == id)).mappings().first()
        if row is None:
            raise NotFound(f"there is no alert {id}; `pipe alerts` lists them")
        if row["ended_at"] is not None:
            raise refused(BadRequest, "alert_over", id=id)
        care = {"acked_at": tx.now, "acked_by": host.actor, "note": note or None}
        tx.execute(alert.update().where(alert.c.id == id).values(**care))
        tx.audit("alert.acknowledged", after={"note": note or None, "text": row["text"]}, target=id, actor=host.actor)
        return _told({**row, **care})

    return await host.store.write(unit)


async def silence_for(
    host: Host, seconds: float, reason: str, rule: str | None = None, subject: str | None = None
) -> dict[str, Any]:
    """Nobody is told of a rule, of a subject, or of both together, for so long. Raises BadRequest."""
    reason = reason_given(reason)
    if rule is None and subject is None:
        raise refused(BadRequest, "silence_of_what")
    if rule is not None and rule not in RULES:
        raise refused(BadRequest, "no_rule", rule=rule, rules=", ".join(get_args(RuleName)))
    if seconds <= 0:
        raise refused(BadRequest, "silence_no_time")

    def unit(tx: Tx) -> dict[str, Any]:
        row = {"id": tx.new_id(), "rule": rule, "subject": subject, "until": tx.now + seconds, "reason": reason}
        tx.insert(silence, **row, at=tx.now, by=host.actor)
        tx.audit("alert.silenced", after=row, target=subject or rule or "", actor=host.actor)
        return row

    return await host.store.write(unit)


async def speak(host: Host, id: str) -> dict[str, Any]:
    """Ends a silence before its time. Raises NotFound."""

    def unit(tx: Tx) -> dict[str, Any]:
        row = tx.execute(select(silence).where(silence.c.id == id)).mappings().first()
        if row is None:
            raise NotFound(f"there is no silence {id}; `pipe alerts` lists them")
        tx.execute(silence.delete().where(silence.c.id == id))
        tx.audit("alert.silence_ended", before={str(name): row[name] for name in row}, target=id, actor=host.actor)
        return {"id": id}

    return await host.store.write(unit)


async def test(host: Host) -> dict[str, Any]:
    """Sends a test alert through every route that tells alerts to whoever stands in it; returns which.

    People who subscribed test their own subscriptions. Raises BadRequest where there is no such route.
    """
    engine = host.engine
    if engine is None:
        raise refused(BadRequest, "no_gateway")
    listeners = configured(engine.configuration)
    if not listeners:
        raise refused(BadRequest, "nobody_told", source="{alerts: warning}")

    def unit(tx: Tx) -> dict[str, str]:
        alert_ = _test(tx, host)
        sent = {each.name: tell(tx, engine.outcomes, NOBODY, each, [alert_], test=True) for each in listeners}
        tx.audit("alert.tested", after=sent, target="alerts", actor=host.actor)
        return sent

    return {"sent": await host.store.write(unit)}


async def test_one(host: Host, people: People, listener: Listener) -> str:
    """Sends a test alert to one person who subscribed, the way of real ones; the id of the message."""
    engine = host.engine
    assert engine is not None  # pages are served by a running gateway

    def unit(tx: Tx) -> str:
        sent = tell(tx, engine.outcomes, people, listener, [_test(tx, host)], test=True)
        tx.audit("alert.tested", after={"message": sent}, target=listener.name, actor=host.actor)
        return sent

    return await host.store.write(unit)


def _test(tx: Tx, host: Host) -> Alert:
    text = f"this is a test by {host.actor}; nothing is wrong"
    uk = f"це перевірка від {host.actor}, усе гаразд"
    return Alert(tx.new_id(), "disk", GATEWAY, "info", text, uk, tx.now, tx.now)


OPERATIONS: Mapping[str, Callable[..., Awaitable[Any]]] = {
    "alerts.list": find,
    "alerts.acknowledge": acknowledge,
    "alerts.silence": silence_for,
    "alerts.speak": speak,
    "alerts.test": test,
}


def _rows(connection: Connection, most: int, *, past: bool) -> list[dict[str, Any]]:
    c = alert.c
    now = [dict(row) for row in connection.execute(select(alert).where(c.ended_at.is_(None))).mappings()]
    now.sort(key=lambda row: (row["fired_at"] is None, -loudness(row["severity"]), row["began_at"]))
    over = select(alert).where(c.ended_at.is_not(None), c.fired_at.is_not(None)).order_by(c.ended_at.desc())
    old = [dict(row) for row in connection.execute(over.limit(most)).mappings()] if past else []
    return [*now, *old][:most]


def _quiet(connection: Connection, now: float) -> list[dict[str, Any]]:
    query = select(silence).where(silence.c.until > now).order_by(silence.c.until)
    return [dict(row) for row in connection.execute(query).mappings()]


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return restored(row).told()
