"""Many dead letters at once, in the background, a group in a commit; how far it came is counted, not guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, func, select

from pipe.operations import dead_letters, rehearsal
from pipe.operations.dead_letters import Acted
from pipe.operations.host import Host
from pipe.operations.selection import D, Which
from pipe.refusing import in_language
from pipe.store.schema import DEAD, EXPIRED, delivery
from pipe.store.transaction import Tx
from web.ops.hiding import said
from web.pages.call import Call
from web.pages.works import Do, Gain, Work

GROUP = 100
"""deliveries in one commit"""
_IN = 500
"""numbers in one question to the store"""
GONE = {"text": "it is no longer kept", "text_uk": "його вже не зберігають"}


async def begin(call: Call, verb: str, numbers: list[int], options: dict[str, Any] | None = None) -> Work:
    """`rehearse`, `replay` (options `reason`, `per_second`, `late`) or `discard` (`reason`) them, the oldest first."""
    options = {name: value for name, value in (options or {}).items() if value}
    group = min(GROUP, options.get("per_second") or GROUP)
    return await call.site.works.begin(verb, call.actor, numbers, group, doing(call.host(), verb, options), options)


async def resume(call: Call, id: str) -> Work:
    """Goes on with one that broke off, in the name of who asks."""
    found = await call.site.works.one(id)
    return await call.site.works.resume(id, call.actor, doing(call.host(), found.verb, found.options))


def doing(host: Host, verb: str, options: Any) -> Do:
    """How a part of it is done."""
    reason, late = options.get("reason", ""), bool(options.get("late"))

    async def do(numbers: list[int]) -> Callable[[Tx], Gain]:
        if verb == "rehearse":
            gain = await _rehearsed(host, numbers)
            return lambda tx: gain
        if verb == "replay":
            unit = dead_letters.replaying(host, numbers, ignore_deadline=late, reason=reason)
        else:
            unit = dead_letters.discarding(host, numbers, reason)
        return lambda tx: _gain(numbers, unit(tx))

    return do


def _gain(numbers: Sequence[int], told: list[Acted]) -> Gain:
    refused = [{"text": why.text, "text_uk": in_language(why, "uk")} for _, _, why in told if why is not None]
    gone = len(numbers) - len(told)
    return Gain(acted=len(told) - len(refused), refused=[*refused, *[GONE] * gone])


async def _rehearsed(host: Host, numbers: list[int]) -> Gain:
    told = await rehearsal.rehearse(host, Which(deliveries=numbers), len(numbers))
    gain, why = Gain(), Counter[tuple[str, str, str]]()
    for letter in told["letters"]:
        if letter["passes"]:
            gain.passing.append(letter["id"])
            gain.changed += letter["changed"] is True
        elif letter["passes"] is None:
            gain.unknown += 1
        else:
            gain.failing += 1
            why[letter["code"] or "", letter["place"] or "", said(letter["code"], letter["text"], sees=False)] += 1
    gain.why = why.most_common()
    return gain


async def outcome(call: Call, work: Work) -> dict[str, int]:
    """What became of those that were sent again, counted in the store now: delivered, waiting, dead, other."""
    numbers = await call.site.works.numbers(work.id)
    counted: Counter[str] = Counter()
    for at in range(0, len(numbers), _IN):
        for state, n in await call.read(partial(_states, numbers[at : at + _IN])):
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
