"""Books kept outside of the gateway, and the ten rules by which they must agree with its own.

Three files are written by three parties that share nothing: `sent.jsonl` by the client, `seen.jsonl` by the partner,
`final.jsonl` from what the gateway says of itself. Each rule is a pure function of the three; it returns what it found
wrong, one sentence each, and nothing where all is well.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

GIVEN_UP = frozenset({"dead", "expired", "discarded"})
FINAL = frozenset({"delivered", "consumed", "answered"}) | GIVEN_UP
PARTS = ("delivered", "consumed", "answered", "dead", "expired", "discarded", "pending")
"""of the gateway's own books: these add up to accepted + emitted"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One try of the client to hand something in."""

    key: str
    """its idempotency key: every try of one thing has the same"""
    outcome: Literal["accepted", "refused", "unknown"]
    id: str | None
    """what the gateway called it, where it was accepted"""
    meaning: str
    """what must arrive, whatever the format; no two things mean the same"""
    order: str = ""
    """things of the same order must arrive as they were handed in"""
    n: int = 0
    """its place within its order"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the partner saw it."""

    id: str
    answer: Literal["ok", "fail", "none"]
    meaning: str
    target: str = "registry"
    said: int | None = None
    """which attempt the gateway said it was"""


@dataclass(frozen=True, slots=True)
class Final:
    """What the gateway says became of one thing at one target."""

    id: str
    state: str
    target: str = "registry"
    maybe_delivered: bool = False


@dataclass(frozen=True, slots=True)
class Books:
    """All that the rules look at."""

    sent: Sequence[Sent]
    seen: Sequence[Seen]
    final: Sequence[Final]
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """by route: accepted, emitted and PARTS, as `pipe ledger` tells them"""
    duplicates: int = 0
    """how many repetitions the faults of this run excuse: in flight x crashes"""
    replayed: Sequence[str] = ()
    """ids that were replayed from the dead letters"""
    audited: Sequence[str] = ()
    """ids that the gateway's audit names as replayed"""
    route: str = ""
    """the one that the client hands in to; empty where its books are not compared with the gateway's totals"""
    verified: Sequence[str] = ()
    """what `pipe ledger verify` finds wrong"""

    def accepted(self) -> dict[str, Sent]:
        """What was accepted, by id, each in its first try that said so."""
        found: dict[str, Sent] = {}
        for row in self.sent:
            if row.outcome == "accepted" and row.id is not None:
                found.setdefault(row.id, row)
        return found


Finding = Iterator[str]


def no_loss(books: Books) -> Finding:
    """L1: everything that was accepted has exactly one end at each target, and nothing is left pending."""
    ends = Counter((row.id, row.target) for row in books.final)
    targets = {row.target for row in books.final} or {"any target"}
    for accepted in books.accepted():
        for target in sorted(targets):
            if (count := ends[accepted, target]) != 1:
                yield f"{accepted} was accepted and has {count} ends at {target}"
    for row in books.final:
        if row.state not in FINAL:
            yield f"{row.id} is still {row.state} at {row.target}"


def ends_are_true(books: Books) -> Finding:
    """L2: delivered was confirmed by the partner; dead was not, and says so where nobody can know."""
    answers: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in books.seen:
        answers[row.id, row.target].append(row.answer)
    for end in books.final:
        got = answers[end.id, end.target]
        if end.state == "delivered" and "ok" not in got:
            yield f"{end.id} is delivered, but {end.target} never said ok"
        if end.state in GIVEN_UP and "ok" in got and end.id not in books.replayed:
            yield f"{end.id} is {end.state}, but {end.target} said ok"
        if end.state == "dead" and got and got[-1] == "none" and not end.maybe_delivered:
            yield f"{end.id} is dead after an attempt without an answer, and does not say that it may have arrived"


def nothing_invented(books: Books) -> Finding:
    """L3: the partner saw nothing that no client sent."""
    known = set(books.accepted())
    for stranger in sorted({row.id for row in books.seen} - known):
        yield f"{stranger} was seen, but nobody handed it in"


def one_id_a_key(books: Books) -> Finding:
    """L4: a key has one id however often it is sent, and every unknown outcome was cleared up."""
    ids: dict[str, set[str]] = defaultdict(set)
    for row in books.sent:
        if row.id is not None:
            ids[row.key].add(row.id)
    for key, found in ids.items():
        if len(found) > 1:
            yield f"key {key} has {len(found)} ids: {', '.join(sorted(found))}"
    keys = {(row.id, row.key) for row in books.sent if row.id is not None}
    for shared, count in Counter(told for told, _ in keys).items():
        if count > 1:
            yield f"{count} keys were told the same id {shared}"
    for key in sorted({row.key for row in books.sent if row.outcome == "unknown"} - set(ids)):
        yield f"nobody asked again what became of key {key}"


