"""`pipe audit`: who did what, whether the record is whole, and what a security officer should look at."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, as_json, leave
from pipe.cli.text import counted, moment, table
from pipe.cli.times import moment_of
from pipe.spreadsheet import csv_text

app = typer.Typer(no_args_is_help=True, help="Who did what; looking at it is written into it, too.")
PAGE = 5000
COLUMNS = ("seq", "at", "actor", "event", "target", "before", "after", "prev", "hash")

Event = Annotated[str | None, typer.Option("--event", help="`grant.given`, or all of `grant.*`.")]
Actor = Annotated[str | None, typer.Option("--actor", help="A login, or a user of the machine.")]
Target = Annotated[str | None, typer.Option("--target", help="A login, role, message … as the row names it.")]
Text = Annotated[str | None, typer.Option("--text", help="Something in what was before or after.")]
Since = Annotated[str | None, typer.Option("--since", help="`2h` (ago), `18:00`, a date, or a date with a time; Kyiv.")]
Until = Annotated[str | None, typer.Option("--until", help="Likewise.")]


@app.command("list")
def list_(
    event: Event = None,
    actor: Actor = None,
    target: Target = None,
    text: Text = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", help="The newest so many.")] = 50,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """The newest rows that fit, with what was before and after."""
    frame = Frame(config, data, json)
    asked: dict[str, Any] = {"event": event, "actor": actor, "target": target, "text": text}
    asked |= {"since": moment_of(since), "until": moment_of(until)}
    frame.show(frame.ask("audit.list", **asked, limit=limit), _listed)


@app.command("export")
def export(
    event: Event = None,
    actor: Actor = None,
    target: Target = None,
    text: Text = None,
    since: Since = None,
    until: Until = None,
    form: Annotated[Literal["csv", "jsonl"], typer.Option("--format", help="csv, or a JSON object a line.")] = "csv",
    config: Config = CONFIG,
    data: Data = DATA,
) -> None:
    """All rows that fit, oldest first, to standard output."""
    frame = Frame(config, data, json=False)
    asked: dict[str, Any] = {"event": event, "actor": actor, "target": target, "text": text}
    asked |= {"since": moment_of(since), "until": moment_of(until)}
    if form == "csv":
        sys.stdout.write(csv_text([COLUMNS]))
    for rows in _pages(frame, asked):
        if form == "csv":
            sys.stdout.write(csv_text([_cell(row[name]) for name in COLUMNS] for row in rows))
        else:
            sys.stdout.writelines(_line(row) for row in rows)


@app.command("verify")
def verify(
    checkpoints: Annotated[
        list[Path] | None, typer.Option("--checkpoints", help="A file of checkpoints kept elsewhere; once for each.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Their public key, as `pipe audit key` printed it once.")
    ] = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Whether every row is as it was written and none is missing. Exit code 1 where not: kind and place are told."""
    frame = Frame(config, data, json)
    files = [str(path.resolve()) for path in checkpoints or ()]
    found = frame.ask("audit.verify", files=files, key=key)
    frame.show(found, _verified)
    leave(wrong=not found["good"])


@app.command("key")
def key(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """The public key of the checkpoints: keep it elsewhere, for `verify --key`."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("audit.key"), lambda found: str(found["key"]))


@app.command("findings")
def findings(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """What a security officer should look at. Exit code 1 where there is something."""
    frame = Frame(config, data, json)
    found = frame.ask("audit.findings")
    frame.show(found, _found)
    leave(wrong=bool(found))


def _pages(frame: Frame, asked: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    after = 0
    while True:
        rows = frame.ask("audit.list", **asked, after=after, limit=PAGE, purpose="export")
        if rows:
            yield rows
            after = rows[-1]["seq"]
        if len(rows) < PAGE:
            return


def _listed(found: list[dict[str, Any]]) -> str:
    rows = [
        [
            str(row["seq"]),
            moment(row["at"]),
            row["actor"],
            row["event"],
            row["target"],
            _short(row),
        ]
        for row in found
    ]
    return table(("row", "at", "actor", "event", "target", "what"), rows) or "No row fits."


def _short(row: dict[str, Any]) -> str:
    before, after = row["before"], row["after"]
    if isinstance(before, dict) and isinstance(after, dict):
        parts = [f"{name}: {before.get(name)} → {value}" for name, value in after.items() if before.get(name) != value]
        return _cut(", ".join(parts))
    return _cut(" ".join(as_json(each).replace("\n", " ") for each in (before, after) if each is not None))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:99]}…"


def _verified(found: dict[str, Any]) -> str:
    seen = f"{counted(found['rows'], 'row')}, {counted(found['checkpoints'], 'signed checkpoint')}"
    if found["good"]:
        return f"The audit is whole: {seen}."
    lines = [f"  {each['kind']:11} row {each['seq']}: {each['text']}" for each in found["findings"]]
    return "\n".join([f"The audit is not what was written ({seen}):", *lines])


def _found(found: list[dict[str, Any]]) -> str:
    if not found:
        return "Nothing catches the eye."
    return "\n".join(f"{each['kind']}: {each['en']}" for each in found)


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else as_json(value).replace("\n", " ")


def _line(row: dict[str, Any]) -> str:
    import orjson

    return orjson.dumps(row, default=str).decode() + "\n"
