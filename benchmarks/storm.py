"""A partner that comes back: what waited for it goes out at once."""

from __future__ import annotations

import time
from contextlib import ExitStack

from benchmarks.measures import Measured, drained, of_deliveries, put_upon
from benchmarks.options import Options
from benchmarks.processes import until
from benchmarks.race import race
from benchmarks.report import circumstances, race_table
from benchmarks.subjects import Gateway, Partner, asked, folder, gateway, partner, server

PLAIN = "plain route"


def storm(options: Options) -> str:
    """Deliveries a second once the partner is back, as a ratio to the plain route."""
    name = f"{options.waiting:,} waiting, partner back"
    with ExitStack() as stack:
        backend = stack.enter_context(server("benchmarks.backend"))
        dead = stack.enter_context(partner("answering"))
        pipe = stack.enter_context(gateway(stack.enter_context(folder()) / "data", backend, dead.address))
        rounds = race(
            {
                PLAIN: of_deliveries(pipe.url("full"), backend),
                name: lambda seconds: _storm(pipe, dead, options.waiting, seconds),
            },
            options,
        )
    note = "A storm counts from its first delivery to its last, without the wait for the connection's next trial."
    return f"{circumstances(options.load)} {note}\n\n{race_table(rounds, PLAIN)}"


def _storm(pipe: Gateway, dead: Partner, waiting: int, seconds: float) -> Measured:
    """The partner goes, so many messages are accepted, the partner comes back."""
    before = asked(dead.address)["count"]
    dead.turn()
    accepted = 0
    while accepted < waiting:
        load = put_upon(pipe.url("side"), min(seconds, 2))
        accepted += load.answered
    # Every connection's last request may have been accepted though nobody read its answer.
    time.sleep(0.2)
    dead.turn()
    until(lambda: _is_back(dead), "the partner to be back")
    count, last = drained(dead.address, before + accepted)
    first = asked(dead.address)["first"]
    return Measured((count - before) / (last - first), load.p50, load.p99, count - before)


def _is_back(dead: Partner) -> bool:
    try:
        return bool(asked(dead.address)["first"])
    except OSError:
        return False
