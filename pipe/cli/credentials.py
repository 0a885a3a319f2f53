"""`pipe keys`, `pipe secrets`: who may call us, and what we call others with."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json
from pipe.cli.messages import Reason
from pipe.cli.text import moment, table

keys_app = typer.Typer(no_args_is_help=True, help="API keys of callers: shown once, kept as hashes.")
secrets_app = typer.Typer(
    no_args_is_help=True, help="Secrets of connections, `${secret:NAME}`: kept encrypted, never shown."
)

Caller = Annotated[str, typer.Argument(help="Who gets the key, as the log and the audit will name it.")]
Connection = Annotated[str | None, typer.Option("--connection", help="Whose `api_keys:`, where several have some.")]
File = Annotated[str | None, typer.Option("--file", help="The key file itself.")]
SecretName = Annotated[str, typer.Argument(help="As in `${secret:NAME}`.")]


@keys_app.command("issue")
def issue(
    name: Caller,
    connection: Connection = None,
    file: File = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Makes a key for a caller and shows it, this once. Keys that the caller has stay good."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("keys.issue", name=name, connection=connection, file=_absolute(file)), _issued)


@keys_app.command("revoke")
def revoke(
    name: Caller,
    reason: Reason = "",
    connection: Connection = None,
    file: File = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Takes all keys of a caller back, at once."""
    frame = Frame(config, data, json)
    done = frame.ask("keys.revoke", name=name, reason=reason, connection=connection, file=_absolute(file))
    frame.show(
        done,
        lambda found: f"{found['revoked']} of {found['name']} went from {found['file']}; they are refused from now on.",
    )


@secrets_app.command("list")
def list_(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Names, versions and times; values are never shown."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("secrets.list"), _listed)


@secrets_app.command("set")
def set_(name: SecretName, config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Stores a value, read from standard input or asked for. The one before stays accepted."""
    frame = Frame(config, data, json)
    value = typer.prompt("Value", hide_input=True) if sys.stdin.isatty() else sys.stdin.read().rstrip("\r\n")
    done = frame.ask("secrets.set", name=name, value=value)
    frame.show(done, lambda found: f"{found['name']} has version {found['version']}, in use from now on.")


@secrets_app.command("remove")
def remove(
    name: SecretName, reason: Reason = "", config: Config = CONFIG, data: Data = DATA, json: Json = False
) -> None:
    """Forgets all values of a name."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("secrets.remove", name=name, reason=reason), lambda found: f"{found['name']} is gone.")


def _issued(found: dict[str, Any]) -> str:
    name, file = found["name"], found["file"]
    return f"{found['key']}\n\nThis is the only time that the key of {name} is shown; {file} holds its hash."


def _listed(found: list[dict[str, Any]]) -> str:
    rows = [[row["name"], row["version"], row["live"], moment(row["at"]), row["by"]] for row in found]
    return table(("name", "version", "live", "set", "by"), rows) or "There are no secrets in the store."


def _absolute(file: str | None) -> str | None:
    from pathlib import Path

    return None if file is None else str(Path(file).resolve())
