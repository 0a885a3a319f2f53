"""Carries a schedule out, heals the world at its end, and tells what was wrong."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pipe.operations import dead_letters, resolving, switching
from pipe.operations.selection import Which
from tests.simulator.clients import KEYED
from tests.simulator.disk import DISK
from tests.simulator.looking import look, watch
from tests.simulator.mutants import applied
from tests.simulator.narrow import narrowed
from tests.simulator.reckoning import reckon
from tests.simulator.schedule import Operation, Schedule
from tests.simulator.world import Broken, World

ROUNDS = 160
"""of healing: longer than any pause that a message, a question or a gather may take there"""
ROUND_S = 2.5


@dataclass(slots=True)
class Report:
    """How a schedule went."""

    schedule: Schedule
    findings: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    crashes: int = 0

    @property
    def digest(self) -> str:
        """Two runs of the same schedule have the same."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


def play(schedule: Schedule, mutant: str | None = None) -> Report:
    """Runs it, with a defect planted where one is named. Stops at the first step after which something is wrong."""
    report = Report(schedule)
    collecting = gc.isenabled()
    _leave_alone_what_stays()
    gc.disable()  # what it finalises must not depend on when
    with applied(mutant), narrowed(schedule.seed):
        world = World(schedule.seed, schedule.house)
        try:
            report.findings = _play(world, schedule)
        finally:
            report.trace, report.crashes = world.trace, world.crashes
            world.end()
            if collecting:
                gc.enable()
    return report


@cache
def _leave_alone_what_stays() -> None:
    """Half a million things that the modules are made of: to look at them after each schedule costs as much again."""
    gc.collect()
    gc.freeze()


def _play(world: World, schedule: Schedule) -> list[str]:
    world.outside.watch = watch(world)
    try:
        for operation in schedule.operations:
            do(world, operation)
            if found := look(world):
                return found
        return heal(world)
    except Broken as broken:
        return [str(broken)]


def do(world: World, operation: Operation) -> None:
    """One step, and the time after it."""
    world.trace.append(str(operation))
    act = _ACTS.get(operation.kind)
    if act is not None:
        act(world, **operation.facts)
    world.run(operation.then)


def heal(world: World) -> list[str]:
    """Everything outside becomes well; then all must come to an end, and the reckoning follows."""
    world.trace.append("heal")
    world.outside.moods.clear()
    DISK.full, DISK.fault = False, None
    world.loop.lives()
    world.run(1.0)  # what people had just begun ends first
    for (name,) in world.rows("SELECT name FROM control"):
        world.spawn(switching.resume(world.host(), name))
    world.run(1.0)
    if world.revision != "first":
        world.spawn(world.reload("first", "keep"))
    for _ in range(ROUNDS):
        world.run(ROUND_S)
        if found := look(world):
            return found
        if _quiet(world) and not _ask_again(world):
            world.run(1.0)
            return look(world) + reckon(world)
        _decide(world)
    left = world.rows("SELECT id, route, station, state, next_at, note FROM delivery WHERE done_at IS NULL")
    return [f"not live: after {ROUNDS * ROUND_S:g} s in peace there are still {left[:6]}"]


def _quiet(world: World) -> bool:
    waiting = world.rows("SELECT 1 FROM delivery WHERE done_at IS NULL LIMIT 1")
    return not waiting and all(attempt.ended for attempt in world.clients.tries) and not world.store.untold


def _ask_again(world: World) -> bool:
    """Whoever does not know what became of a key asks again."""
    known = {attempt.letter.n for attempt in world.clients.tries if attempt.outcome == "accepted"}
    unsure = {
        attempt.letter.n
        for attempt in world.clients.tries
        if attempt.outcome == "unknown" and attempt.letter.route in KEYED and attempt.letter.n not in known
    }
    asked = False
    for n in sorted(unsure):
        letter = world.clients.letters[n]
        if letter.route == "ask" and any(one.letter.n == n and one.outcome == "refused" for one in world.clients.tries):
            continue  # `nobody knows` is an answer, too
        attempt, arrival = world.clients.begin(letter)
        world.spawn(world.clients.hand_in(attempt, arrival, world.accept))
        asked = True
    return asked


