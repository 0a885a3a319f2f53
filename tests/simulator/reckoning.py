"""What must hold once everything is healed and quiet: the ten rules of the outside ledger, and more."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from tests.journeys.ledger import GIVEN_UP, Books, Final, Seen, Sent, check
from tests.simulator.clients import KEYED, Try
from tests.simulator.partners import Row
from tests.simulator.world import World

Findings = Iterator[str]
OUTSIDE = ("plain", "keyed", "ordered", "wary", "hurried", "two")
"""routes whose messages reach partners as they were sent"""
FIXED = ("plain", "keyed", "ordered", "wary", "hurried")
"""those of them that have the same targets in every revision"""
MOST_TRIES = 6
"""of the most patient revision"""

_REPLAYED = (
    "SELECT a.target FROM audit a JOIN message m ON m.id = a.target WHERE a.event = 'dead.replayed' AND m.route = ?"
)


def meaning(body: Any) -> str:
    """What must arrive."""
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()


def ledger(world: World) -> Findings:
    """L1–L10, route by route."""
    for route in OUTSIDE:
        replayed = [known for (known,) in world.rows(_REPLAYED, route)]
        final = _final(world, route)
        # A dead letter that says it may have arrived excuses an answer that was lost together with the process.
        excused = {(row.id, row.target) for row in final if row.state in GIVEN_UP and row.maybe_delivered}
        rows = [row for row in world.outside.rows if row.target.startswith(f"{route}/")]
        told = {(row.id, row.target) for row in rows if row.answered}
        # Confirmed later, by a question or by a person: then one of the answers that were lost was a good one.
        confirmed = {(row.id, row.target) for row in final if row.state == "delivered"} - told
        seen = [_seen(row, excused, confirmed) for row in rows]
        books = Books(
            _sent(world, route), seen, final, duplicates=sum(1 for row in rows if row.id in world.cut),
            replayed=replayed, audited=replayed,
        )  # fmt: skip
        for finding in check(books):
            if route in FIXED or not finding.startswith("L1"):
                yield f"{route}: {finding}"


def _final(world: World, route: str) -> list[Final]:
    rows = world.rows(
        "SELECT m.id, d.state, d.station, coalesce(l.maybe_delivered, 0) FROM delivery d"
        " JOIN message m ON m.seq = d.message LEFT JOIN dead_letter l ON l.delivery = d.id"
        " WHERE d.route = ? ORDER BY d.id",
        route,
    )
    return [Final(known, state, f"{route}/{station}", bool(maybe)) for known, state, station, maybe in rows]


def _seen(row: Row, excused: set[tuple[str, str]], confirmed: set[tuple[str, str]]) -> Seen:
    about = (row.id, row.target)
    failed = row.heard and row.what in ("failed", "refused", "busy")
    refuted = row.target == "wary/b" and not row.done  # there the partner is asked, and tells
    answer: Any = "fail" if failed or refuted else "none"
    if row.done and (about in confirmed or (row.answered and about not in excused)):
        answer = "ok"
        confirmed.discard(about)
    return Seen(row.id, answer, meaning(row.body), row.target, row.attempt)


def _sent(world: World, route: str) -> list[Sent]:
    places = dict(world.rows("SELECT id, seq FROM message WHERE route = ?", route))
    stored = {body["n"]: known for known, body in _bodies(world, route)}
    found = []
    for attempt in world.clients.tries:
        letter = attempt.letter
        if letter.route != route or attempt.forged:
            continue
        known, outcome = attempt.id, attempt.outcome
        if outcome == "unknown" and route not in KEYED:
            # Without a key nobody can ask again; what became of it shows on disk.
            known = stored.get(letter.n)
            outcome = "accepted" if known is not None else "refused"
        if outcome != "accepted":
            known = None
        sent: Any = outcome
        found.append(
            Sent(f"{route} {letter.n}", sent, known, meaning(letter.body), letter.order, places.get(known or "", 0))
        )
    return found


def _bodies(world: World, route: str) -> list[tuple[str, Any]]:
    rows = world.rows("SELECT id, body FROM message WHERE route = ? AND stage = 0", route)
    return [(known, orjson.loads(bytes(body))) for known, body in rows]


def honest(world: World) -> Findings:
    """Delivered: the partner did it. Dead or expired though the partner did it: the dead letter says that it may."""
    done = {(row.target, row.id) for row in world.outside.rows if row.done}
    rows = world.rows(
        "SELECT m.id, d.id, d.state, d.route, d.station, coalesce(l.maybe_delivered, 0) FROM delivery d"
        " JOIN message m ON m.seq = d.message LEFT JOIN dead_letter l ON l.delivery = d.id"
        " WHERE d.station NOT LIKE 'flow:%' AND d.station <> 'split'"
    )
    for known, number, state, route, station, maybe in rows:
        target = "parts/gathered" if station.startswith("gather:") else f"{route}/{station}"
        if state == "delivered" and (target, known) not in done:
            yield f"{known} is delivered, but {target} did nothing"
        if state in ("dead", "expired") and (target, known) in done and not maybe:
            yield f"{known} is {state}, but {target} did it, and the dead letter {number} does not say that it may have"


def keys(world: World) -> Findings:
    """The same key with another body is refused."""
    for attempt in world.clients.tries:
        if attempt.forged and attempt.outcome == "accepted":
            yield f"{attempt.letter.route} {attempt.letter.n} was accepted again with another body"


def answers(world: World) -> Findings:
    """A synchronous call takes effect once for a key, and is never made again after a crash."""
    done: Counter[Any] = Counter(row.body.get("n") for row in world.outside.rows if row.target == "ask/s" and row.done)
    for n, times in done.items():
        if n is None:
            yield f"{times} questions arrived broken"
        elif times > 1:
            yield f"ask {n} took effect {times} times"
    lives: defaultdict[str, set[int]] = defaultdict(set)
    for row in world.outside.rows:
        if row.target == "ask/s":
            lives[row.id].add(row.life)
    for known, met in lives.items():
        if len(met) > 1 and known not in world.resolved:
            yield f"{known} was sent again after a crash: lives {sorted(met)}"


def heard(world: World) -> Findings:
    """Whoever asks with the same key hears the same answer, and it is the one to this question."""
    told: defaultdict[int, set[tuple[str | None, str]]] = defaultdict(set)
    for attempt in world.clients.tries:
        if attempt.letter.route == "ask" and attempt.outcome == "accepted":
            told[attempt.letter.n].add((attempt.id, str(attempt.reply)))
            if attempt.reply != {"echo": attempt.letter.n}:
                yield f"ask {attempt.letter.n} was answered {attempt.reply}"
    for n, ways in told.items():
        if len(ways) > 1:
            yield f"ask {n} was answered in {len(ways)} ways: {sorted(ways, key=str)}"


def accepted_in_order(world: World) -> Findings:
    """Of one order, what was handed in after another was accepted stands behind it (L5)."""
    places = dict(world.rows("SELECT id, seq FROM message"))
    in_turn: defaultdict[str, list[Try]] = defaultdict(list)
    for attempt in world.clients.tries:
        if attempt.outcome == "accepted" and attempt.letter.order and not attempt.replayed:
            in_turn[attempt.letter.order].append(attempt)
    for order, tries in in_turn.items():
        for first in tries:
            for then in tries:
                if first.ended < then.begun and places[first.id] > places[then.id]:
                    yield f"{then.id} of {order} was handed in after {first.id} and stands before it"


def splits(world: World) -> Findings:
    """Every list that was split has one result, with each of its items once and in its place."""
    sizes = {known: len(body["items"]) for known, body in _bodies(world, "parts")}
    rows = world.rows("SELECT origin, body FROM message WHERE route = 'parts' AND stage = 2")
    results = {origin: orjson.loads(bytes(body)) for origin, body in rows}
    split = world.rows(
        "SELECT m.id FROM delivery d JOIN message m ON m.seq = d.message"
        " WHERE d.route = 'parts' AND d.station = 'split' AND d.state = 'consumed'"
    )
    for (known,) in split:
        if known not in results:
            yield f"{known} was split and never gathered"
        elif [row["index"] for row in results[known]] != list(range(sizes[known])):
            yield f"{known} has {sizes[known]} items, its result has {[row['index'] for row in results[known]]}"
    children: Counter[tuple[str, int]] = Counter()
    for origin, position in world.rows(
        "SELECT origin, position FROM message WHERE route = 'parts' AND position IS NOT NULL AND stage = 1"
    ):
        children[origin, position] += 1
    for (origin, position), count in children.items():
        if count > 1:
            yield f"item {position} of {origin} was emitted {count} times"


def emissions(world: World) -> Findings:
    """A flow happens once, a copy is made once, and every death is told once."""
    flowed = world.rows(
        "SELECT m.id, (SELECT count(*) FROM message r WHERE r.origin = m.id) FROM delivery d"
        " JOIN message m ON m.seq = d.message WHERE d.route = 'remind' AND d.state = 'consumed'"
    )
    for known, count in flowed:
        if count != 1:
            yield f"{known} left {count} reminders"
    tapped = world.rows(
        "SELECT DISTINCT m.id FROM delivery d JOIN message m ON m.seq = d.message"
        " WHERE d.route = 'two' AND d.state = 'delivered'"
        " AND NOT EXISTS (SELECT 1 FROM message c WHERE c.id = m.id || '.tap0')"
    )
    for (known,) in tapped:
        yield f"{known} was delivered without its copy"
    yield from _deaths(world)


def _deaths(world: World) -> Findings:
    if "failures" not in world.engine.routes:
        return
    (now,) = world.rows("SELECT count(*) FROM delivery WHERE state = 'dead' AND route IN ('plain', 'ordered', 'two')")[
        0
    ]
    (past,) = world.rows(
        "SELECT count(*) FROM audit a JOIN message m ON m.id = a.target WHERE a.before = '\"dead\"'"
        " AND a.event IN ('dead.replayed', 'dead.discarded') AND m.route IN ('plain', 'ordered', 'two')"
    )[0]
    (told,) = world.rows("SELECT count(*) FROM message WHERE route = 'failures'")[0]
    if told != now + past:
        yield f"{now + past} died and {told} deaths were told"


def tries(world: World) -> Findings:
    """Nothing is tried more often than its route says, but for what a crash took away."""
    for row in world.outside.rows:
        if row.attempt > MOST_TRIES + world.crashes:
            yield f"{row.id} went to {row.target} as attempt {row.attempt}"


def memory(world: World) -> Findings:
    """Nothing is left in memory, and every place is free again."""
    for key, station in world.engine.stations.items():
        left = (station.owned, list(station.queue), station._in_hands, station._wanted, station._arrived)
        if any(left) or not station.idle:
            yield f"{key} still holds {left}, {station._workers} workers"
    for name, connection in world.engine.connections.items():
        if connection.slots._value != connection.config.concurrency:
            yield f"{name} has {connection.slots._value} of {connection.config.concurrency} places free"
    if world.engine.at_work:
        yield f"{world.engine.at_work} tasks are still at work"


RULES: tuple[Callable[[World], Findings], ...] = (
    *(ledger, honest, keys, answers, heard, accepted_in_order, splits, emissions, tries, memory),
)


def reckon(world: World) -> list[str]:
    """Everything that is wrong at the end."""
    return [f"{rule.__name__}: {finding}" for rule in RULES for finding in rule(world)]
