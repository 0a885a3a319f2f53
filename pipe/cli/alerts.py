"""`pipe alerts`: what a person must hear of, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, leave
from pipe.cli.messages import Reason
from pipe.cli.text import moment, table
from pipe.cli.times import seconds_of

app = typer.Typer(invoke_without_command=True, help="What a person must hear of, and what became of it.")

Id = Annotated[str, typer.Argument(help="As `pipe alerts` shows it.")]


@app.callback()
def alerts(
    context: typer.Context,
    past: Annotated[bool, typer.Option("--past", help="Also those that are over, the newest first.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.")] = 100,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """What fires, the loudest first, and what may fire soon. Exit code 1 where something fires."""
    if context.invoked_subcommand is not None:
        return
    frame = Frame(config, data, json)
    found = frame.ask("alerts.list", past=past, limit=limit)
    frame.show(found, _words)
    leave(wrong=any(each["state"] == "firing" for each in found["alerts"]))


@app.command("listeners")
def listeners(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Who hears of what: routes that tell alerts, and people who subscribed; of these also why one hears nothing."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("alerts.listeners"), _listeners)


@app.command("prometheus")
def prometheus(config: Config = CONFIG) -> None:
    """The rules as a rule file for Prometheus, over the numbers of `/metrics`; with the ones that only it can see."""
    from pipe.app import Offline, rule_file

    typer.echo(rule_file(Offline(config).configuration().alerts), nl=False)


@app.command("ack")
def ack(
    id: Id,
    note: Annotated[str, typer.Option("--note", help="What is being done about it.")] = "",
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """You take care of it: it is not told again while it lasts. The all-clear is."""
    frame = Frame(config, data, json)
    found = frame.ask("alerts.acknowledge", id=id, note=note)
    frame.show(found, lambda each: f"{each['rule']} {each['subject']} is acknowledged by {each['acked_by']}.")


@app.command("silence")
def silence(
    span: Annotated[str, typer.Option("--for", help="How long: `2h`.")],
    rule: Annotated[str | None, typer.Option("--rule", help="Only this rule.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Only this connection or route.")] = None,
    reason: Reason = "",
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Nobody is told of it for a while; it stands in the list all the same."""
    frame = Frame(config, data, json)
    asked = {"seconds": seconds_of(span), "reason": reason, "rule": rule, "subject": subject}
    frame.show(
        frame.ask("alerts.silence", **asked), lambda each: f"Silent until {moment(each['until'])}: {each['id']}."
    )


@app.command("speak")
def speak(id: Id, config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Ends a silence before its time."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("alerts.speak", id=id), lambda each: f"The silence {each['id']} is over.")


@app.command("test")
def send_test(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Sends a test through every route that tells alerts; `pipe explain ID` says whether it arrived."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("alerts.test"), _sent)


def _words(found: dict[str, Any]) -> str:
    columns = ("state", "severity", "rule", "subject", "since", "told", "by", "id", "text")
    rows = [
        [
            each["state"],
            each["severity"],
            each["rule"],
            each["subject"],
            moment(each["began_at"]),
            moment(each["told_at"]),
            each["acked_by"] or "",
            each["id"],
            each["text"],
        ]
        for each in found["alerts"]
    ]
    parts = [table(columns, rows) or "Nothing fires."]
    if found["silences"]:
        quiet = [
            [
                each["rule"] or "all",
                each["subject"] or "all",
                moment(each["until"]),
                each["by"],
                each["id"],
                each["reason"],
            ]
            for each in found["silences"]
        ]
        parts.append(f"Silent:\n{table(('rule', 'subject', 'until', 'by', 'id', 'reason'), quiet)}")
    return "\n\n".join(parts)


def _sent(found: dict[str, Any]) -> str:
    return "\n".join(f"A test goes through {route}: pipe explain {message}" for route, message in found["sent"].items())


_WHY = {
    "no_right": "no: may not see alerts, or is shut out",
    "no_route": "no: no route is `people:` of this way",
    "no_address": "no: has no mail address",
    "no_chat": "no: has no chat with the bot",
    "blocked": "no: has blocked the bot",
}


def _listeners(found: list[dict[str, Any]]) -> str:
    columns = ("who", "by", "route", "from", "rules", "of", "hours", "told", "hears")
    rows = [
        [
            each["who"] or ("(those who subscribed)" if each["kind"] == "people" else "(whoever stands in the route)"),
            each["way"] or "",
            each["route"] or "",
            each["severity"],
            " ".join(each["rules"]) or "all",
            " ".join(each["of"]) or "all",
            each["hours"] or "always",
            moment(each["told_at"]),
            "yes" if each["hears"] else _WHY[each["why"]],
        ]
        for each in found
    ]
    return table(columns, rows) or "No route tells alerts: give one `from: {alerts: warning}`."
