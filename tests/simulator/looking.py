"""What must hold after every step, whatever happened before."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from pipe.contract import Outgoing
from pipe.store.schema import FINAL
from tests.simulator.world import World

ENTERS = ("accepted", "emitted", "replayed")
Findings = Iterator[str]


def books(world: World) -> Findings:
    """Every route's totals agree with its rows (L8)."""
    rows: Counter[tuple[str, str]] = Counter()
    for route, state, n in world.rows("SELECT route, state, count(*) FROM delivery GROUP BY route, state"):
        rows[route, state] = n
    totals: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for route, name, n in world.rows("SELECT route, name, n FROM ledger"):
        totals[route][name] = n
    for route in {*totals, *(route for route, _ in rows)}:
        known = totals[route]
        came = sum(known[name] for name in ENTERS)
        here = sum(n for (of, _), n in rows.items() if of == route)
        if came != here:
            yield f"{route}: {came} came in, {here} are there"
        for state in FINAL:
            if known[state] != rows[route, state]:
                yield f"{route}: the ledger says {known[state]} {state}, the rows say {rows[route, state]}"


def lanes(world: World) -> Findings:
    """Of each key exactly one is on its way, and the others wait behind it (L5; no lane is stuck)."""
    found = world.rows(
        "SELECT route, station, order_key, sum(state <> 'held'), count(*) FROM delivery"
        " WHERE order_key IS NOT NULL AND done_at IS NULL GROUP BY route, station, order_key"
        " HAVING sum(state <> 'held') <> 1"
    )
    for route, station, key, going, waiting in found:
        yield f"{going} of {waiting} are on their way in the lane {key[:6]} of {route} at {station}"


def kept(world: World) -> Findings:
    """What a client was told is accepted is on disk (L1)."""
    there = {known for (known,) in world.rows("SELECT id FROM message")}
    for attempt in world.clients.tries:
        if attempt.outcome == "accepted" and attempt.id not in there:
            yield f"{attempt.letter.route} {attempt.letter.n} was accepted as {attempt.id} and is not on disk"


def gathers(world: World) -> Findings:
    """What was split is gathered once at most."""
    found = world.rows(
        "SELECT origin, count(*) FROM message WHERE route = 'parts' AND stage = 2 GROUP BY origin HAVING count(*) > 1"
    )
    for origin, count in found:
        yield f"{origin} was gathered {count} times"


def room(world: World) -> Findings:
    """What the gateway thinks is waiting is what waits, once it has heard of every commit."""
    if world.store.untold:
        return
    rows = world.rows("SELECT route, count(*), sum(size) FROM delivery WHERE done_at IS NULL GROUP BY route")
    waiting = {route: (n, size) for route, n, size in rows}
    for route in {*waiting, *world.engine.room.loads}:
        load = world.engine.room.load(route)
        if (load.messages, load.bytes) != waiting.get(route, (0, 0)):
            yield f"{route}: the room counts {load}, there are {waiting.get(route, (0, 0))}"


def ends(world: World) -> Findings:
    """What is final stays as it is, but for dead letters by a person's hand."""
    for known, state in world.rows("SELECT id, state FROM delivery"):
        before = world.states.get(known)
        world.states[known] = state
        if before in FINAL and before != state and (before not in ("dead", "expired") or state == "delivered"):
            # A replayed letter may be delivered before anyone looks again.
            if before in ("dead", "expired") and world.replays(known):
                continue
            yield f"delivery {known} was {before} and is {state}"


def defects(world: World) -> Findings:
    """The gateway finds nothing wrong with itself."""
    for text in (*world.defects, *world.loop.unhandled):
        yield f"a defect: {text}"
    for known, note in world.rows("SELECT id, note FROM delivery WHERE code = 'PIPE-6003'"):
        yield f"a defect made a dead letter of delivery {known}: {note}"


ALWAYS: tuple[Callable[[World], Findings], ...] = (books, lanes, kept, gathers, room, ends, defects)


def look(world: World) -> list[str]:
    """Everything that is wrong now."""
    return [f"{rule.__name__}: {finding}" for rule in ALWAYS for finding in rule(world)] + world.seen_wrong


def watch(world: World) -> Callable[[Outgoing], None]:
    """Looks at each request as it leaves: nothing goes out that is not on disk (L3)."""

    def seen(outgoing: Outgoing) -> None:
        known = outgoing.message.id
        if not world.rows("SELECT 1 FROM message WHERE id = ?", known):
            world.seen_wrong.append(f"sent: {known} went to {outgoing.target.put} and is not on disk")

    return seen
