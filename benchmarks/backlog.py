"""A gateway that holds very much beside an empty one: what waits, and what is finished."""

from __future__ import annotations

import statistics
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load import BODY
from benchmarks.measures import Measured, of_deliveries
from benchmarks.options import Options
from benchmarks.processes import MIB, cpu_seconds, peak, until
from benchmarks.race import Rounds, race
from benchmarks.report import circumstances, race_table, table
from benchmarks.resampled import ratio
from benchmarks.rows import multiply
from benchmarks.subjects import Gateway, asked, folder, gateway, partner, server

EMPTY = "empty gateway"
MONTH_S = 30 * 86400.0


def pending(options: Options) -> str:
    """Restart, memory and rate of a gateway to which so many messages wait, whose partner is down."""
    name = f"{options.pending:,} pending"
    with ExitStack() as stack:
        base = stack.enter_context(folder())
        backend = stack.enter_context(server("benchmarks.backend"))
        dead = stack.enter_context(partner("refusing"))
        _filled(base / "full", backend, dead.address, "side", lambda data: multiply(data, options.pending - 1))
        empty, full, starts = _both(stack, base, backend, dead.address, options.starts)
        entrants = {EMPTY: of_deliveries(empty.url("full"), backend), name: of_deliveries(full.url("full"), backend)}
        rounds = race(entrants, options)
        least, most = peak(empty.pid) / MIB, peak(full.pid) / MIB
        dead.turn()
        rate = _drain_rate(dead.address, options)
    plain = statistics.median(row.rate for row in rounds[EMPTY])
    rows = [
        ("restart to ready, s", f"{starts[0]:.2f}", f"{starts[1]:.2f}", f"{starts[1] - starts[0]:+.2f} s"),
        ("most memory, MiB", f"{least:.0f}", f"{most:.0f}", f"{most - least:+.0f} MiB"),
        ("other route, messages a second", *_beside(rounds, name, lambda row: row.rate, "{:,.0f}")),
        ("the waiting ones, deliveries a second", "", f"{rate:,.0f}", f"{rate / plain:.2f} of the empty one's route"),
    ]
    how = circumstances(f"{options.load} Restarts: median of {options.starts}, the partner down.")
    return f"{how}\n\n{table(('', EMPTY, name, 'the second to the first'), rows)}"


def finished(options: Options) -> str:
    """Cost of a message in a store that holds so many finished ones."""
    name = f"{options.finished:,} finished"
    with ExitStack() as stack:
        base = stack.enter_context(folder())
        backend = stack.enter_context(server("benchmarks.backend"))
        _filled(
            base / "full", backend, backend, "full",
            lambda data: multiply(data, options.finished - 1, age_s=MONTH_S, gone=True),
        )  # fmt: skip
        empty, full, starts = _both(stack, base, backend, backend, options.starts)
        spent: dict[str, list[float]] = {EMPTY: [], name: []}
        rounds = race(
            {EMPTY: _costed(empty, backend, spent[EMPTY]), name: _costed(full, backend, spent[name])}, options
        )
    cost = {subject: values[1:] for subject, values in spent.items()}  # without that of warming up
    rows = [
        ("restart to ready, s", f"{starts[0]:.2f}", f"{starts[1]:.2f}", f"{starts[1] - starts[0]:+.2f} s"),
        (
            "processor a message, µs",
            *(f"{statistics.median(cost[subject]):.0f}" for subject in (EMPTY, name)),
            ratio(list(zip(cost[name], cost[EMPTY], strict=True))),
        ),
    ]
    how = circumstances(options.load)
    beside = table(("", EMPTY, name, "the second to the first"), rows)
    return f"{how}\n\n{race_table(rounds, EMPTY)}\n\n{beside}"


def _filled(data: Path, backend: str, spoilt: str, route: str, fill: Callable[[Path], None]) -> None:
    """A folder with one message that the gateway took, and what `fill` makes of it."""
    with gateway(data, backend, spoilt) as first:
        before = asked(backend)["count"]
        request = urllib.request.Request(  # noqa: S310 - loopback
            first.url(route), data=BODY, headers={"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - loopback
        if route == "full":
            until(lambda: asked(backend)["count"] > before, "the message to be delivered")
    began = time.monotonic()
    fill(data)
    size = (data / "pipe.db").stat().st_size / MIB
    print(f"filled the store in {time.monotonic() - began:.0f} s: {size:,.0f} MiB", flush=True)


def _both(
    stack: ExitStack, base: Path, backend: str, spoilt: str, starts: int
) -> tuple[Gateway, Gateway, tuple[float, float]]:
    """The empty gateway and the full one, and the median seconds from start to ready of each; the last start stays."""
    took: dict[str, list[float]] = {"empty": [], "full": []}
    for _ in range(starts - 1):
        for name, times in took.items():
            with gateway(base / name, backend, spoilt) as started:
                times.append(started.ready_after)
    empty, full = (stack.enter_context(gateway(base / name, backend, spoilt)) for name in took)
    ready = [statistics.median([*took[one.data.name], one.ready_after]) for one in (empty, full)]
    return empty, full, (ready[0], ready[1])


def _costed(pipe: Gateway, backend: str, spent: list[float]) -> Callable[[float], Measured]:
    """Deliveries; notes beside it the microseconds of processor that each message took."""
    deliveries = of_deliveries(pipe.url("full"), backend)

    def measure(seconds: float) -> Measured:
        before = cpu_seconds(pipe.pid)
        measured = deliveries(seconds)
        spent.append((cpu_seconds(pipe.pid) - before) / measured.count * 1e6)
        return measured

    return measure


def _drain_rate(partner_address: str, options: Options) -> float:
    """Deliveries a second of what waited, over the time of one round at most."""
    until(lambda: _first(partner_address) > 0, "the first of the waiting messages")
    first = _first(partner_address)
    while time.monotonic() - first < options.seconds and asked(partner_address)["count"] < options.pending:
        time.sleep(0.05)
    told = asked(partner_address)
    return float(told["count"] / (told["last"] - told["first"]))


def _first(address: str) -> float:
    try:
        return float(asked(address)["first"])
    except OSError:
        return 0.0


def _beside(rounds: Rounds, name: str, of: Callable[[Measured], float], how: str) -> tuple[str, str, str]:
    pairs = [(of(one), of(other)) for one, other in zip(rounds[name], rounds[EMPTY], strict=True)]
    middle = [how.format(statistics.median(values)) for values in zip(*pairs, strict=True)]
    return middle[1], middle[0], str(ratio(pairs))
