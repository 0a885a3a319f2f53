"""Many dead letters at once, in the background, a group in a commit; how far it came is counted, not guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, func, select

from pipe.contract import Rate
from pipe.operations import dead_letters, rehearsal
from pipe.operations.host import Host
from pipe.operations.selection import D, Which
from pipe.store.schema import DEAD, EXPIRED, delivery
from web.ops.hiding import said
from web.pages.call import Call
from web.pages.works import Work

GROUP = 100
"""deliveries between two looks whether a person wants no more"""
SHOWN = 50
"""refusals and reasons that are kept to be shown"""
_IN = 500
"""numbers in one question to the store"""


def begin_replay(call: Call, numbers: list[int], *, reason: str, per_second: int | None, late: bool) -> Work:
    """Sends them again, the oldest first."""
    rate = Rate(per_second, 1.0) if per_second else None
    host = call.host()

    async def run(work: Work) -> None:
        for group in _groups(numbers, min(GROUP, per_second or GROUP)):
            if work.stopped:
                return
            which = Which(deliveries=group)
            told = await dead_letters.replay(host, which, rate, ignore_deadline=late, reason=reason)
            await _noted(call, work, told, "replayed", len(group))
            if rate is not None and work.done < work.total:
                await host.clock.sleep(len(group) / rate.count * rate.per)

    return call.site.works.begin("replay", call.actor, len(numbers), run, numbers=numbers, acted=0, refused=[])


def begin_discard(call: Call, numbers: list[int], *, reason: str) -> Work:
    """Closes them for good."""
    host = call.host()

    async def run(work: Work) -> None:
        for group in _groups(numbers, GROUP):
            if work.stopped:
                return
            told = await dead_letters.discard(host, Which(deliveries=group), reason)
            await _noted(call, work, told, "discarded", len(group))

    return call.site.works.begin("discard", call.actor, len(numbers), run, numbers=numbers, acted=0, refused=[])


def begin_rehearsal(call: Call, numbers: list[int]) -> Work:
    """Runs them through today's configuration; nothing is sent."""
    host = call.host()
    facts: dict[str, Any] = {"passing": [], "failing": 0, "unknown": 0, "changed": 0, "why": Counter()}

    async def run(work: Work) -> None:
        for group in _groups(numbers, GROUP):
            if work.stopped:
                return
            await _rehearsed(host, work, group)
            work.done += len(group)
            await call.site.works.told(work)

    return call.site.works.begin("rehearse", call.actor, len(numbers), run, numbers=numbers, **facts)


async def _rehearsed(host: Host, work: Work, group: list[int]) -> None:
    told = await rehearsal.rehearse(host, Which(deliveries=group), len(group))
    for letter in told["letters"]:
        if letter["passes"]:
            work.facts["passing"].append(letter["id"])
            work.facts["changed"] += letter["changed"] is True
        elif letter["passes"] is None:
            work.facts["unknown"] += 1
        else:
            work.facts["failing"] += 1
            why: Counter[tuple[str, str, str]] = work.facts["why"]
            key = (letter["code"] or "", letter["place"] or "", said(letter["code"], letter["text"], sees=False))
            if key in why or len(why) < SHOWN:
                why[key] += 1


async def _noted(call: Call, work: Work, told: dict[str, Any], verb: str, size: int) -> None:
    work.facts["acted"] += told[verb]
    work.facts["refused"] += told["refused"][: SHOWN - len(work.facts["refused"])]
    # Those that were no dead letters any more when their turn came are passed over, too.
    work.done += size
    await call.site.works.told(work)


def _groups(numbers: Sequence[int], size: int) -> list[list[int]]:
    return [list(numbers[at : at + size]) for at in range(0, len(numbers), size)]


async def outcome(call: Call, work: Work) -> dict[str, int]:
    """What became of those that were sent again, counted in the store now: delivered, waiting, dead, other."""
    numbers = work.facts["numbers"][: work.done]
    counted: Counter[str] = Counter()
    for group in _groups(numbers, _IN):
        for state, n in await call.read(partial(_states, group)):
            counted[_word(state)] += n
    return dict(counted)


def _states(group: list[int], connection: Connection) -> list[tuple[str, int]]:
    query = select(D.state, func.count()).select_from(delivery).where(D.id.in_(group)).group_by(D.state)
    return [(row[0], row[1]) for row in connection.execute(query)]


def _word(state: str) -> str:
    if state in ("delivered", "consumed", "answered"):
        return "delivered"
    if state in (DEAD, EXPIRED):
        return "dead"
    return "other" if state == "discarded" else "waiting"
