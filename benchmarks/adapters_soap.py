"""SOAP out beside a loop of bare zeep: the adapter alone, and a durable route into it."""

from __future__ import annotations

import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import orjson

from benchmarks.measures import of_deliveries
from benchmarks.options import Options
from benchmarks.processes import cpu_seconds
from benchmarks.report import circumstances, table
from benchmarks.subjects import ROOT, folder, gateway, server

CONFIG = Path(__file__).with_name("soap.yaml")
ZEEP, ALONE, ROUTE = "zeep, one call after the other", "soap_client alone, the same", "PIPE, durable, HTTP to SOAP"


def adapters_soap(options: Options) -> str:
    """Calls a second and processor of a call; the subjects take turns, ratios are to zeep in the same round."""
    rounds: dict[str, list[tuple[float, float]]] = {ZEEP: [], ALONE: [], ROUTE: []}
    with ExitStack() as stack:
        partner = stack.enter_context(server("benchmarks.soap_backend"))
        base = stack.enter_context(folder())
        pipe = stack.enter_context(gateway(base / "data", partner, config=CONFIG))
        deliveries = of_deliveries(pipe.url("acts"), partner)
        deliveries(min(1, options.seconds))

        def by_route() -> tuple[float, float]:
            spent = cpu_seconds(pipe.pid)
            measured = deliveries(options.seconds)
            return measured.rate, (cpu_seconds(pipe.pid) - spent) / measured.count

        ways = {
            ZEEP: lambda: _counted("zeep", partner, options.seconds),
            ALONE: lambda: _counted("adapter", partner, options.seconds),
            ROUTE: by_route,
        }
        for number in range(options.rounds):
            for name in list(ways) if number % 2 == 0 else list(ways)[::-1]:
                rate, processor = ways[name]()
                rounds[name].append((rate, processor))
                print(f"round {number + 1} of {options.rounds}: {name}: {rate:,.0f}/s", flush=True)
    how = circumstances(
        f"{options.rounds} rounds of {options.seconds:g} s each, the subjects taking turns, and their partner shares"
        " the cores: read the ratios. zeep and `soap_client` alone are one process without a store; the route takes"
        " JSON over HTTP, syncs it to disk, and delivers it with 8 calls at a time, time to drain included. zeep holds"
        " nothing against the schema; the gateway does so with every request and every answer."
    )
    heads = ("subject", "calls a second (min–max)", "µs of processor a call", "÷ zeep: median", "min")
    return f"{how}\n\n{table(heads, [_row(name, rounds) for name in rounds])}"


def _counted(way: str, address: str, seconds: float) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.soap_calls", way, address, str(seconds)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    told = orjson.loads(done.stdout)
    return told["calls"] / told["seconds"], told["processor"] / told["calls"]


def _row(name: str, rounds: dict[str, list[tuple[float, float]]]) -> tuple[str, ...]:
    rates = [rate for rate, _ in rounds[name]]
    ratios = [rate / base for rate, (base, _) in zip(rates, rounds[ZEEP], strict=True)]
    processor = statistics.median(spent for _, spent in rounds[name]) * 1e6
    return (
        name, f"{min(rates):,.0f}–{max(rates):,.0f}", f"{processor:,.0f}", f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f}",
    )  # fmt: skip
