"""Dead letters: look at them, send them again, or close them with a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, func, select, update

from pipe.config.units import Rate
from pipe.errors import BadRequest, NotFound, PipeError
from pipe.operations.host import Host, reason_given
from pipe.operations.messages import sha256_of, shown_of
from pipe.operations.selection import (
    LETTERS,
    SEARCH_LIMIT_S,
    D,
    L,
    M,
    Which,
    deliveries_of,
    listed,
    told,
    values_of,
)
from pipe.operations.wires import wire_of
from pipe.redact import mask
from pipe.refusing import in_language, refused
from pipe.store import codec
from pipe.store.journal import Work
from pipe.store.schema import DISCARDED, HELD, READY, attempt, audit, dead_letter, delivery, message
from pipe.store.transaction import Tx

ALL = Which()
AT_ONCE = 200
SHOWN_REPLY = 64 << 10

Acted = tuple[str, int, PipeError | None]
"""message, delivery, and why not"""


# --- looking ------------------------------------------------------------------------------------------------------


async def find(host: Host, which: Which = ALL, limit: int = 100) -> list[dict[str, Any]]:
    """Dead and expired deliveries, the newest first."""
    statement = listed().where(*which.conditions()).order_by(D.id.desc()).limit(max(1, limit))
    loader = host.store.loader
    return await host.store.read(
        lambda c: [letter_of(row, loader) for row in c.execute(statement).mappings()], SEARCH_LIMIT_S
    )


async def show(host: Host, id: str) -> list[dict[str, Any]]:
    """The whole dead letters of a message: attempts, original, body at the failing step, the partner's reply."""
    rows = await deliveries_of(host, id, *LETTERS)
    if not rows:
        raise NotFound(f"{id} has no dead letter", hint=f"`pipe explain {id}` tells where it is", message=id)
    await host.store.write(lambda tx: tx.audit("dead.viewed", target=rows[0]["id"], actor=host.actor))
    return await host.store.read(lambda c: [_whole(c, host, row) for row in rows])


def letter_of(row: Any, loader: Any) -> dict[str, Any]:
    """What a list tells of a row of `listed()`, masked."""
    base = told(row, loader)
    return {
        "id": base["delivery"],
        "message_id": base["id"],
        "route": base["route"],
        "station": base["station"],
        "state": base["state"],
        "class": row["class"] or row["state"],
        "code": base["code"],
        "text": base["text"],
        "hint": row["hint"],
        "step": row["step"],
        "place": row["place"],
        "config_revision": row["revision"],
        "received_at": base["received_at"],
        "died_at": base["done_at"],
        "deadline": base["deadline"],
        "attempts": base["attempts"],
        "maybe_delivered": base["maybe_delivered"],
        "origin": base["origin"],
    }


def _whole(connection: Connection, host: Host, row: Any) -> dict[str, Any]:
    loader = host.store.loader
    values = values_of(row, loader)
    letter = connection.execute(select(dead_letter).where(L.delivery == row["delivery"])).mappings().first()
    stored = connection.execute(select(message).where(M.id == row["id"])).mappings().one()
    attempts = attempts_of(connection, row["delivery"])
    told_ = {
        "attempts": attempts,
        "original": _original(stored, loader, values),
        "wire": _wire(stored, loader),
        "body_at_step": _body_at_step(letter, host, stored, values),
        "partner_reply": attempts[-1]["reply"] if attempts else None,
        "traceback": letter["traceback"] if letter is not None else None,
        "audit": audit_of(connection, [row["id"]]),
    }
    return {**letter_of(row, loader), **mask(told_, values)}


def _original(stored: Any, loader: Any, values: Sequence[str]) -> dict[str, Any] | None:
    if stored["kind"] == "gone":
        return None
    try:
        original = loader.message({**stored, "message_id": stored["id"]})
    except PipeError as error:
        return {"damaged": error.text}
    shown = {"content_type": original.content_type, "headers": dict(original.headers), "caller": original.caller}
    return {**shown, "size": stored["size"], "sha256": sha256_of(original), **shown_of(original.body, stored, values)}


def _wire(stored: Any, loader: Any) -> dict[str, Any] | None:
    try:
        return wire_of(stored, loader) if stored["kind"] != "gone" else None
    except PipeError as error:
        return {"damaged": error.text}