def _decide(world: World) -> None:
    """A person looks at what nobody else will."""
    left = world.rows("SELECT id FROM delivery WHERE state = 'uncertain' AND next_at IS NULL ORDER BY id")
    for (delivery,) in left:
        _resolve(world, delivery, 0)


def _resolve(world: World, delivery: int, pick: int) -> None:
    """Truly: the person asks the partner first."""
    ((known, route, station),) = world.rows(
        "SELECT m.id, d.route, d.station FROM delivery d JOIN message m ON m.seq = d.message WHERE d.id = ?", delivery
    )
    target = "parts/gathered" if station.startswith("gather:") else f"{route}/{station}"
    decision: Any = "delivered" if world.outside.done(target, known) else ("retry", "dead")[pick % 2]
    world.resolved.add(known)
    world.spawn(resolving.resolve(world.host(), str(delivery), decision, "asked the partner"))


# --- operations ---------------------------------------------------------------------------------------------------


def _submit(world: World, letters: list[dict[str, Any]]) -> None:
    for facts in letters:
        route, parts = facts["route"], {name: value for name, value in facts.items() if name != "route"}
        attempt, arrival = world.clients.begin(world.clients.write(route, **parts))
        world.spawn(world.clients.hand_in(attempt, arrival, world.accept))


def _repeat(world: World, pick: int, times: int, *, forged: bool) -> None:
    """Someone hands in again what has a key: as it was, or (if it was accepted) with another body."""
    tries = world.clients.tries
    known = [
        one.letter
        for one in tries
        if one.letter.route in KEYED and not one.forged and (one.outcome == "accepted" or not forged)
    ]
    if known:
        for _ in range(times):
            attempt, arrival = world.clients.begin(known[pick % len(known)], forged=forged)
            world.spawn(world.clients.hand_in(attempt, arrival, world.accept))


def _mood(world: World, partner: str, mood: str) -> None:
    world.outside.moods[partner] = mood


def _crash(world: World, how: str, steps: int) -> None:
    if how == "now":
        world.restart()
    elif how == "steps":
        world.crash_in(steps)
    else:
        DISK.fault = how  # type: ignore[assignment]  # one of CRASHES


def _full(world: World, *, on: bool) -> None:
    DISK.full = on


def _dead(world: World, pick: int) -> str | None:
    found = world.rows("SELECT id FROM delivery WHERE state IN ('dead', 'expired') ORDER BY id")
    return str(found[pick % len(found)][0]) if found else None


def _replay(world: World, pick: int) -> None:
    """One, or all of its route."""
    if (number := _dead(world, pick)) is None:
        return
    (route,) = world.rows("SELECT route FROM delivery WHERE id = ?", int(number))[0]
    which = Which(ids=[number]) if pick % 2 else Which(route=route)
    world.spawn(dead_letters.replay(world.host(), which, ignore_deadline=pick % 3 == 0, reason="mended"))


def _discard(world: World, pick: int) -> None:
    if (number := _dead(world, pick)) is not None:
        world.spawn(dead_letters.discard(world.host(), Which(ids=[number]), "not needed"))


def _person(world: World, pick: int) -> None:
    found = world.rows("SELECT id FROM delivery WHERE state IN ('uncertain', 'retry') ORDER BY state DESC, id")
    if found:
        _resolve(world, found[pick % len(found)][0], pick)


def _pause(world: World, name: str) -> None:
    world.spawn(switching.pause(world.host(), name, "a look at it"))


def _drain(world: World, name: str) -> None:
    world.spawn(switching.drain(world.host(), name, "a look at it"))


def _resume(world: World, name: str) -> None:
    world.spawn(switching.resume(world.host(), name))


def _reload(world: World, to: str, orphans: str) -> None:
    world.spawn(world.reload(to, orphans))


_ACTS: dict[str, Callable[..., None]] = {
    "submit": _submit, "repeat": _repeat, "mood": _mood, "crash": _crash, "full": _full, "replay": _replay,
    "discard": _discard, "resolve": _person, "pause": _pause, "drain": _drain, "resume": _resume, "reload": _reload,
}  # fmt: skip
