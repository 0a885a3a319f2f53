"""`pipe dead …`: what could not be delivered, and what a person does about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, as_json, leave
from pipe.cli.messages import Id, Reason, Route, Since, Station
from pipe.cli.text import counted, duration, moment, plain, table
from pipe.cli.times import moment_of
from pipe.errors import BadRequest

app = typer.Typer(
    no_args_is_help=True, help="Dead letters: what could not be delivered, and what a person does about it."
)

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of messages, or numbers of deliveries.")]
Class = Annotated[str | None, typer.Option("--class", help="Only this class, as the list shows it.")]
Code = Annotated[str | None, typer.Option("--code", help="Only this error, PIPE-2006 for example.")]
SHOWN = 20
NONE_FOUND = (
    "No dead letter is meant by this: `pipe dead list` shows all there are, `pipe explain ID` where a message is."
)


@app.command("list")
def list_(
    route: Route = None,
    kind: Class = None,
    code: Code = None,
    station: Station = None,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")] = 100,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Dead letters, the newest first."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("dead.list", which=_which(None, route, kind, code, station, since), limit=limit), _listed)


@app.command("show")
def show(id: Id, config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """One message's dead letters whole: attempts, the original, the body where it failed, what the partner said."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("dead.show", id=id), lambda found: "\n\n".join(_whole(letter) for letter in found))


