"""Why a delivery is where it is, and what happens next and when; in words that a tired person understands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection as Reading
from sqlalchemy import Select, func, select

from pipe.connection import Connection
from pipe.operations.host import Host
from pipe.operations.selection import D, M
from pipe.store.schema import (
    ANSWERED,
    ANSWERING,
    CONSUMED,
    DEAD,
    DELIVERED,
    DISCARDED,
    EXPIRED,
    HELD,
    READY,
    RETRY,
    TIMER,
    UNCERTAIN,
    control,
    dead_letter,
    delivery,
    message,
)


@dataclass(slots=True)
class Reason:
    """Why, what next, and when next (seconds since 1970) where that is known."""

    why: str
    then: str = ""
    at: float | None = None
    about: dict[str, Any] = field(default_factory=dict)
    """ids and names that the words speak of"""
    blocked: bool = False
    """something stands in its way that is no fault of its own"""
    kind: str = "ended"
    """which of the reasons it is, for those who say it in words of their own"""


@dataclass(slots=True)
class Around:
    """What the store says of the surroundings of a delivery, read in the same moment."""

    paused: dict[tuple[str, str], Any] = field(default_factory=dict)
    """by kind and name: who paused a route or connection, when and why"""
    first: Any = None
    """the first of its key, where that is another one"""
    ahead: int = 0
    """how many of its key go before it"""
    first_around: Around | None = None


def around(connection: Reading, row: Any) -> Around:
    """The surroundings of one delivery."""
    found = Around()
    for switched in connection.execute(select(control).where(control.c.state == "paused")).mappings():
        found.paused[switched["kind"], switched["name"]] = switched
    if row["state"] == HELD:
        lane = (
            D.route == row["route"],
            D.station == row["station"],
            D.order_key == row["order_key"],
            D.done_at.is_(None),
        )
        first = connection.execute(rows_to_explain().where(*lane).order_by(D.id).limit(1)).mappings().first()
        if first is not None and first["delivery"] != row["delivery"]:
            before = select(func.count()).select_from(delivery).where(*lane, D.id < row["delivery"])
            found.first, found.ahead = first, max(1, connection.execute(before).scalar() or 1)
            found.first_around = around(connection, first)
    return found


def reason(host: Host, row: Any, surroundings: Around) -> Reason:
    """The reason of one delivery, a row of `rows_to_explain`. Looks at the running engine, so only on its loop."""
    state = row["state"]
    if state in (DELIVERED, CONSUMED, ANSWERED, DISCARDED, EXPIRED, DEAD):
        return _ended(row, again=not host.never_again(row["route"]))
    if state == HELD:
        return _held(host, surroundings)
    if state in (READY, RETRY) and (stopped := _stopped(host, row, surroundings)) is not None:
        return stopped
    if state == TIMER:
        return _timer(row)
    if state == ANSWERING:
        return Reason(
            "its caller waits, the partner is being asked",
            "the caller gets the answer",
            row["expires_at"],
            kind="answering",
        )
    return {READY: _ready, RETRY: _retry, UNCERTAIN: _uncertain}[state](host, row)


# --- it ended -----------------------------------------------------------------------------------------------------


def _ended(row: Any, *, again: bool) -> Reason:
    state, id_ = row["state"], row["id"]
    if not again and state in (DEAD, EXPIRED):
        return Reason(row["note"] or "its deadline passed", "nothing: its route has `replay: never`")
    if state == DEAD:
        first = f"{row['hint']}; " if row["hint"] else ""
        tools = f"`pipe dead rehearse {id_}` shows what would happen now, `pipe dead replay {id_}` sends it again"
        then = f"nothing until a person decides: {first}{tools}"
        maybe = "; it may have arrived all the same" if row["maybe_delivered"] else ""
        return Reason(f"{row['note'] or 'it failed for good'}{maybe}", then)
    if state == EXPIRED:
        then = f"nothing: it came too late to matter; `pipe dead replay {id_} --ignore-deadline` sends it all the same"
        return Reason(row["note"] or "its deadline passed", then)
    if state == DISCARDED:
        return Reason(row["note"] or "it was dropped on purpose", "nothing more")
    answered = f", the partner answered {row['status']}" if row["status"] else ""
    done = {
        DELIVERED: f"it was delivered{answered}",
        CONSUMED: "the gateway itself took it",
        ANSWERED: "its caller got an answer",
    }
    return Reason(f"{done[state]}{': ' + row['note'] if row['note'] else ''}", "nothing more")


# --- it waits -----------------------------------------------------------------------------------------------------


def _stopped(host: Host, row: Any, surroundings: Around) -> Reason | None:
    """What stands in the way of everything at this station, where something does."""
    route, station = row["route"], row["station"]
    paused = surroundings.paused.get(("route", route))
    if host.engine is None:
        return Reason(
            "no gateway runs on this folder", "it goes on when `pipe run` is started", blocked=True, kind="no_gateway"
        )
    if paused is not None:
        why = f"the route {route} was paused by {paused['by']}: {paused['reason']}"
        about = {"since": paused["at"], "by": paused["by"], "reason": paused["reason"]}
        return Reason(why, f"it goes on with `pipe resume {route}`", about=about, blocked=True, kind="route_paused")
    made = host.station(route, station)
    if made is None:
        why = f"the route {route} has no {station} in today's configuration"
        return Reason(why, "nothing until the configuration has it again", blocked=True, kind="no_station")
    partner = getattr(made, "connection", None)
    return None if partner is None or partner.admits() else _closed(partner, surroundings)


def _closed(partner: Connection, surroundings: Around) -> Reason:
    name, about = partner.name, {"connection": partner.name, "since": partner.since}
    if partner.paused:
        by = surroundings.paused.get(("connection", name))
        who = f"by {by['by']}: {by['reason']}" if by is not None else "by a person"
        then = f"it goes on with `pipe resume {name}`"
        if by is not None:
            about |= {"by": by["by"], "reason": by["reason"]}
        why = f"the connection {name} was paused {who}"
        return Reason(why, then, about=about, blocked=True, kind="connection_paused")
    why = f"the connection {name} is {partner.state}: {partner.reason or 'no reason is known'}"
    then = f"{name} is tried again, and then this goes at once; waiting costs no attempts"
    return Reason(why, then, partner.opens_at, about | {"code": partner.code}, blocked=True, kind="connection_closed")


def _ready(host: Host, row: Any) -> Reason:
    made = host.station(row["route"], row["station"])
    if made is not None and made.is_in_work(row["delivery"]):
        return Reason("it is being worked on at this moment", "its outcome, in a moment", kind="in_work")
    ahead = len(made.queue) if made is not None else 0
    if ahead > 1:
        why = f"it waits for its turn among {ahead} at {row['station']}"
        return Reason(why, "it goes when a worker is free", about={"ahead": ahead}, kind="queue")
    return Reason("it is about to go", "its first attempt, in a moment", kind="about_to_go")


def _retry(host: Host, row: Any) -> Reason:
    made = host.station(row["route"], row["station"])
    target = made.route.targets.get(row["station"]) if made is not None else None
    most = ""
    if made is not None and target is not None:
        most = f" of {(target.config.retry or made.route.config.retry).attempts}"
    why = f"attempt {row['attempts']}{most} failed: {row['note'] or row['code'] or 'no reason is known'}"
    return Reason(why, f"attempt {row['attempts'] + 1}", row["next_at"], kind="retry")


def _timer(row: Any) -> Reason:
    return Reason(
        "it is a timer: it was asked for at a later time",
        "it goes on its way, if no flow takes it back first",
        row["next_at"],
        kind="timer",
    )


def _uncertain(host: Host, row: Any) -> Reason:
    id_ = row["id"]
    why = f"it was sent, and nobody knows whether it arrived: {row['note'] or 'no answer came'}"
    ask = f"ask the partner, then `pipe resolve {id_} --delivered` or `--retry`"
    if row["next_at"] is None:
        return Reason(why, f"nothing until a person decides: {ask}", kind="uncertain_person")
    made = host.station(row["route"], row["station"])
    target = made.route.targets.get(row["station"]) if made is not None else None
    if target is not None and target.config.on_uncertain is None:
        return Reason(
            why,
            f"its key has waited long enough then, and it becomes a dead letter; before that: {ask}",
            row["next_at"],
            kind="uncertain_dead",
        )
    then = f"the partner is asked what became of it; or decide now: {ask}"
    return Reason(why, then, row["next_at"], kind="uncertain_confirm")


def _held(host: Host, surroundings: Around) -> Reason:
    """Held behind the first of its key; what that one waits for is what this one waits for."""
    first = surroundings.first
    if first is None or surroundings.first_around is None:
        return Reason("it is the next of its key", "it goes in a moment", kind="about_to_go")
    behind = reason(host, first, surroundings.first_around)
    others = f" (and {surroundings.ahead - 1} more)" if surroundings.ahead > 1 else ""
    why = f"message {first['id']} of the same key goes first{others}, and that one waits: {behind.why}"
    return Reason(
        why,
        f"it goes when {first['id']} is done, whose next is {behind.then}",
        behind.at,
        {"behind": first["id"], **behind.about},
        kind="held",
    )


def rows_to_explain() -> Select[Any]:
    """Deliveries with what `reason` and the story look at."""
    letter = dead_letter.c
    return (
        select(
            D.id.label("delivery"), D.route, D.station, D.state, D.order_key, D.next_at, D.expires_at, D.done_at,
            D.attempts, D.code, D.status, D.note, D.ms, M.id, M.seq, letter.hint, letter.maybe_delivered, letter.step,
            letter.place, letter["class"], letter.code.label("dead_code"),
        )
        .join(message, M.seq == D.message)
        .outerjoin(dead_letter, letter.delivery == D.id)
    )  # fmt: skip
