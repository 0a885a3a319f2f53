"""The table: bare aiohttp, Node-RED and the gateway under the same load."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.measures import Measure, Measured, of_answers, of_deliveries
from benchmarks.node_red import installed, node_red
from benchmarks.optional import Missing
from benchmarks.options import Options
from benchmarks.processes import until
from benchmarks.race import race
from benchmarks.report import circumstances, race_table
from benchmarks.subjects import Gateway, folder, gateway, server

TITLES = {
    "handler": "bare aiohttp handler",
    "proxy": "bare aiohttp proxy, not durable",
    "accept": "PIPE, accepted and fsynced",
    "full": "PIPE, durable, JSON to XML, delivered",
    "node-red": "Node-RED, JSON to XML, delivered, not durable",
}
BASE = TITLES["proxy"]


def throughput(options: Options) -> str:
    """Measures what is asked for, the base always."""
    with ExitStack() as stack:
        backend = stack.enter_context(server("benchmarks.backend"))
        data = stack.enter_context(folder()) / "data"
        entrants: dict[str, Measure] = {}
        missing: dict[str, str] = {}
        if options.takes_part("handler"):
            entrants[TITLES["handler"]] = of_answers(stack.enter_context(server("benchmarks.bare", "handler", backend)))
        entrants[BASE] = of_answers(stack.enter_context(server("benchmarks.bare", "proxy", backend)))
        if options.takes_part("node-red"):
            try:
                entrants[TITLES["node-red"]] = of_answers(stack.enter_context(node_red(installed(), backend)))
            except Missing as why:
                missing[TITLES["node-red"]] = f"not measured: {why}"
        if options.takes_part("accept") or options.takes_part("full"):
            pipe = stack.enter_context(gateway(data, backend))
            if options.takes_part("accept"):
                entrants[TITLES["accept"]] = _to_the_end(pipe, "accept", of_answers(pipe.url("accept")))
            if options.takes_part("full"):
                entrants[TITLES["full"]] = of_deliveries(pipe.url("full"), backend)
        rounds = race(entrants, options)
    return f"{circumstances(options.load)}\n\n{race_table(rounds, BASE, missing)}"


def _to_the_end(pipe: Gateway, route: str, measure: Measure) -> Measure:
    """The same; but what it leaves to be done is done before the next subject's turn."""

    def measured(seconds: float) -> Measured:
        result = measure(seconds)
        until(lambda: pipe.waiting(route) == 0, f"the route {route} to be done")
        return result

    return measured
