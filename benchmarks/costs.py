"""What one message of the full path costs beside its time: processor, commits, disk."""

from __future__ import annotations

import sqlite3
import statistics
from contextlib import ExitStack, closing
from pathlib import Path

from benchmarks.load import BODY
from benchmarks.measures import of_deliveries
from benchmarks.options import Options
from benchmarks.processes import cpu_seconds, thread_seconds
from benchmarks.report import circumstances, table
from benchmarks.subjects import Gateway, folder, gateway, server

COMMITS, UNITS = "gw_store_commits_total", "gw_store_units_total"


def cost(options: Options) -> str:
    """Per message, the median of the rounds; disk over all of them."""
    with ExitStack() as stack:
        backend = stack.enter_context(server("benchmarks.backend"))
        base = stack.enter_context(folder())
        with gateway(base / "data", backend) as pipe:
            deliveries = of_deliveries(pipe.url("full"), backend)
            messages = deliveries(min(1, options.seconds)).count
            rounds = []
            for _ in range(options.rounds):
                before = _spent(pipe)
                measured = deliveries(options.seconds)
                spent = [after - start for start, after in zip(before, _spent(pipe), strict=True)]
                rounds.append([value / measured.count for value in spent])
                messages += measured.count
        disk = _disk(base / "data") / messages
    cpu, loop, commits, units = (statistics.median(column) for column in zip(*rounds, strict=True))
    rows = [
        ("processor, µs", f"{cpu * 1e6:.0f}"),
        ("of it the event loop", f"{loop * 1e6:.0f}"),
        ("of it the store's and other threads", f"{(cpu - loop) * 1e6:.0f}"),
        ("messages a commit", f"{1 / commits:.1f}"),
        ("units of work a commit", f"{units / commits:.1f}"),
        ("bytes on disk", f"{disk:,.0f}"),
        ("of it the body as it came", f"{len(BODY):,}"),
    ]
    how = circumstances(f"{options.load} The route `full`; disk is the table file after a checkpoint.")
    return f"{how}\n\n{table(('of one message', ''), rows)}"


def _spent(pipe: Gateway) -> tuple[float, float, float, float]:
    """Seconds of processor in all and of the loop's thread, commits and units of work, since the start."""
    numbers = pipe.numbers()
    return cpu_seconds(pipe.pid), thread_seconds(pipe.pid)[pipe.pid], numbers[COMMITS], numbers[UNITS]


def _disk(data: Path) -> int:
    """Bytes of the tables of a gateway that has stopped, its log brought into them."""
    with closing(sqlite3.connect(data / "pipe.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return (data / "pipe.db").stat().st_size
