"""`python -m benchmarks [NAMES]`: measures the named subjects (default all) and writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.report import PAGE, Measured, circumstances, table, written
from benchmarks.subjects import WRK, asked, gateway, loaded, server

Measure = Callable[[float], Measured]
BASE = "bare aiohttp proxy, not durable"


def of_answers(address: str) -> Measure:
    """Counts answers."""

    def measure(seconds: float) -> Measured:
        load = loaded(address, seconds)
        assert load.refused == 0, f"{address} refused {load.refused} requests"
        return Measured(load.rate, load.p50, load.p99)

    return measure


def of_deliveries(address: str, backend: str) -> Measure:
    """Counts what arrived at the backend, from the first request to the last delivery, the time to drain included.

    p50 and p99 are those of the answers at the door.
    """

    def measure(seconds: float) -> Measured:
        before = asked(backend)["count"]
        load = loaded(address, seconds)
        assert load.refused == 0, f"{address} refused {load.refused} requests"
        count, last = _drained(backend, before + load.answered)
        return Measured((count - before) / (last - load.began), load.p50, load.p99)

    return measure


def _drained(backend: str, least: int) -> tuple[int, float]:
    """The backend's count and the time of its last request, once all is there and a second has brought no more."""
    end = time.monotonic() + 120
    told = asked(backend)
    while told["count"] < least or time.monotonic() - told["last"] < 1:
        assert time.monotonic() < end, f"{least - told['count']} messages did not arrive"
        time.sleep(0.1)
        told = asked(backend)
    assert told["bad"] == 0, f"{told['bad']} bodies arrived broken"
    return told["count"], told["last"]


@contextmanager
def subjects(names: list[str]) -> Iterator[dict[str, Measure]]:
    """What is asked for (the base always), each running in processes of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        backend = stack.enter_context(server("benchmarks.backend"))
        bare = stack.enter_context(server("benchmarks.bare", "handler", backend))
        proxy = stack.enter_context(server("benchmarks.bare", "proxy", backend))
        pipe = stack.enter_context(gateway(folder / "data", backend.rstrip("/")))
        every = {
            "bare aiohttp handler": of_answers(bare),
            BASE: of_answers(proxy),
            "PIPE, accepted and fsynced": of_answers(f"{pipe}/pipe/accept"),
            "PIPE, durable, JSON to XML, delivered": of_deliveries(f"{pipe}/pipe/full", backend),
        }
        yield {name: row for name, row in every.items() if name == BASE or not names or any(n in name for n in names)}


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures the gateway beside bare aiohttp."
    )
    parser.add_argument("names", nargs="*", help="parts of the subjects' names; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md as it is")
    arguments = parser.parse_args()
    with subjects(arguments.names) as every:
        for measure in every.values():
            measure(1)
        rounds: dict[str, list[Measured]] = {name: [] for name in every}
        for number in range(arguments.rounds):
            for name, measure in every.items():
                rounds[name].append(measure(arguments.seconds))
                print(f"round {number + 1}: {name}: {rounds[name][-1].rate:,.0f}/s", flush=True)
    text = table(rounds, BASE)
    print(f"\n{text}")
    if not arguments.no_write and not arguments.names:
        about = circumstances("wrk" if WRK else "benchmarks/load.py", arguments.rounds, arguments.seconds)
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), f"{about}\n\n{text}"), encoding="utf-8")


if __name__ == "__main__":
    main()
