"""`pipe exchanges`: what went to and fro, found by whatever is known of it, followed live, or taken out into a file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json
from pipe.cli.messages import Route, Since, Until
from pipe.cli.text import counted, duration, moment, plain, table
from pipe.cli.times import moment_of
from pipe.errors import BadRequest
from pipe.exchange_rows import body_text, cells, columns, line
from pipe.spreadsheet import csv_text

AT_ONCE = 1000
EVERY_S = 1.0
REMEMBERED = 10_000
"""lines that are known to have been printed"""


def exchanges(
    text: Annotated[
        str | None,
        typer.Option("--text", help='Words of the masked body, `"side by side"`, `beginning*`; all must be there.'),
    ] = None,
    route: Route = None,
    connection: Annotated[str | None, typer.Option("--connection", help="Only from it or to it.")] = None,
    outcome: Annotated[
        str | None, typer.Option("--outcome", help="ok, failed, pending, or a state: dead, retry, delivered …")
    ] = None,
    code: Annotated[str | None, typer.Option("--code", help="Only with this error code.")] = None,
    id: Annotated[str | None, typer.Option("--id", help="A message and all that came of it.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Value of `order_by:`.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Whose data it is: value of `subject:`.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what happens, until Ctrl-C.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write all that fit into FILE: `.csv`, or JSON lines.")
    ] = None,
    bodies: Annotated[bool, typer.Option("--bodies", help="With the bodies, masked; the audit notes it.")] = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """What was exchanged with partners, message by message: from where, to where, what came of it, how long it took.

    The words of bodies are found once the gateway has indexed them, seconds after they came; values of `sensitive:`
    never are. An export has all that fit, whatever --limit says.
    """
    frame = Frame(config, data, json)
    sought = {
        "text": text, "route": route, "connection": connection, "outcome": outcome, "code": code, "id": id, "key": key,
        "subject": subject, "since": moment_of(since), "until": moment_of(until),
    }  # fmt: skip
    sought = {name: value for name, value in sought.items() if value is not None}
    if follow and export is not None:
        raise BadRequest("say --follow or --export, not both")
    if follow:
        with suppress(KeyboardInterrupt):
            _follow(frame, sought)
    elif export is not None:
        n = _export(frame, sought, export, bodies=bodies)
        frame.show({"file": str(export), "exchanges": n}, lambda _: f"{counted(n, 'exchange')} written to {export}.")
    else:
        found = frame.ask("exchanges", sought=sought, limit=limit, bodies=bodies)
        frame.show(found["exchanges"] if json else found, lambda told: _words(told, limit))


def _words(found: dict[str, Any], limit: int) -> str:
    rows = found["exchanges"]
    behind = f"\n{counted(found['unseen'], 'message')} of the newest are not indexed yet." if found["unseen"] else ""
    if not rows:
        return f"Nothing was found.{behind}"
    columns = ("id", "received", "route", "from", "to", "outcome", "tries", "took", "text")
    lines = [[row["id"], moment(row["received_at"]), *_cells(row)] for row in rows]
    more = f"\n… there are more than {limit:,}: narrow it down, or raise --limit" if found["next"] is not None else ""
    bodies = {row["id"]: body for row in rows if (body := body_text(row)) is not None}
    shown = "".join(f"\n\n{name}\n{body}" for name, body in bodies.items())
    return table(columns, lines) + more + behind + shown


def _cells(row: Mapping[str, Any]) -> list[Any]:
    took = None if row["seconds"] is None else duration(row["seconds"])
    text = f"{row['code'] or ''} {row['text'] or ''}".strip()
    cut = text if len(text) <= 60 else text[:59] + "…"
    return [row["route"], row["from"], row["station"], row["state"], row["attempts"], took, cut]


# --- live ---------------------------------------------------------------------------------------------------------


def _follow(frame: Frame, sought: dict[str, Any], turns: Callable[[], bool] = lambda: True) -> None:
    """One line for each change, as long as `turns` says so."""
    begun = frame.ask("exchanges.news", sought=sought)
    marks = {name: begun[name] for name in _MARKS}
    # What the first answer repeats of before was never news.
    before = frame.ask("exchanges.news", sought=sought, **marks)["exchanges"]
    printed = dict.fromkeys(
        _at(row) for row in before if row["delivery"] <= marks["after"] and (row["done_at"] or 0) <= marks["ended"]
    )
    while turns():
        found = frame.ask("exchanges.news", sought=sought, **marks)
        marks = {name: found[name] for name in _MARKS}
        if found["more"]:
            typer.echo(f"… more than {AT_ONCE:,} at once: the oldest are left out", err=True)
        for row in found["exchanges"]:
            if _at(row) not in printed:
                printed[_at(row)] = None
                typer.echo(line(row).rstrip() if frame.json else _line(row))
        while len(printed) > REMEMBERED:
            del printed[next(iter(printed))]
        time.sleep(EVERY_S)


_MARKS = ("after", "ended")


def _at(row: Mapping[str, Any]) -> tuple[int, str, int]:
    return row["delivery"], row["state"], row["attempts"]


def _line(row: Mapping[str, Any]) -> str:
    route, source, station, state, tries, took, text = _cells(row)
    at = moment(row["done_at"] or row["received_at"])
    words = [at, row["id"], f"{route}:", f"{source or '?'} → {station}", state]
    words += [f"try {tries}"] if tries > 1 else []
    words += [took] if took is not None else []
    return plain("  ".join([*words, text]).rstrip())


# --- into a file --------------------------------------------------------------------------------------------------


def _export(frame: Frame, sought: dict[str, Any], file: Path, *, bodies: bool) -> int:
    """Writes all that fit; returns how many. The file is there only when it is whole, and nobody else may read it."""
    part = file.with_name(f".{file.name}.part")
    count, as_table = 0, file.suffix == ".csv"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            if as_table:
                out.write(csv_text([columns(bodies=bodies)]))
            for rows in _pages(frame, sought, bodies=bodies):
                count += len(rows)
                if as_table:
                    out.write(csv_text(cells(row, bodies=bodies) for row in rows))
                else:
                    out.writelines(line(row) for row in rows)
        part.replace(file)
    except OSError as error:
        raise BadRequest(f"{file} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _pages(frame: Frame, sought: dict[str, Any], *, bodies: bool) -> Iterator[list[dict[str, Any]]]:
    before = None
    while True:
        how = {"before": before, "limit": AT_ONCE, "bodies": bodies, "purpose": "export"}
        found = frame.ask("exchanges", sought=sought, **how)
        yield found["exchanges"]
        before = found["next"]
        if before is None:
            return
