"""Somebody's data goes: what they sent, what was made of it, and what partners said about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipe.erasing import LIMIT_S, Erasing, discard
from pipe.errors import BadRequest
from pipe.operations.backing_up import absolute
from pipe.operations.host import Host, reason_given
from pipe.store import wiping
from pipe.store.erasures import Erasure
from pipe.store.schema import erasure
from pipe.store.transaction import Tx

T = TypeVar("T")
PATIENCE_S = 5.0
"""how long an attempt that is under way is waited for"""


async def erase(
    host: Host, subject: str, reason: str, pending: bool = False, lists: Sequence[str] = ()
) -> dict[str, Any]:
    """Wipes bodies, keys, outputs, answers and rows of flows of a subject; states and totals stay.

    `subject` is the value of `subject:`. What is still on its way is refused, or with `pending` discarded. It is noted
    beside every backup that this gateway made, and in `lists`, so that a restored copy forgets it too. Raises
    BadRequest where something is pending, or is being sent just now; nothing is changed then.
    """
    why, store = reason_given(reason), host.store
    if not subject.strip():
        raise BadRequest("say whose data it is: the value of `subject:`, exactly")
    files = [_list(path) for path in lists]
    sought = Erasure(host.clock.now(), store.vault.hash("subject", subject))
    found = await store.read(lambda c: wiping.reach(c, sought), LIMIT_S)
    waiting = await store.read(lambda c: wiping.pending(c, found.own), LIMIT_S)
    if waiting and not pending:
        raise BadRequest(_still(waiting), hint="wait until it is done, or discard it with --pending")
    name = store.new_id()

    def unit(tx: Tx) -> int:
        # Asked again within the transaction: something may have become pending meanwhile.
        left = wiping.pending(tx.connection, found.own)
        if left and not pending:
            raise BadRequest(_still(left), hint="wait until it is done, or discard it with --pending")
        count = discard(tx, store.loader, host.outcomes, found.own, f"erased by {host.actor}")
        named = json.dumps([str(file) for file in files])
        tx.insert(
            erasure, id=name, subject=sought.subject, at=sought.at, by=host.actor, reason=why, lists=named, messages=0
        )
        tx.audit("subject.erased", after={"reason": why, "discarded": count}, target=name, actor=host.actor)
        return count

    async def begin() -> int:
        return await store.write(unit)

    discarded = await (_while_nothing_moves(host, waiting, begin) if waiting else begin())
    work = Erasing(store, host.outcomes, host.built.subjects())
    noted = await work.note()
    if host.engine is not None:
        host.engine.prepared.forget()
    wiped, left = await work.through(name, sought)
    return {
        "erasure": name,
        "messages": wiped,
        "shared": len(found.shared),
        "waiting": left,
        "discarded": discarded,
        "noted": noted.files,
        "not_noted": noted.failed,
    }


def _list(path: str) -> Path:
    file = absolute(path)
    if not file.parent.is_dir():
        raise BadRequest(f"there is no folder {file.parent}")
    return file


def _still(waiting: Sequence[Any]) -> str:
    ids = list(dict.fromkeys(row.message_id for row in waiting))
    some = ", ".join(ids[:3]) + (" …" if len(ids) > 3 else "")
    count = f"{len(waiting)} deliveries" if len(waiting) != 1 else "1 delivery"
    return f"{count} of this subject still wait: {some}; nothing was erased"


async def _while_nothing_moves(host: Host, waiting: Sequence[Any], work: Callable[[], Awaitable[T]]) -> T:
    """Does `work` when none of these deliveries is in memory: what waits there would be sent all the same."""
    engine = host.engine
    if engine is None:
        return await work()
    held = {row.route for row in waiting} - engine.switches.routes
    engine.switches.routes |= held
    try:
        # The same configuration once more: its stations begin with empty queues and read the store when they may go on.
        await engine.apply(engine.configuration)
        until = asyncio.get_running_loop().time() + PATIENCE_S
        while busy := [row for row in waiting if engine.is_in_work(row)]:
            if asyncio.get_running_loop().time() > until:
                raise BadRequest(f"{busy[0].message_id} is being sent just now; nothing was erased: ask again")
            await asyncio.sleep(0.02)
        return await work()
    finally:
        engine.switches.routes -= held
        engine.kick()
        engine.scheduler.due(0.0)
