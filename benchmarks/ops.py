"""Pages of operations in a large house: how long each takes, and what twenty that stay open cost the pipe."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import orjson

from benchmarks.measures import of_deliveries
from benchmarks.onlookers import Told
from benchmarks.ops_pages import Reader, pages, searches, signed_in
from benchmarks.ops_rows import asked_of
from benchmarks.ops_world import Sizes, configuration, down, filled, plain, seeded, well
from benchmarks.options import Options
from benchmarks.processes import MIB, nanoseconds
from benchmarks.report import circumstances, table
from benchmarks.resampled import ratio
from benchmarks.subjects import Gateway, folder, partner, process, ready_gateway, server
from web.ops.looking import KEPT_S

OPEN = 20
STALE_S = KEPT_S + 0.1
"""after which no page may show what another one has looked up"""
PAGE_MS, SEARCH_MS = 150, 500
"""what issue 7 allows at the median"""
_LIVE = (
    "/ops", "/ops/connections", "/ops/routes", "/ops/exchanges", "/ops/dead", "/ops/alerts", f"/ops/routes/{plain(1)}",
    f"/ops/routes/{plain(5)}", f"/ops/connections/{well(1)}", f"/ops/connections/{down(1)}",
)  # fmt: skip
"""which pages stay open; each twice"""


def ops(options: Options) -> str:
    """Every page and every kind of search, each with a look of its own; then the load without and with open pages."""
    with ExitStack() as stack:
        base = stack.enter_context(folder())
        backend = stack.enter_context(server("benchmarks.backend"))
        environment = {
            "PIPE_BENCH_BACKEND": backend.rstrip("/"),
            "PIPE_BENCH_SPOILT": stack.enter_context(partner("refusing")).address.rstrip("/"),
            "PIPE_BENCH_HANGING": stack.enter_context(partner("hanging")).address.rstrip("/"),
        }
        data, config = base / "data", base / "large.yaml"
        config.write_text(configuration(), encoding="utf-8")
        with ready_gateway(config, data, environment) as first:
            seeded(first, backend)
        sizes = _sizes(options)
        began = time.monotonic()
        filled(data, sizes)
        size = (data / "pipe.db").stat().st_size / MIB
        print(f"filled the store in {time.monotonic() - began:.0f} s: {size:,.0f} MiB", flush=True)
        pipe = stack.enter_context(ready_gateway(config, data, environment))
        reader = signed_in(pipe.address, data)
        stack.callback(reader.connection.close)
        seen = asked_of(data)
        asked = {"page": pages(seen), "search": searches(seen)}
        rows = [row for kind, some in asked.items() for row in _timed(pipe, reader, kind, some, options)]
        cost = _open_pages(pipe, reader, backend, options)
    how = circumstances(
        f"{sizes.finished:,} finished and {sizes.pending:,} pending messages, every time asked by one browser "
        f"with a look of its own; {options.load}"
    )
    return f"{how}\n\n{table(_HEADS, rows)}\n\n{cost}"


_HEADS = ("", "median, ms", "p95, ms", "processor, ms", "KiB")


def _sizes(options: Options) -> Sizes:
    whole = options.shown >= 100_000
    return Sizes(options.shown, options.shown // 10, *(() if whole else (60, 60)))


def _timed(
    pipe: Gateway, reader: Reader, kind: str, paths: Mapping[str, str], options: Options
) -> Iterator[tuple[str, ...]]:
    """A row for each, and one for the slowest: times asked in turns, so that a slow moment spoils no page alone."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in paths}
    sizes = {name: len(reader.get(path).encode()) for name, path in paths.items()}
    for number in range(options.rounds):
        for name, path in paths.items():
            time.sleep(STALE_S if kind == "page" else 0)
            before = nanoseconds(pipe.pid)
            seconds = reader.timed(path)
            took[name].append((seconds * 1000, (nanoseconds(pipe.pid) - before) / 1e6))
        print(f"round {number + 1} of {options.rounds}: every {kind} was asked", flush=True)
    medians = {name: statistics.median(ms for ms, _ in times) for name, times in took.items()}
    for name, times in took.items():
        ordered = sorted(ms for ms, _ in times)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        spent = statistics.median(ms for _, ms in times)
        yield f"{kind}: {name}", f"{medians[name]:.0f}", f"{p95:.0f}", f"{spent:.0f}", f"{sizes[name] / 1024:.0f}"
    slowest = max(medians, key=lambda name: medians[name])
    bound = PAGE_MS if kind == "page" else SEARCH_MS
    yield f"**slowest {kind}**: {slowest} (bound: {bound} ms)", f"**{medians[slowest]:.0f}**", "", "", ""


def _open_pages(pipe: Gateway, reader: Reader, backend: str, options: Options) -> str:
    """Deliveries with the pages open to deliveries without, in pairs of which every other goes the other way round."""
    paths = [_LIVE[n % len(_LIVE)] for n in range(OPEN)]
    deliver = of_deliveries(pipe.url("full"), backend)
    deliver(min(1, options.seconds))
    rates: list[tuple[float, float]] = []
    costs: list[tuple[float, float]] = []
    seen: list[Told] = []
    for number in range(options.rounds * options.pairs):
        found: dict[bool, tuple[float, float]] = {}
        for opened in (True, False) if number % 2 else (False, True):
            with _onlookers(pipe, reader, paths if opened else [], seen):
                before = nanoseconds(pipe.pid)
                measured = deliver(options.seconds)
                found[opened] = measured.rate, (nanoseconds(pipe.pid) - before) / measured.count / 1000
        rates.append((found[True][0], found[False][0]))
        costs.append((found[True][1], found[False][1]))
        print(f"pair {number + 1}: {found[True][0]:,.0f}/s with pages, {found[False][0]:,.0f}/s without", flush=True)
    asked, longest = sum(each.asked for each in seen), max(each.longest_s for each in seen)
    rows = [
        (
            "deliveries a second",
            *(f"{statistics.median(side):,.0f}" for side in zip(*rates, strict=True)),
            ratio(rates),
        ),
        (
            "processor a message, µs",
            *(f"{statistics.median(side):.0f}" for side in zip(*costs, strict=True)),
            ratio(costs),
        ),
    ]
    beside = table(("", f"{OPEN} pages open", "none open", "the first to the second"), rows)
    each = f"An open page asked for itself {asked / OPEN / len(seen):.1f} times in a round"
    return f"{beside}\n\n{each}; the longest took {longest * 1000:.0f} ms."


@contextmanager
def _onlookers(pipe: Gateway, reader: Reader, paths: list[str], seen: list[Told]) -> Iterator[None]:
    """Open pages beside the block; what they saw is added to `seen`."""
    if not paths:
        yield
        return
    command: tuple[Any, ...] = (sys.executable, "-m", "benchmarks.onlookers", pipe.address, reader.cookie, *paths)
    with process(*command) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "open\n", "the pages could not be opened"
        yield
        started.terminate()
        seen.append(Told(**orjson.loads(_last_words(started))))


def _last_words(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    words = started.stdout.readline()
    assert started.wait(20) == 0, "a page broke while it was open"
    return words
