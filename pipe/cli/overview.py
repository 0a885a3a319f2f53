"""`pipe status`, `connections`, `routes`, `ledger`: how it is, at a look."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, leave
from pipe.cli.text import counted, duration, moment, rows_of, size, table

ledger_app = typer.Typer(invoke_without_command=True, help="The books: what came in and what became of it.")

Route = Annotated[str | None, typer.Option("--route", help="Only this route.")]


def status(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """How the gateway is: one sentence, then the details. Exit code 1 where a person must do something."""
    frame = Frame(config, data, json)
    found = frame.ask("status")
    frame.show(found, status_words)
    leave(wrong=not found["well"])


def connections(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """The connections: state, since when, why, and what waits for them. Exit code 1 where one is down."""
    frame = Frame(config, data, json)
    found = frame.ask("connections")
    frame.show(found, connections_words)
    leave(wrong=any(row["state"] == "down" for row in found))


def routes(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """The routes: from where to where, what each promises, and what waits."""
    frame = Frame(config, data, json)
    columns = ("route", "from", "to", "mode", "promise", "state", "pending", "place")
    frame.show(
        frame.ask("routes"),
        lambda found: table(columns, [_listed(row, columns) for row in found]) or "There are no routes.",
    )


@ledger_app.callback()
def ledger(
    context: typer.Context, route: Route = None, config: Config = CONFIG, data: Data = DATA, json: Json = False
) -> None:
    """What came in and what became of it, route by route: accepted + emitted = all the rest."""
    if context.invoked_subcommand is None:
        frame = Frame(config, data, json)
        frame.show(frame.ask("ledger", route=route), ledger_words)


@ledger_app.command("verify")
def verify(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Counts every row against the totals, follows the chain of the audit. Exit code 1 where something does not fit."""
    frame = Frame(config, data, json)
    found = frame.ask("ledger.verify")
    frame.show(found, verify_words)
    leave(wrong=not found["good"])


# --- words --------------------------------------------------------------------------------------------------------


def status_words(found: dict[str, Any]) -> str:
    """The verdict, every trouble, and tables of what there is."""
    parts = [found["verdict"]]
    if len(found["troubles"]) > 1:
        parts.append("\n".join(f"  {n}. {text}" for n, text in enumerate(found["troubles"], start=1)))
    parts.append(_running(found))
    parts.append(_totals(found["ledger"]))
    columns = ("route", "state", "pending", "oldest", "per min", "dead", "expired")
    rows = [
        [
            row["route"],
            row["state"],
            _pending(row),
            duration(row["oldest_s"]),
            row["per_minute"],
            row["dead"],
            row["expired"],
        ]
        for row in found["routes"]
    ]
    parts += [table(columns, rows), connections_words(found["connections"])]
    return "\n\n".join(part for part in parts if part)


def connections_words(found: list[dict[str, Any]]) -> str:
    """A table; the reason last, as it may be long."""
    columns = ("connection", "type", "state", "since", "last ok", "waiting", "certificate", "reason")
    rows = [
        [
            row["connection"],
            row["type"],
            row["state"],
            moment(row["since"]),
            moment(row["last_ok"]),
            row["waiting"],
            _days(row["certificates"]),
            row["reason"],
        ]
        for row in found
    ]
    return table(columns, rows) or "There are no connections."


def _days(certificates: list[dict[str, Any]]) -> str:
    """What is left of the one that ends first; it may be over already."""
    return f"{certificates[0]['days']} d" if certificates else "-"


def ledger_words(found: list[dict[str, Any]]) -> str:
    """A table with one line a route."""
    if not found:
        return "Nothing has come in yet."
    columns = [
        name
        for name in found[0]
        if name == "route" or any(row[name] for row in found) or name in ("accepted", "pending")
    ]
    return table(columns, rows_of(found, *columns))


def verify_words(found: dict[str, Any]) -> str:
    """Good or not, and every finding."""
    if found["good"]:
        return (
            f"The books are right: {counted(found['deliveries'], 'delivery', 'deliveries')}"
            f" of {counted(found['routes'], 'route')}"
            f" agree with the totals, and the {counted(found['audit_rows'], 'row')} of the audit with their chain."
        )
    return "\n".join(["The books are wrong:", *(f"  {text}" for text in found["wrong"])])


def _running(found: dict[str, Any]) -> str:
    disk = found["disk"]
    floor = f" (floor {size(disk['floor'])})" if disk["floor"] is not None else ""
    space = f"{size(disk['free'])} free on disk{floor}"
    if not found["running"]:
        return space
    addresses = ", ".join(found["addresses"].values())
    up = duration(found["now"] - found["started_at"])
    process = f"process {found['pid']}, configuration {found['revision']}"
    return f"Running for {up} ({process}) on {addresses}; {found['store']['commits']:,} commits; {space}"


def _totals(totals: dict[str, int]) -> str:
    came = totals["accepted"] + totals["emitted"]
    went = [f"{n:,} {name}" for name, n in totals.items() if n and name not in ("accepted", "emitted")]
    return (
        f"Ledger: {totals['accepted']:,} accepted + {totals['emitted']:,} emitted = {' + '.join(went) or '0'}"
        if came
        else "Ledger: nothing has come in yet."
    )


def _pending(row: dict[str, Any]) -> str:
    if not row["pending"]:
        return "0"
    return f"{row['pending']:,} ({', '.join(f'{n:,} {state}' for state, n in row['by_state'].items())})"


def _listed(row: dict[str, Any], columns: tuple[str, ...]) -> list[Any]:
    return [", ".join(row[name]) if isinstance(row[name], list) else row[name] for name in columns]
