"""`pipe explain`, `search`, `messages show`, `resolve`: where is it, why, and what happens next."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json
from pipe.cli.story_text import story_words
from pipe.cli.text import KYIV, counted, moment, table
from pipe.cli.times import moment_of
from pipe.errors import BadRequest

messages_app = typer.Typer(no_args_is_help=True, help="What messages hold; looking is noted in the audit.")

Id = Annotated[str, typer.Argument(help="Id of a message, or number of a delivery.")]
Since = Annotated[str | None, typer.Option("--since", help="A time (`2026-11-23 18:00`, Kyiv) or how long ago (`2h`).")]
Until = Annotated[str | None, typer.Option("--until", help="As --since.")]
Route = Annotated[str | None, typer.Option("--route", help="Only of this route.")]
Station = Annotated[str | None, typer.Option("--station", help="Only at this target or flow.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is written into the audit.")]


def explain(id: Id, config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """The whole story of a message: who brought it, what every attempt did, why it waits, what happens next."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("explain", id=id), story_words)


def search(
    id: Annotated[str | None, typer.Option("--id", help="A message and all that came of it.")] = None,
    route: Route = None,
    state: Annotated[
        str | None, typer.Option("--state", help="dead, retry, held, uncertain, delivered … or pending.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Value of `order_by:`.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Whose data it is: value of `subject:`.")] = None,
    idempotency_key: Annotated[str | None, typer.Option("--idempotency-key", help="As the caller sent it.")] = None,
    caller: Annotated[str | None, typer.Option("--caller", help="Whose idempotency key it is.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")] = 100,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Finds deliveries by what is known of them. Values of keys and subjects are kept as hashes: name them exactly."""
    frame = Frame(config, data, json)
    found = frame.ask(
        "search", id=id, route=route, state=state, key=key, subject=subject, idempotency_key=idempotency_key,
        caller=caller,
        since=moment_of(since), until=moment_of(until), limit=limit,
    )  # fmt: skip
    frame.show(found, lambda rows: _found(rows, limit))


@messages_app.command("show")
def show(
    id: Id,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show sensitive values too; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is written into the audit.")] = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """The message as it was accepted, sensitive values masked. The audit notes that you looked."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("messages.show", id=id, reveal=reveal, reason=reason), _shown)


def resolve(
    id: Id,
    delivered: Annotated[bool, typer.Option("--delivered", help="It took effect at the partner.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="It did not: send it again, now.")] = False,
    dead: Annotated[bool, typer.Option("--dead", help="Keep it as a dead letter.")] = False,
    reason: Reason = "",
    station: Station = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Decides about a delivery of which nobody knows whether it arrived.

    `--retry` also sends at once what waits for its next attempt.
    """
    chosen = [word for word, given in (("delivered", delivered), ("retry", retry), ("dead", dead)) if given]
    if len(chosen) != 1:
        raise BadRequest("say one of --delivered, --retry and --dead")
    frame = Frame(config, data, json)
    done = frame.ask("resolve", id=id, decision=chosen[0], reason=reason, station=station)
    frame.show(done, lambda found: f"{found['id']} at {found['station']}: {found['decision']}.")


def _found(rows: list[dict[str, Any]], limit: int) -> str:
    if not rows:
        return "Nothing was found."
    columns = ("id", "route", "station", "state", "received", "tries", "next", "text")
    lines = [
        [
            row["id"],
            row["route"],
            row["station"],
            row["state"],
            moment(row["received_at"]),
            row["attempts"],
            moment(row["next_at"]),
            _cut(row),
        ]
        for row in rows
    ]
    more = (
        f"\n… at least {counted(limit, 'delivery', 'deliveries')}: narrow it down, or raise --limit"
        if len(rows) == limit
        else ""
    )
    return table(columns, lines) + more


def _cut(row: dict[str, Any]) -> str:
    text = f"{row['code'] or ''} {row['text'] or ''}".strip()
    return text if len(text) <= 70 else text[:69] + "…"


def _shown(found: dict[str, Any]) -> str:
    from pipe.cli.frame import as_json

    hidden = ("body", "body_base64", "id", "masked")
    facts = [[name, value] for name, value in found.items() if name not in hidden and value not in (None, {}, [])]
    head = "\n".join(f"{name:13} {_value(name, value)}" for name, value in [["id", found["id"]], *facts])
    body = found.get("body_base64") or found["body"]
    return f"{head}\n\n{body if isinstance(body, str) else as_json(body)}"


def _value(name: str, value: Any) -> str:
    if name in ("received_at", "deadline"):
        return f"{moment(value)} ({KYIV.key})"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items())
    return str(value)