@app.command("rehearse")
def rehearse(
    ids: Ids = None,
    route: Route = None,
    kind: Class = None,
    code: Code = None,
    station: Station = None,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 1000,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Runs dead letters through today's configuration; partners are not called and nothing is kept.

    Exit code 1 where one still fails.
    """
    frame = Frame(config, data, json)
    found = frame.ask("dead.rehearse", which=_which(ids, route, kind, code, station, since), limit=limit)
    frame.show(found, _rehearsed)
    leave(wrong=bool(found["fails"]))


@app.command("replay")
def replay(
    ids: Ids = None,
    route: Route = None,
    kind: Class = None,
    code: Code = None,
    station: Station = None,
    since: Since = None,
    rate: Annotated[
        str | None, typer.Option("--rate", help="At most so many, `10/s`; by default as fast as the route allows.")
    ] = None,
    ignore_deadline: Annotated[bool, typer.Option("--ignore-deadline", help="Also what came too late.")] = False,
    reason: Reason = "",
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Sends dead letters again through today's configuration, the oldest first. Exit code 1 where some could not be."""
    frame = Frame(config, data, json)
    which = _which(ids, route, kind, code, station, since)
    done = frame.ask("dead.replay", which=which, rate=rate, ignore_deadline=ignore_deadline, reason=reason)
    frame.show(done, lambda found: _acted(found, "replayed", "is on its way again", "are on their way again"))
    leave(wrong=bool(done["refused"]) or not done["chosen"])


@app.command("edit")
def edit(
    id: Id,
    file: Annotated[Path, typer.Option("--file", help="The new body; `-` reads standard input.")],
    reason: Reason = "",
    station: Station = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Sends a dead letter again with another body; the original stays as it came, the new message names it."""
    import base64

    body = sys.stdin.buffer.read() if str(file) == "-" else _read(file)
    frame = Frame(config, data, json)
    try:
        told: dict[str, Any] = {"text": body.decode()}
    except UnicodeDecodeError:
        told = {"base64_body": base64.b64encode(body).decode()}
    done = frame.ask("dead.edit", id=id, reason=reason, station=station, **told)
    frame.show(
        done,
        lambda found: (
            f"{found['id']} goes to {found['station']} in place of {found['replaces']}: `pipe explain {found['id']}`"
        ),
    )


@app.command("discard")
def discard(
    ids: Ids = None,
    reason: Reason = "",
    route: Route = None,
    kind: Class = None,
    code: Code = None,
    station: Station = None,
    since: Since = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Closes dead letters for good: they will not be sent."""
    frame = Frame(config, data, json)
    done = frame.ask("dead.discard", which=_which(ids, route, kind, code, station, since), reason=reason)
    frame.show(done, lambda found: _acted(found, "discarded", "is closed", "are closed"))
    leave(wrong=bool(done["refused"]) or not done["chosen"])


# --- words --------------------------------------------------------------------------------------------------------


def _which(
    ids: list[str] | None, route: str | None, kind: str | None, code: str | None, station: str | None, since: str | None
) -> dict[str, Any]:
    return {
        "ids": ids or None,
        "route": route,
        "kind": kind,
        "code": code,
        "station": station,
        "since": moment_of(since),
    }


def _listed(found: list[dict[str, Any]]) -> str:
    if not found:
        return "There are no dead letters."
    columns = ("message", "route", "station", "class", "code", "died", "tries", "maybe arrived", "text")
    rows = [
        [
            row["message_id"], row["route"], row["station"], row["class"], row["code"], moment(row["died_at"]),
            row["attempts"], row["maybe_delivered"] or None, (row["text"] or "")[:70],
        ]
        for row in found
    ]  # fmt: skip
    return f"{table(columns, rows)}\n\n`pipe dead show ID` tells one whole, `pipe dead rehearse` what would happen now."


def _whole(letter: dict[str, Any]) -> str:
    place = (
        f" at {letter['step']} ({letter['place']})"
        if letter["step"]
        else f" ({letter['place']})"
        if letter["place"]
        else ""
    )
    lines = [
        f"{letter['message_id']} of route {letter['route']} is {letter['state']} at {letter['station']}"
        f" since {moment(letter['died_at'])}.",
        f"  {letter['class']} [{letter['code']}]{place}: {letter['text']}",
    ]
    if letter["maybe_delivered"]:
        lines.append("  It may have arrived all the same: ask the partner before you send it again.")
    if letter["hint"]:
        lines.append(f"  Try: {letter['hint']}")
    lines.append(f"  received {moment(letter['received_at'])}, configuration {letter['config_revision']}")
    for each in letter["attempts"]:
        status = f" {each['status']}" if each["status"] else ""
        lines.append(
            f"  {each['n']}. {moment(each['at'])}  {each['outcome']}{status}"
            f" after {duration(each['ms'] / 1000)}: {each['text'] or '-'}"
        )
    parts = [
        ("the original", letter["original"]),
        ("as it came over the line", letter["wire"]),
        ("the body where it failed", letter["body_at_step"]),
        ("the partner's reply", letter["partner_reply"]),
    ]
    lines += [f"  {name}:\n{_block(value)}" for name, value in parts if value is not None]
    if letter["traceback"]:
        lines.append(_block(letter["traceback"]))
    return "\n".join(lines)


def _block(value: Any) -> str:
    if isinstance(value, dict) and "body" in value:
        value = value["body"] if value["body"] is not None else value.get("body_base64")
    text = value if isinstance(value, str) else as_json(value)
    return "\n".join(f"    {plain(line)}" for line in text.splitlines())


def _rehearsed(found: dict[str, Any]) -> str:
    if not found["rehearsed"]:
        return NONE_FOUND
    lines = [f"{found['passes']} of {found['rehearsed']} would pass now{_rest(found)}."]
    for letter in found["letters"][:SHOWN]:
        mark = {True: "passes", False: "FAILS", None: "unknown"}[letter["passes"]]
        place = f" at {letter['step'] or 'its target'} ({letter['place']})" if letter["place"] else ""
        lines.append(f"  {letter['message_id']} at {letter['station']}: {mark}{place}: {letter['text']}")
        lines += _difference(letter)
    if len(found["letters"]) > SHOWN:
        lines.append(f"  … and {len(found['letters']) - SHOWN} more: --json tells all of them")
    return "\n".join(plain(line) for line in lines)


def _rest(found: dict[str, Any]) -> str:
    rest = [
        f"{found[name]} {words}"
        for name, words in (("fails", "still fail"), ("unknown", "cannot be told without the partner"))
        if found[name]
    ]
    changed = f"; of these {found['changed']} would go out changed" if found["changed"] else ""
    return f"{changed}{', ' if rest else ''}{', '.join(rest)}"


def _difference(letter: dict[str, Any]) -> list[str]:
    import difflib

    if letter["before"] is None or letter["after"] is None:
        return []
    before, after = (_block(letter[name]).splitlines() for name in ("before", "after"))
    return [f"    {line.rstrip()}" for line in difflib.unified_diff(before, after, "before", "now", n=1, lineterm="")]


def _acted(found: dict[str, Any], verb: str, one: str, many: str) -> str:
    if not found["chosen"]:
        return NONE_FOUND
    lines = [f"{counted(found[verb], 'dead letter')} {one if found[verb] == 1 else many}."]
    lines += [f"  {each['message_id']}: left as it is, {each['text']}" for each in found["refused"][:SHOWN]]
    if len(found["refused"]) > SHOWN:
        lines.append(f"  … and {len(found['refused']) - SHOWN} more were left")
    return "\n".join(lines)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}") from None
