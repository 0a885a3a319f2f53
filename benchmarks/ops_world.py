"""A gateway of a large house: 200 connections, 300 routes, and what a month leaves behind.

The gateway itself takes one message of each kind of fate; the rest are copies of these, spread over routes and days.
"""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.load import BODY
from benchmarks.ops_rows import Copier, Vary, newest_of
from benchmarks.processes import until
from benchmarks.rows import Row, bare, refilled
from benchmarks.subjects import Gateway, asked
from monitoring.history.tables import MINUTE, QUARTER, sample
from monitoring.history.times import packed
from pipe.store import database
from pipe.store.full_text import full_text
from pipe.store.retention import GONE
from pipe.store.vault import Vault
from pipe.words import leaves, words_of

CONNECTIONS, ROUTES = 200, 300
DOWN = 40
"""connections whose partner does not answer"""
DAY_S = 86400.0
MONTH_S, KEPT_S, OUTAGE_S = 30 * DAY_S, 7 * DAY_S, 7200.0
"""how far back it goes, how long bodies are kept, and how long what waits has waited"""
COMMON, SELDOM = "води", 1000
"""a word of every body; one message in so many has another"""
FATES = ("mapping", "refused", "exhausted", "late", "uncertain")
"""routes whose messages end in their own way"""
DEAD_SHARE = 50
"""one finished message in so many is a dead letter"""
UNCERTAIN = 200
_WELL = CONNECTIONS - DOWN - 2
_PLAIN = ROUTES - len(FATES) - 1


def configuration() -> str:
    """As YAML; PIPE_BENCH_BACKEND answers, PIPE_BENCH_SPOILT does not, PIPE_BENCH_HANGING never ends."""
    lines = [
        "version: 1",
        "defaults: {timeout: {connect: 5s, read: 20s, total: 30s}}",
        "limits: {pending: {messages: 20000000, bytes: 100GiB}}",
        "connections:",
        "  partners: {type: http_server, auth: none}",
        '  hangs: {type: http_client, url: "${env:PIPE_BENCH_HANGING}", timeout: {total: 1s}}',
    ]
    lines += [
        f'  {well(n)}: {{type: http_client, url: "${{env:PIPE_BENCH_BACKEND}}", concurrency: 64}}' for n in range(_WELL)
    ]
    lines += [
        f'  {down(n)}: {{type: http_client, url: "${{env:PIPE_BENCH_SPOILT}}", reconnect: {{first: 30s, max: 60s}}}}'
        for n in range(DOWN)
    ]
    lines.append("routes:")
    lines += [_route(plain(n), target_of(n), order="body.place.flat") for n in range(_PLAIN)]
    lines += [
        _route("full", well(0), last=", steps: [{encode: xml}]"),
        _route("mapping", well(1), steps='map: {n: "to_int(body.text)"}'),
        _route("refused", well(2), last=', dead_when: "status == `200`"'),
        _route("exhausted", well(3), last=', retry_when: "status == `200`", retry: {attempts: 1}'),
        _route("late", down(0), order="body.place.flat", more="deadline: 1s"),
        _route("uncertain", "hangs", last=", idempotent: false"),
    ]
    return "\n".join(lines) + "\n"


def _route(
    name: str, to: str, *, order: str = "", more: str = "", last: str = "", steps: str = "map: {Appeal: body}"
) -> str:
    ways = [
        f"from: {{connection: partners, path: /{name}, methods: [POST]}}",
        "queue: {messages: 1000000, bytes: 10GiB}",
        "subject: body.applicant.phone",
        *([f"order_by: {order}"] if order else []),
        *([more] if more else []),
        f"steps: [{{decode: json}}, {{{steps}}}]",
        f"to: {{connection: {to}, post: /{'' if 'idempotent' in last else ', idempotent: true'}{last}}}",
    ]
    return "\n".join([f"  {name}:", *(f"    {way}" for way in ways)])


def well(n: int) -> str:
    """A connection that works."""
    return f"partner-{n:03}"


def down(n: int) -> str:
    """A connection whose partner is away."""
    return f"away-{n:02}"


def plain(n: int) -> str:
    """A route of no particular fate."""
    return f"appeals-{n:03}"