def in_order(books: Books) -> Finding:
    """L5: within an order, a thing is not even tried before those ahead of it are through."""
    accepted = books.accepted()
    queues: dict[str, list[Sent]] = defaultdict(list)
    for sent in sorted(accepted.values(), key=lambda row: row.n):
        if sent.order:
            queues[sent.order].append(sent)
    # What is dead, or was once and came back by a replay, holds nobody up.
    through: set[tuple[str | None, str]] = {
        (row.id, row.target) for row in books.final if row.state in GIVEN_UP or row.id in books.replayed
    }
    fronts: Counter[tuple[str, str]] = Counter()
    for row in books.seen:
        tried = accepted.get(row.id)
        if tried is None or not tried.order:
            continue
        queue, place = queues[tried.order], (tried.order, row.target)
        while fronts[place] < len(queue) and (queue[fronts[place]].id, row.target) in through:
            fronts[place] += 1
        front = queue[fronts[place]] if fronts[place] < len(queue) else tried
        if front.n < tried.n and tried.id not in books.replayed:
            yield f"{row.id} (n={tried.n}) went to {row.target} before {front.id} (n={front.n}) of {tried.order}"
        if row.answer == "ok":
            through.add((row.id, row.target))


def unchanged(books: Books) -> Finding:
    """L6: what arrived means what was sent."""
    accepted = books.accepted()
    for row in books.seen:
        if row.id in accepted and row.meaning != accepted[row.id].meaning:
            yield f"{row.id} arrived as {row.meaning!r}, it was sent as {accepted[row.id].meaning!r}"


def few_duplicates(books: Books) -> Finding:
    """L7: no more repetitions than the faults excuse, and attempts are numbered upwards."""
    times = Counter((row.id, row.target) for row in books.seen if row.answer == "ok")
    extra = sum(count - 1 for count in times.values())
    if extra > books.duplicates:
        yield f"{extra} repetitions were confirmed, {books.duplicates} are excused"
    last: dict[tuple[str, str], int] = {}
    for row in books.seen:
        if row.said is not None and row.id not in books.replayed:
            if row.said < last.get((row.id, row.target), 0):
                yield f"{row.id} came as attempt {row.said} after {last[row.id, row.target]}"
            last[row.id, row.target] = row.said


def books_balance(books: Books) -> Finding:
    """L8: on each route, accepted + emitted = all ends + pending; the client counts the same, and so do the rows."""
    for route, totals in books.totals.items():
        came = totals.get("accepted", 0) + totals.get("emitted", 0)
        went = sum(totals.get(part, 0) for part in PARTS)
        if came != went:
            yield f"{route}: {came} came and {went} are accounted for: {dict(totals)}"
    if books.route:
        counted, told = books.totals.get(books.route, {}).get("accepted", 0), len(books.accepted())
        if counted != told:
            yield f"{books.route}: the gateway counts {counted} accepted, its clients were told of {told}"
    yield from books.verified


def refused_is_refused(books: Books) -> Finding:
    """L9: what was refused, and never accepted later, never left the gateway."""
    accepted = {row.key for row in books.sent if row.outcome != "refused"}
    refused = {row.meaning for row in books.sent if row.key not in accepted}
    for row in books.seen:
        if row.meaning in refused:
            yield f"{row.id} was seen, but {row.meaning!r} had been refused"


def replays_are_told(books: Books) -> Finding:
    """L10: a replay keeps its id and leaves a row in the audit."""
    for replayed in books.replayed:
        if replayed not in books.audited:
            yield f"the replay of {replayed} is not in the audit"
        if not any(row.id == replayed for row in books.final):
            yield f"{replayed} was replayed and is gone"


RULES: Mapping[str, Callable[[Books], Finding]] = {
    "L1": no_loss,
    "L2": ends_are_true,
    "L3": nothing_invented,
    "L4": one_id_a_key,
    "L5": in_order,
    "L6": unchanged,
    "L7": few_duplicates,
    "L8": books_balance,
    "L9": refused_is_refused,
    "L10": replays_are_told,
}


def check(books: Books) -> list[str]:
    """Everything that is wrong, each finding led by its rule."""
    return [f"{name}: {finding}" for name, rule in RULES.items() for finding in rule(books)]
