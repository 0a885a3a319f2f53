"""How the gateway is: a sentence first, then routes, connections, store and disk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from pipe.config.promise import promise_of
from pipe.operations.host import Host
from pipe.operations.ledger import (
    NAMES,
    Waits,
    ages_of,
    counters_of,
    one_moment,
    totals_of,
    unknown_among,
    waits_of,
)
from pipe.redact import mask
from pipe.store import restore, wiping
from pipe.store.schema import DEAD, FINAL, TIMER, control, delivery

RATE_S = 60.0
STUCK_S = 900.0
"""a delivery that could go and has waited longer than this is worth a word"""


async def status(host: Host) -> dict[str, Any]:
    """Everything at one look; `well` is False where a person must do something."""
    return (await looked(host))[0]


async def looked(host: Host) -> tuple[dict[str, Any], list[Waits]]:
    """The status, and what waits, which it was made from: all of one moment, counted once."""
    found = await host.store.read(lambda connection: _looked(connection, host.clock.now()))
    connections_ = await _connections(host, by_station(found["waits"]))
    return _told(host, found, connections_), found["waits"]


def _told(host: Host, found: dict[str, Any], connections_: list[dict[str, Any]]) -> dict[str, Any]:
    routes_ = [_route(host, name, found) for name in _route_names(host, found)]
    totals = {name: sum(rows[name] for rows in found["totals"].values()) for name in NAMES}
    disk = _disk(host)
    troubles = _troubles(host, routes_, connections_, disk, found)
    return {
        "verdict": _verdict(troubles, routes_, connections_, totals),
        "well": not troubles,
        "troubles": troubles,
        "running": host.engine is not None,
        **host.facts,
        "revision": host.engine.configuration.revision if host.engine else None,
        "now": host.clock.now(),
        "restored": found["restored"],
        "ledger": totals,
        "routes": routes_,
        "connections": connections_,
        "disk": disk,
        "store": {"commits": host.store.writer.commits, "units": host.store.writer.units},
    }


async def connections(host: Host) -> list[dict[str, Any]]:
    """State of each connection, why, since when, and how many deliveries wait for it."""
    return await _connections(host, by_station(await host.store.read(waits_of)))


async def _connections(host: Host, waiting: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
    if host.engine is None:
        return [_closed(name, spec.type, row) for name, spec, row in await _configured(host)]
    for_whom: dict[str | None, int] = {}
    for (route, station), n in waiting.items():
        name = _connection_of(host, route, station)
        for_whom[name] = for_whom.get(name, 0) + n
    rows = []
    for name, connection in sorted(host.engine.connections.items()):
        health = connection.health
        rows.append(
            {
                "connection": name,
                "type": connection.config.type,
                "state": health.state,
                "reason": mask(health.reason, ()),
                "code": health.code or None,
                "since": connection.since,
                "opens_at": connection.opens_at,
                "last_ok": connection.last_ok,
                "last_error": mask(connection.last_error[1], ()) if connection.last_error else None,
                "last_error_at": connection.last_error[0] if connection.last_error else None,
                "waiting": for_whom.get(name, 0),
                "certificates": [
                    {"whose": each.whose, "for": each.name, "issuer": each.issuer, "ends": each.ends, "days": each.days}
                    for each in connection.certificates()
                ],
            }
        )
    return rows


async def routes(host: Host) -> list[dict[str, Any]]:
    """Source, targets, computed promise and what waits, route by route."""
    configuration, found = host.configuration(), await host.store.read(totals_of)
    known = host.engine.catalogue if host.engine is not None else host.built.catalogue()
    rows = []
    for name, route in sorted(configuration.routes.items()):
        promise = promise_of(route, configuration, known.adapters)
        rows.append(
            {
                "route": name,
                "from": route.source.connection or route.source.kind,
                "to": [target.key for target in route.to],
                "mode": route.reply.mode,
                "promise": str(promise),
                "duplicates": promise.duplicates,
                "reasons": list(promise.reasons),
                "pending": found.get(name, {}).get("pending", 0),
                "state": _switch(host, name),
                "place": str(route.place),
            }
        )
    return rows


# --- parts --------------------------------------------------------------------------------------------------------


def _looked(connection: Connection, now: float) -> dict[str, Any]:
    d = delivery.c
    with one_moment(connection):
        waits = waits_of(connection)
        heads = [(each.route, each.station, each.state, each.first) for each in waits]
        ended = select(d.route, func.count().label("n")).where(d.done_at > now - RATE_S).group_by(d.route)
        return {
            "states": _by_state(waits),
            "waits": waits,
            "oldest": ages_of(connection, heads, now),
            "ended": {row.route: row.n for row in connection.execute(ended)},
            "totals": _totals(connection, waits),
            "switched": {(row.kind, row.name): row.state for row in connection.execute(select(control))},
            "restored": restore.restored_from(connection),
            "held": {row.name for row in connection.execute(select(control.c.name).where(control.c.by == restore.BY))},
            "erasing": len(wiping.unfinished(connection)),
            "uncertain": sum(unknown_among(connection, heads).values()),
        }


def _by_state(waits: Iterable[Waits]) -> dict[str, dict[str, int]]:
    states: dict[str, dict[str, int]] = {}
    for each in waits:
        of = states.setdefault(each.route, {})
        of[each.state] = of.get(each.state, 0) + each.n
    return states


def _totals(connection: Connection, waits: Iterable[Waits]) -> dict[str, dict[str, int]]:
    totals = counters_of(connection)
    for each in waits:
        of = totals.setdefault(each.route, dict.fromkeys(NAMES, 0))
        of["pending"] += each.n
    return totals


def by_station(waits: Iterable[Waits]) -> dict[tuple[str, str], int]:
    """How many deliveries wait at each route and station; timers, which wait on purpose, left out."""
    found: dict[tuple[str, str], int] = {}
    for each in waits:
        if each.state != TIMER:
            at = each.route, each.station
            found[at] = found.get(at, 0) + each.n
    return found


def _connection_of(host: Host, route: str, station: str) -> str | None:
    assert host.engine is not None
    made = host.engine.routes.get(route)
    target = made.targets.get(station) if made is not None else None
    return target.config.connection if target is not None else None


async def _configured(host: Host) -> list[tuple[str, Any, str | None]]:
    if host.world is None:
        return []
    paused = await host.store.read(
        lambda c: {row.name for row in c.execute(select(control).where(control.c.kind == "connection"))}
    )
    specs = sorted(host.configuration().connections.items())
    return [(name, spec, "paused" if name in paused else None) for name, spec in specs]


def _closed(name: str, kind: str, switched: str | None) -> dict[str, Any]:
    empty = dict.fromkeys(("code", "since", "opens_at", "last_ok", "last_error", "last_error_at"))
    return {
        "connection": name, "type": kind, "state": switched or "unknown", "reason": "no gateway runs on this folder",
        **empty, "waiting": 0, "certificates": [],
    }  # fmt: skip


def _route_names(host: Host, found: dict[str, Any]) -> list[str]:
    return sorted({*found["totals"], *(host.engine.routes if host.engine else ())})


def _route(host: Host, name: str, found: dict[str, Any]) -> dict[str, Any]:
    states = found["states"].get(name, {})
    totals = found["totals"].get(name, dict.fromkeys(NAMES, 0))
    switched = found["switched"].get(("route", name))
    gone = host.engine is not None and name not in host.engine.routes
    return {
        "route": name,
        "state": "gone" if gone else switched or ("running" if host.engine else "stopped"),
        "pending": totals["pending"],
        "by_state": {state: n for state, n in states.items() if state not in FINAL},
        "oldest_s": found["oldest"].get(name),
        "per_minute": found["ended"].get(name, 0),
        "dead": totals[DEAD],
        "expired": totals["expired"],
    }


def _switch(host: Host, route: str) -> str:
    if host.engine is None:
        return "stopped"
    switches = host.engine.switches
    return "paused" if route in switches.routes else "draining" if route in switches.draining else "running"


def _disk(host: Host) -> dict[str, Any]:
    floor = int(host.engine.room.limits.disk_floor) if host.engine else None
    return {"free": host.store.free_bytes(), "floor": floor}


def _troubles(
    host: Host,
    routes_: list[dict[str, Any]],
    connections_: list[dict[str, Any]],
    disk: dict[str, Any],
    found: dict[str, Any],
) -> list[str]:
    """What a person must look at, the worst first; each with what to type next."""
    texts = []
    if host.engine is None:
        texts.append(
            "no gateway runs on this folder: nothing is taken in and nothing is delivered; start it with `pipe run`"
        )
    elif host.store.writer.failed is not None:
        texts.append(f"the store failed: {host.store.writer.failed.text}")
    if disk["floor"] is not None and disk["free"] < disk["floor"]:
        texts.append(
            f"the disk has {disk['free'] >> 20} MiB left, its floor is {disk['floor'] >> 20} MiB: nothing is accepted"
        )
    if found["restored"] is not None:
        texts.append(_restored(found["restored"], sum(row["pending"] for row in routes_)))
    # What the restore holds needs no line each.
    mine = found["held"] if found["restored"] is not None else set()
    texts += [text for row in connections_ if row["connection"] not in mine and (text := _connection_trouble(row))]
    texts += [text for row in routes_ for text in _route_troubles(row, mine, running=host.engine is not None)]
    if found["erasing"]:
        texts.append(
            f"{found['erasing']} erasures wait for messages that hold the data among others' and are still on their way"
        )
    if found["uncertain"]:
        texts.append(
            f"of {found['uncertain']} sent, nobody knows whether it arrived: "
            "`pipe search --state uncertain`, ask the partner, then `pipe resolve ID`"
        )
    return texts


def _connection_trouble(row: dict[str, Any]) -> str | None:
    wait = f"; {_deliveries(row['waiting'])} for it and lose nothing" if row["waiting"] else ""
    if row["state"] in ("down", "degraded"):
        return f"{row['connection']} is {row['state']}: {row['reason'] or 'no reason is known'}{wait}"
    if row["state"] == "paused":
        return f"{row['connection']} is paused by a person{wait}; go on with `pipe resume {row['connection']}`"
    return None


def _restored(found: dict[str, Any], pending: int) -> str:
    made = datetime.fromtimestamp(found["made_at"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    waits = "1 delivery that was" if pending == 1 else f"{pending} deliveries that were"
    return (
        f"this is a copy restored from the backup {found['file']} of {made}: nothing is received or sent; "
        f"`pipe resume` lets it go, and sends {waits} pending then"
    )


def _route_troubles(row: dict[str, Any], mine: set[str], *, running: bool) -> list[str]:
    name, texts = row["route"], []
    if row["state"] in ("paused", "draining") and name not in mine:
        texts.append(
            f"route {name} is {row['state']} by a person, {_deliveries(row['pending'])}; "
            f"go on with `pipe resume {name}`"
        )
    if row["state"] == "gone" and row["pending"]:
        texts.append(f"route {name} is no longer configured, but {row['pending']} of its deliveries wait")
    if row["dead"] + row["expired"]:
        texts.append(f"route {name} has {_letters(row)}: `pipe dead list --route {name}`")
    if running and row["state"] == "running" and (row["oldest_s"] or 0) > STUCK_S:
        texts.append(
            f"route {name}: the oldest of {row['pending']} waiting deliveries is {row['oldest_s'] / 60:.0f} min old"
        )
    return texts


def _deliveries(n: int) -> str:
    return "1 delivery waits" if n == 1 else f"{n} deliveries wait"


def _letters(row: dict[str, Any]) -> str:
    parts = [f"{row[name]} {name}" for name in (DEAD, "expired") if row[name]]
    return f"{' and '.join(parts)} {'delivery' if row['dead'] + row['expired'] == 1 else 'deliveries'}"


def _verdict(
    troubles: list[str],
    routes_: list[dict[str, Any]],
    connections_: list[dict[str, Any]],
    totals: dict[str, int],
) -> str:
    if troubles:
        count = "One thing needs" if len(troubles) == 1 else f"{len(troubles)} things need"
        first = ": " if len(troubles) == 1 else ", first of all: "
        return f"{count} a person{first}{troubles[0]}."
    timers = sum(row["by_state"].get(TIMER, 0) for row in routes_)
    under_way = totals["pending"] - timers
    waits = f"{under_way} on their way" if under_way else "nothing waits"
    later = f", {timers} set for later" if timers else ""
    counted = f"{_counted(len(routes_), 'route')}, {_counted(len(connections_), 'connection')}"
    return f"All is well: {counted}, {waits}{later}."


def _counted(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
