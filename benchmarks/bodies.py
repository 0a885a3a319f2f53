"""Memory while large things pass: a body of 10 MiB, a table of a million rows."""

from __future__ import annotations

import http.client
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from benchmarks.load import BODY
from benchmarks.measures import put_upon
from benchmarks.options import Options
from benchmarks.processes import MIB, forget_peak, peak, resident, until, watched
from benchmarks.report import circumstances, table
from benchmarks.subjects import Gateway, asked, folder, gateway, server

LARGE = 10 * MIB
TIMES = 3
PATIENCE_S = 3600
_LINE = "{0};Олена Коваленко {0};{1}.50\n"


def body(options: Options) -> str:
    """How much memory the gateway takes while one body of 10 MiB is received, kept and delivered."""
    with ExitStack() as stack:
        backend = stack.enter_context(server("benchmarks.backend"))
        base = stack.enter_context(folder())
        pipe = stack.enter_context(gateway(base / "data", backend))
        put_upon(pipe.url("full"), min(1, options.seconds))
        until(lambda: asked(backend)["count"] > 0, "the small ones")
        large = base / "large"
        rows = []
        for name, route, content in (
            ("as it came", "bytes", b"x" * LARGE),
            ("JSON to XML", "full", _appeal(LARGE)),
            ("JSON to XML, 117,817 small objects", "full", _objects(LARGE)),
        ):
            large.write_bytes(content)
            grown = [_growth(pipe, backend, route, large) for _ in range(TIMES)]
            rows.append((name, *(f"+{growth / MIB:.1f}" for growth in grown)))
    how = circumstances("one caller, after a load of small messages; the peak that Linux tells, above what was in use.")
    return f"{how}\n\n{table(('a body of 10 MiB', '1st, MiB', '2nd', '3rd'), rows)}"


def csv(options: Options) -> str:
    """Memory and rate while a table is split and each row delivered."""
    with ExitStack() as stack:
        backend = stack.enter_context(server("benchmarks.backend"))
        base = stack.enter_context(folder())
        pipe = stack.enter_context(gateway(base / "data", backend))
        put_upon(pipe.url("full"), min(1, options.seconds))
        time.sleep(1)
        file = base / "table.csv"
        size = _write_table(file, options.rows)
        idle, before, began = resident(pipe.pid), asked(backend)["count"], time.monotonic()
        with watched(pipe.pid) as samples:
            _post(pipe.url("rows"), file, "text/csv")
            taken = time.monotonic() - began
            arrived = before + options.rows
            until(lambda: asked(backend)["count"] >= arrived, f"{options.rows} rows", PATIENCE_S)
        seconds = asked(backend)["last"] - began
    quarters = [f"{most / MIB:.0f}" for most in samples.quarters()]
    row = (f"{size / MIB:.1f}", f"{taken:.1f}", f"{options.rows / seconds:,.0f}", f"{idle / MIB:.0f}", *quarters)
    heads = ["file, MiB", "accepted after, s", "rows a second", "memory before, MiB"]
    heads += [f"most in quarter {number}" for number in range(1, len(quarters) + 1)]
    how = circumstances(f"a CSV file of {options.rows:,} rows, received over HTTP, split, each row delivered as JSON.")
    return f"{how}\n\n{table(heads, [row])}"


def _appeal(size: int) -> bytes:
    """A body of the table's kind, that long and a little less."""
    fields = orjson.loads(BODY)
    fields["text"] = ""
    unit = "В будинку третій день немає води. "
    fields["text"] = unit * ((size - len(orjson.dumps(fields))) // len(unit.encode()))
    return orjson.dumps(fields)


def _objects(size: int) -> bytes:
    """A body as long, made of small parts: in memory each costs several times its length."""
    fields = orjson.loads(BODY)
    one = {"name": "Олена Коваленко", "phone": "+380671234567", "sum": 1234, "paid": True}
    fields["text"] = {"row": [one] * (size // len(orjson.dumps([one])))}
    return orjson.dumps(fields)


def _growth(pipe: Gateway, backend: str, route: str, file: Path) -> int:
    """Bytes by which the peak lies above what was in use, from the request to the delivery."""
    before = asked(backend)["count"]
    idle = resident(pipe.pid)
    forget_peak(pipe.pid)
    _post(pipe.url(route), file, "application/json")
    until(lambda: asked(backend)["count"] > before, "the large body")
    return peak(pipe.pid) - idle


def _post(url: str, file: Path, content_type: str) -> None:
    """Sends a file piece by piece, and reads the answer."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=300)
    try:
        with file.open("rb") as content:
            headers = {"Content-Type": content_type, "Content-Length": str(file.stat().st_size)}
            connection.request("POST", parts.path, content, headers)
            answer = connection.getresponse()
            words = answer.read()
        assert answer.status == 202, f"{url} answered {answer.status}: {words[:500]!r}"
    finally:
        connection.close()


def _write_table(file: Path, rows: int) -> int:
    with file.open("w", encoding="utf-8") as lines:
        lines.write("id;name;sum\n")
        lines.writelines(_LINE.format(number, number % 1000) for number in range(rows))
    return file.stat().st_size
