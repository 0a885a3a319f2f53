"""Routes that ask for more than the plain one: order per key, three targets, an answer at once."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.measures import Measure, of_answers, of_deliveries
from benchmarks.options import Options
from benchmarks.race import race
from benchmarks.report import circumstances, race_table
from benchmarks.subjects import folder, gateway, server

MANY = 100_000
TITLES = {
    "plain": "plain route",
    "ordered-1": "ordered, 1 key",
    "ordered-100": "ordered, 100 keys",
    "ordered-100000": "ordered, 100,000 keys",
    "targets": "three targets",
    "sync": "sync: the caller gets the partner's answer",
}


def routes(options: Options) -> str:
    """Each shape as a ratio to the plain route; every message has a key, so that the load costs the same."""
    with ExitStack() as stack:
        backend = stack.enter_context(server("benchmarks.backend"))
        pipe = stack.enter_context(gateway(stack.enter_context(folder()) / "data", backend))
        ordered = pipe.url("ordered")
        every: dict[str, Measure] = {
            "plain": of_deliveries(pipe.url("full"), backend, keys=MANY),
            "ordered-1": of_deliveries(ordered, backend, keys=1),
            "ordered-100": of_deliveries(ordered, backend, keys=100),
            "ordered-100000": of_deliveries(ordered, backend, keys=MANY),
            "targets": of_deliveries(pipe.url("targets"), backend, keys=MANY, each=3),
            "sync": of_answers(pipe.url("sync"), keys=MANY),
        }
        entrants = {
            TITLES[name]: measure for name, measure in every.items() if name == "plain" or options.takes_part(name)
        }
        rounds = race(entrants, options)
    return f"{circumstances(options.load)}\n\n{race_table(rounds, TITLES['plain'])}"
