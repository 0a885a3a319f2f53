"""Edit and replay: what was wrong in a message itself is put right by a person, and the original stays as it came.

The edited body is a message of its own whose origin is the dead one; the dead delivery is closed as discarded. So the
original bytes, their checksum and their story are never touched, and whoever handed it in finds the fate by its id.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pipe.contract import Message
from pipe.errors import BadRequest, NotFound, PipeError
from pipe.operations.dead_letters import close
from pipe.operations.host import Host, reason_given
from pipe.operations.selection import LETTERS, D, deliveries_of
from pipe.refusing import refused
from pipe.route import Route
from pipe.steps.pipeline import StepStopped
from pipe.store import codec, journal
from pipe.store.journal import Entry, Work
from pipe.store.transaction import Tx


async def edit(
    host: Host,
    id: str,
    reason: str,
    text: str | None = None,
    base64_body: str | None = None,
    station: str | None = None,
) -> dict[str, Any]:
    """Sends a dead letter again with another body: `text`, or bytes as base64.

    What the door refuses is refused here too, with the reason; then nothing has happened. Returns the new message's id.
    """
    why = reason_given(reason)
    rows = [row for row in await deliveries_of(host, id, *LETTERS) if station in (None, row["station"])]
    if not rows:
        raise NotFound(f"{id} has no dead letter: `pipe explain {id}` tells where it is", message=id)
    if len(rows) > 1:
        raise refused(BadRequest, "several_dead", id=id, names=", ".join(row["station"] for row in rows))
    number = rows[0]["delivery"]
    works, damaged = await host.store.read(lambda c: host.store.loader.works(c, D.id == number))
    work = works[0] if works else damaged[0][0]
    if host.never_again(work.route):
        raise refused(BadRequest, "never_again", route=work.route)
    route = host.routes().get(work.route)
    if route is None or work.station not in route.by_station:
        raise NotFound(f"the route {work.route} has no {work.station} now", route=work.route)
    entry = await _entry(host, route, work, _body(work, text, base64_body))
    await host.store.write(lambda tx: _replace(tx, host, work, entry, why))
    return {"id": entry.message.id, "replaces": work.message.id, "route": work.route, "station": work.station}


def _body(work: Work, text: str | None, base64_body: str | None) -> Any:
    if base64_body is not None:
        try:
            return base64.b64decode(base64_body, validate=True)
        except binascii.Error as error:
            raise refused(BadRequest, "not_base64", text=error) from None
    if text is None:
        raise refused(BadRequest, "no_new_body")
    if work.stage == 0:
        return text.encode()
    # Behind a commit point of the route bodies are values, not bytes.
    try:
        return codec.load(text.encode())
    except ValueError as error:
        raise refused(BadRequest, "not_json", text=error) from None


async def _entry(host: Host, route: Route, work: Work, body: Any) -> Entry:
    now = host.clock.now()
    deadline = None if route.config.deadline is None else now + route.config.deadline
    message: Message = work.message.but(id=host.store.new_id(), body=body, deadline=deadline)
    stage = route.by_station[work.station].index
    try:
        decoded = (await route.door.run(message)).message if stage == 0 else message
        facts = {"origin": work.message.id, "position": work.position, "gather": work.gather, "counter": "emitted"}
        entry = route.entry(message, stage, decoded, **facts)
    except StepStopped as stop:
        facts_of = {"place": str(stop.step.place)}
        raise refused(BadRequest, "still_refused", facts=facts_of, text=stop.error.text) from stop
    except PipeError as error:
        raise refused(BadRequest, "still_refused", text=error.text) from error
    entry.stations = (work.station,)
    entry.guard(work.sensitive, secret=work.secret)
    return entry


def _replace(tx: Tx, host: Host, work: Work, entry: Entry, reason: str) -> None:
    if (why_not := close(tx, host, work, f"edited and sent again as {entry.message.id}: {reason}")) is not None:
        raise why_not
    if work.gather is not None:
        host.outcomes().gathering.reopen(tx, work)
    journal.store(tx, entry, host.store.vault)
    after = {"edited": entry.message.id, "station": work.station, "reason": reason}
    tx.audit("dead.edited", before={"delivery": work.id}, after=after, target=work.message.id, actor=host.actor)