def _body_at_step(letter: Any, host: Host, stored: Any, values: Sequence[str]) -> Any:
    if letter is None or letter["body_kind"] is None:
        return None
    data = bytes(letter["body"])
    body = codec.unpack(letter["body_kind"], data, host.store.blobs, host.store.vault, f"{stored['id']} dead")
    return shown_of(body, stored, values)


def attempts_of(connection: Connection, delivery_id: int) -> list[dict[str, Any]]:
    """Every attempt that has a row, the oldest first; what the partner answered beside it."""
    a = attempt.c
    rows = connection.execute(select(attempt).where(a.delivery == delivery_id).order_by(a.n)).mappings()
    return [
        {
            "n": row["n"],
            "at": row["at"],
            "ms": round(row["ms"]),
            "outcome": row["outcome"],
            "code": row["code"],
            "status": row["status"],
            "text": row["note"],
            "reply": reply_of(row["reply"]),
        }
        for row in rows
    ]


def reply_of(data: Any) -> Any:
    """A partner's answer as it was kept; None where there was none."""
    if data is None:
        return None
    try:
        return codec.load(bytes(data))
    except ValueError:
        return {"body": bytes(data)[:SHOWN_REPLY].decode("utf-8", "replace")}


def audit_of(connection: Connection, targets: list[str]) -> list[dict[str, Any]]:
    """What people did with messages."""
    rows = connection.execute(select(audit).where(audit.c.target.in_(targets)).order_by(audit.c.seq)).mappings()
    return [
        {"at": row["at"], "actor": row["actor"], "event": row["event"], "after": _json(row["after"])} for row in rows
    ]


def _json(text: str | None) -> Any:
    return None if text is None else codec.load(text.encode())


# --- acting -------------------------------------------------------------------------------------------------------


async def replay(
    host: Host, which: Which, rate: Rate | None = None, ignore_deadline: bool = False, reason: str = ""
) -> dict[str, Any]:
    """Sends dead letters again through today's configuration, the oldest first, at most `rate` (`10/s`).

    The row and its id stay; it goes next in its key, behind what is being tried now. Attempts begin anew, the deadline
    is only passed over with `ignore_deadline`. Every one is written into the audit.
    """

    def group(numbers: list[int]) -> Callable[[Tx], list[Acted]]:
        return replaying(host, numbers, ignore_deadline=ignore_deadline, reason=reason)

    return await _each(host, which, group, "replayed", rate)


async def discard(host: Host, which: Which, reason: str) -> dict[str, Any]:
    """Closes dead letters for good: they will not be sent. The reason is written into the audit."""
    why = reason_given(reason)
    return await _each(host, which, lambda numbers: discarding(host, numbers, why), "discarded", None)


def replaying(host: Host, numbers: list[int], *, ignore_deadline: bool, reason: str) -> Callable[[Tx], list[Acted]]:
    """The unit of work that sends these deliveries again; it tells of each that is still kept why not."""
    if host.engine is not None:
        host.engine.prepared.forget()

    def one(tx: Tx, work: Work) -> PipeError | None:
        return send_again(tx, host, work, ignore_deadline=ignore_deadline, reason=reason)

    return _group(host, numbers, one)


def discarding(host: Host, numbers: list[int], reason: str) -> Callable[[Tx], list[Acted]]:
    """The unit of work that closes these deliveries for good; it tells of each that is still kept why not."""
    if host.engine is not None:
        host.engine.prepared.forget()
    return _group(host, numbers, lambda tx, work: close(tx, host, work, reason))


def close(tx: Tx, host: Host, work: Work, reason: str) -> PipeError | None:
    """Makes a dead delivery a discarded one; why not, where that cannot be."""
    note = f"discarded by {host.actor}: {reason}"
    changed = update(delivery).where(D.id == work.id, D.state.in_(LETTERS)).values(state=DISCARDED, note=note)
    if tx.execute(changed.returning(D.id)).first() is None:
        return refused(BadRequest, "no_longer_dead")
    tx.count(work.route, work.state, -1)
    tx.count(work.route, DISCARDED)
    after = {"station": work.station, "delivery": work.id, "reason": reason}
    tx.audit("dead.discarded", before=work.state, after=after, target=work.message.id, actor=host.actor)
    return None


