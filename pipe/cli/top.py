"""`pipe top`: how the gateway is, in the terminal, as it goes on."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json
from pipe.cli.text import duration, moment, plain, size, table
from pipe.cli.times import seconds_of
from pipe.exchange_rows import line

ENTER, LEAVE, HOME, CLEAR_LINE, CLEAR_REST = (
    "\x1b[?1049h\x1b[?25l",
    "\x1b[?25h\x1b[?1049l",
    "\x1b[H",
    "\x1b[K",
    "\x1b[J",
)
_ORDER = ("down", "degraded", "paused", "unknown", "up")


def top(
    every: Annotated[str, typer.Option("--every", help="Pause between two looks.")] = "2s",
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """How the gateway is, as it goes on, until Ctrl-C: the verdict, alerts, connections, and what moves on routes.

    Where the output is no terminal, it looks once; with `--json`, a line for each look.
    """
    frame, pause = Frame(config, data, json), seconds_of(every)
    live = sys.stdout.isatty() and not json
    before: dict[str, Any] | None = None
    if live:
        sys.stdout.write(ENTER)
    try:
        with suppress(KeyboardInterrupt, BrokenPipeError):
            while True:
                now = {**frame.ask("status"), "alerts": frame.ask("alerts.list")["alerts"]}
                if json:
                    typer.echo(line(now), nl=False)
                    sys.stdout.flush()
                else:
                    rows = screen(now, before, *(shutil.get_terminal_size() if live else (200, 10_000)))
                    _draw(rows, live=live)
                if not live and not json:
                    return
                before = now
                time.sleep(pause)
    finally:
        if live:
            sys.stdout.write(LEAVE)
            sys.stdout.flush()


def screen(now: Mapping[str, Any], before: Mapping[str, Any] | None, columns: int, lines: int) -> list[str]:
    """The lines of one look, no more and no longer than fit; rates since the look `before`."""
    firing = [each for each in now["alerts"] if each["state"] == "firing"]
    parts = [
        [f"{moment(now['now'])}  {now['verdict']}"],
        [_books(now, before)],
        [f"{each['severity'].upper()}: {each['text']} (since {moment(each['began_at'])})" for each in firing],
        _connections(now).splitlines(),
        _routes(now).splitlines(),
    ]
    rows = [row for part in parts if part for row in (*part, "")][:-1]
    cut = [plain(row)[:columns] for row in rows]
    if len(cut) > lines:
        cut = [*cut[: lines - 1], f"… {len(cut) - lines + 1} more lines"[:columns]]
    return cut


def _draw(rows: list[str], *, live: bool) -> None:
    # Over the screen as it is: clearing it first would flicker.
    text = HOME + "\r\n".join(row + CLEAR_LINE for row in rows) + CLEAR_REST if live else "\n".join(rows) + "\n"
    sys.stdout.write(text)
    sys.stdout.flush()


def _books(now: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    books = now["ledger"]
    done = _done(books)
    words = [
        f"{books['accepted']:,} accepted{_rate(now, before, lambda each: each['ledger']['accepted'])}",
        f"{done:,} done{_rate(now, before, lambda each: _done(each['ledger']))}",
        f"{books['pending']:,} on their way",
        f"{books['dead'] + books['expired']:,} dead",
        f"{size(now['disk']['free'])} free",
    ]
    return ", ".join(words)


def _done(books: Mapping[str, int]) -> int:
    return books["delivered"] + books["consumed"] + books["answered"]


def _rate(now: Mapping[str, Any], before: Mapping[str, Any] | None, of: Any) -> str:
    if before is None or now["now"] <= before["now"]:
        return ""
    return f" ({(of(now) - of(before)) / (now['now'] - before['now']):.1f}/s)"


def _connections(now: Mapping[str, Any]) -> str:
    found = sorted(
        now["connections"],
        key=lambda row: (
            _ORDER.index(row["state"]) if row["state"] in _ORDER else 0,
            -row["waiting"],
            row["connection"],
        ),
    )
    rows = [
        [row["connection"], row["state"], moment(row["since"]), row["waiting"], moment(row["last_ok"]), row["reason"]]
        for row in found
    ]
    return table(("connection", "state", "since", "waiting", "last ok", "reason"), rows)


def _routes(now: Mapping[str, Any]) -> str:
    found = sorted(now["routes"], key=lambda row: (-row["pending"], -row["per_minute"], row["route"]))
    rows = [
        [
            row["route"],
            row["state"],
            row["pending"],
            duration(row["oldest_s"]),
            row["per_minute"],
            row["dead"] + row["expired"],
        ]
        for row in found
    ]
    return table(("route", "state", "waiting", "oldest", "per min", "dead"), rows)
