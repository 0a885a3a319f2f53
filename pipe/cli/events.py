"""`pipe events`: what happened between the gateway and its partners, in a line each."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json
from pipe.cli.messages import Since, Until
from pipe.cli.text import moment, plain, table
from pipe.cli.times import moment_of
from pipe.exchange_rows import line as json_line

EVERY_S = 1.0


def events(
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="gateway, configuration, connection, dead, uncertain, retry, refused or alert."),
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Only of this connection or route.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what happens, until Ctrl-C.")] = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Integration events: connections that turned, messages that are dead or were refused, configurations, alerts.

    Which are kept, how long, and where else they go, says `events:` of the configuration.
    """
    frame = Frame(config, data, json)
    sought = {"kind": kind, "subject": subject, "since": moment_of(since), "until": moment_of(until)}
    found = frame.ask("events.list", **sought, limit=limit)
    if not follow:
        frame.show(found, _words)
        return
    after = found[0]["seq"] if found else 0
    with suppress(KeyboardInterrupt):
        while True:
            for row in frame.ask("events.list", **sought, after=after, limit=1000):
                after = row["seq"]
                typer.echo(
                    json_line(row).rstrip() if json else plain("  ".join(str(cell) for cell in _cells(row) if cell))
                )
            time.sleep(EVERY_S)


def _line(row: dict[str, Any]) -> str:
    return plain("  ".join(str(cell) for cell in _cells(row) if cell))


def _words(found: list[dict[str, Any]]) -> str:
    columns = ("at", "kind", "subject", "event", "times", "code", "message", "text")
    return table(columns, [_cells(row) for row in found]) or "Nothing was kept that fits."


def _cells(row: dict[str, Any]) -> list[Any]:
    return [
        moment(row["at"]), row["kind"], row["subject"], row["event"], row["n"], row["code"], row["message"],
        row["text"],
    ]  # fmt: skip