def target_of(n: int) -> str:
    """Where that route leads: one in five to a partner who is away."""
    return down(n // 5 % DOWN) if n % 5 == 0 else well(n % _WELL)


# --- rows ---------------------------------------------------------------------------------------------------------


def seeded(pipe: Gateway, backend: str) -> None:
    """Hands the gateway one message of each fate, and waits until each has met it."""
    routes = (plain(0), plain(1), *FATES)
    for route in routes:
        request = urllib.request.Request(  # noqa: S310 - loopback
            pipe.url(route), data=BODY, headers={"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - loopback
    until(lambda: asked(backend)["count"] >= len({plain(1), "refused", "exhausted"}), "the first deliveries")
    over = {"mapping": "dead", "refused": "dead", "exhausted": "dead", "late": "expired", plain(1): "delivered"}
    until(lambda: {route: newest_of(pipe.data, route)["state"] for route in over} == over, "each fate to be met")
    until(lambda: newest_of(pipe.data, "uncertain")["state"] == "uncertain", "the partner who hangs to be given up")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much."""

    finished: int
    pending: int
    minutes: int = int(2 * DAY_S // MINUTE)
    quarters: int = int(MONTH_S // QUARTER)


def filled(data: Path, sizes: Sizes) -> None:
    """Spreads copies of what `seeded` left over the month, oldest first, and writes the history and the words."""
    vault, now = Vault(data / "keys" / "master.keys"), time.time()
    with closing(bare(data)) as connection:
        with refilled(connection):
            copier = Copier(connection)
            originals = connection.execute("SELECT max(seq) FROM message").fetchone()[0]
            for source, number, vary in _kinds(vault, now, sizes):
                copier.copy(source, number, vary)
            copier.books()
            # The originals began it all, so that numbers and times go the same way.
            connection.execute("UPDATE message SET received_at = received_at - ? WHERE seq <= ?", (MONTH_S, originals))
            connection.execute(
                "UPDATE delivery SET done_at = done_at - ? WHERE message <= ? AND done_at IS NOT NULL",
                (MONTH_S, originals),
            )
        _history(connection, now, sizes)
    _words(data)


def _kinds(vault: Vault, now: float, sizes: Sizes) -> Iterator[tuple[str, int, Vary]]:
    """Which message is copied, how often, and what is different each time; the oldest first.

    A block holds finished messages and the dead letters of the same days.
    """
    dead = sizes.finished // DEAD_SHARE
    blocks = 50
    for block in range(blocks):
        old = MONTH_S * (1 - block / blocks)
        span = MONTH_S / blocks
        finished = sizes.finished // blocks
        yield plain(1), finished, _finished(vault, now - old, span / finished, block * finished)
        for at, fate in enumerate(FATES[:4]):
            number = max(1, dead // blocks // 4)
            yield fate, number, _dead(fate, now - old + at, span / number / 2)
    yield "uncertain", min(UNCERTAIN, sizes.pending), _dead("uncertain", now - OUTAGE_S, 1)
    yield plain(0), sizes.pending, _pending(vault, now - OUTAGE_S, OUTAGE_S / sizes.pending)


def _finished(vault: Vault, begin: float, step: float, first: int) -> Vary:
    oldest = time.time() - KEPT_S
    going = [n for n in range(_PLAIN) if n % 5]

    def vary(at: int) -> Row:
        route, received = going[at % len(going)], begin + at * step
        row = _own(vault, route, first + at, received) | {"done_at": received + 0.2}
        return row if received > oldest else row | {"kind": GONE, "body": b"", "envelope": b"{}"}

    return vary


def _dead(route: str, begin: float, step: float) -> Vary:
    oldest = time.time() - MONTH_S

    def vary(at: int) -> Row:
        received = max(begin + at * step, oldest)
        own = {"received_at": received}
        return own if route == "uncertain" else own | {"done_at": received + 60}

    return vary


def _pending(vault: Vault, begin: float, step: float) -> Vary:
    waiting = [n for n in range(_PLAIN) if n % 5 == 0]

    def vary(at: int) -> Row:
        return _own(vault, waiting[at % len(waiting)], 10_000_000 + at, begin + at * step)

    return vary


def _own(vault: Vault, route: int, number: int, received: float) -> Row:
    name, phone = plain(route), f"+380{number % 1_000_000_000:09}"
    return {
        "route": name, "station": target_of(route), "received_at": received, "body": body(number),
        "order_key": vault.hash("order", name, str(number)), "subject": vault.hash("subject", phone),
    }  # fmt: skip


_FIELDS = orjson.loads(BODY)


def body(number: int) -> bytes:
    """What that message says: as all others, but for who says it, a word of its own and, seldom, another."""
    more = f" Звернення{number}" + (" Аварія" if number % SELDOM == 0 else "")
    who = {"name": "Олена Коваленко", "phone": f"+380{number % 1_000_000_000:09}"}
    place = {**_FIELDS["place"], "flat": str(number)}
    return orjson.dumps({**_FIELDS, "applicant": who, "place": place, "text": _FIELDS["text"] + more})


# --- beside the journal -------------------------------------------------------------------------------------------


def _history(connection: Any, now: float, sizes: Sizes) -> None:
    """Every route had traffic all the time: the most rows that the history can have."""
    names = [column.name for column in sample.columns]
    fields = ", ".join(names)
    statement = f"INSERT OR IGNORE INTO {sample.name} ({fields}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    times = packed(Counter({14: 3, 18: 2, 22: 1}))
    connection.execute("BEGIN")
    for grain, count in ((MINUTE, sizes.minutes), (QUARTER, sizes.quarters)):
        end = int(now // grain * grain)
        connection.executemany(
            statement,
            (row for at in range(end - count * grain, end, grain) for row in _moment(names, grain, at, times)),
        )
    connection.execute("COMMIT")


def _moment(names: list[str], grain: int, at: int, times: str) -> Iterator[tuple[Any, ...]]:
    for n in range(_PLAIN):
        away = n % 5 == 0
        row = {"grain": grain, "at": at, "route": plain(n), "connection": "", "came": 6, "refused": 0, "done": 0}
        row |= {"failed": 0, "dead": 0, "waiting": 1000 if away else 0, "times": "{}"}
        yield tuple(row[name] for name in names)
        row |= {"connection": target_of(n), "came": 0, "waiting": 0, "times": times}
        row |= {"failed": 6} if away else {"done": 6}
        yield tuple(row[name] for name in names)


def _words(data: Path) -> None:
    """The index of words as the gateway would have made it, in large steps."""
    index = full_text(database.default_url(data), data)
    with closing(bare(data)) as connection:
        query = "SELECT seq, body FROM message WHERE seq > ? AND kind = 'bytes' ORDER BY seq LIMIT 5000"
        last = connection.execute("SELECT max(seq) FROM message").fetchone()[0]

        def read(after: int) -> tuple[int, list[tuple[int, list[str]]]]:
            rows = connection.execute(query, (after,)).fetchall()
            entries = [(row[0], words_of("\n".join(leaves(orjson.loads(row[1]))))) for row in rows]
            return (rows[-1][0] if rows else last), entries

        while index.add(read)[0]:
            pass
    index.close()