def send_again(tx: Tx, host: Host, work: Work, *, ignore_deadline: bool, reason: str) -> PipeError | None:
    """Makes a dead delivery pending again; why not, where that cannot be."""
    if host.engine is not None and host.station(work.route, work.station) is None:
        return refused(BadRequest, "no_station", route=work.route, station=work.station)
    if host.never_again(work.route):
        return refused(BadRequest, "never_again", route=work.route)
    row = tx.execute(
        select(D.state, D.expires_at, M.kind).join(message, M.seq == D.message).where(D.id == work.id)
    ).first()
    if row is None or row.state not in LETTERS:
        return refused(BadRequest, "no_longer_dead")
    if row.kind == "gone":
        return refused(BadRequest, "body_gone")
    if row.expires_at is not None and row.expires_at <= tx.now and not ignore_deadline:
        return refused(BadRequest, "too_late")
    state = HELD if work.order_key is not None and _lane_is_busy(tx, work) else READY
    fresh = {"attempts": 0, "spent": 0.0, "crashes": 0, "cursor": 0, "code": None, "status": None, "note": None}
    late = {"expires_at": None} if ignore_deadline else {}
    values = {"state": state, "done_at": None, "next_at": None, "output": None, "output_kind": None, **fresh, **late}
    tx.execute(update(delivery).where(D.id == work.id).values(**values))
    _forget_output(tx, work)
    tx.count(work.route, row.state, -1)
    tx.weigh(work.route, work.size)
    if work.gather is not None:
        host.outcomes().gathering.reopen(tx, work)
    if state == READY:
        tx.ready((work.route, work.station, work.id))
    if row.expires_at is not None and not ignore_deadline:
        tx.due(row.expires_at)
    after = {"station": work.station, "delivery": work.id, "reason": reason, "ignore_deadline": ignore_deadline}
    tx.audit("dead.replayed", before=row.state, after=after, target=work.message.id, actor=host.actor)
    return None


def _lane_is_busy(tx: Tx, work: Work) -> bool:
    lane = (D.route == work.route, D.station == work.station, D.order_key == work.order_key, D.done_at.is_(None))
    return tx.execute(select(D.id).where(*lane, D.id != work.id).limit(1)).first() is not None


def _forget_output(tx: Tx, work: Work) -> None:
    """Today's steps are to run, not what yesterday's made; another target that still waits keeps what it began with."""
    others = select(func.count()).where(D.message == work.seq, D.id != work.id, D.done_at.is_(None))
    if not tx.execute(others).scalar():
        tx.execute(update(message).where(M.seq == work.seq).values(output=None, output_kind=None))


async def _each(
    host: Host, which: Which, group: Callable[[list[int]], Callable[[Tx], list[Acted]]], verb: str, pace: Rate | None
) -> dict[str, Any]:
    """Does it to every chosen delivery, a group in one commit; what was refused is told with its reason."""
    if which.empty:
        raise refused(BadRequest, "which_dead")
    chosen = await host.store.read(which.numbers, SEARCH_LIMIT_S)
    done, not_done = 0, []
    step = AT_ONCE if pace is None else max(1, min(AT_ONCE, int(pace.count / pace.per)))
    for begin in range(0, len(chosen), step):
        numbers = chosen[begin : begin + step]
        for id_, number, why in await host.store.write(group(numbers)):
            if why is None:
                done += 1
            else:
                said = {"text": why.text, "text_uk": in_language(why, "uk")}
                not_done.append({"message_id": id_, "id": number, **said})
        host.progress(begin + len(numbers), len(chosen), verb)
        if pace is not None and begin + step < len(chosen):
            await host.clock.sleep(len(numbers) * pace.per / pace.count)
    return {"chosen": len(chosen), verb: done, "refused": not_done}


def _group(host: Host, numbers: list[int], one: Callable[[Tx, Work], PipeError | None]) -> Callable[[Tx], list[Acted]]:
    def unit(tx: Tx) -> list[Acted]:
        works, damaged = host.store.loader.works(tx.connection, D.id.in_(numbers))
        results: list[Acted] = [(work.message.id, work.id, one(tx, work)) for work in works]
        return results + [
            (work.message.id, work.id, refused(BadRequest, "row_damaged", text=error.text)) for work, error in damaged
        ]

    return unit
