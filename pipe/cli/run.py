"""`pipe run`: the gateway itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, StoreUrl

if TYPE_CHECKING:
    from pipe.app import Gateway

Listen = Annotated[
    str, typer.Option("--listen", envvar="PIPE_LISTEN", help="HOST:PORT, where the configuration names no listeners.")
]
Partners = Annotated[
    bool,
    typer.Option("--partners/--no-partners", envvar="PIPE_PARTNERS", help="Start stand-ins of the partners beside it."),
]
LogLevel = Annotated[str, typer.Option("--log-level", envvar="PIPE_LOG_LEVEL", help="debug, info, warning or error.")]
LogJson = Annotated[
    bool | None,
    typer.Option("--log-json/--log-text", envvar="PIPE_LOG_JSON", help="By default text on a terminal, else JSON."),
]

AuditCopy = Annotated[
    Path | None,
    typer.Option(
        "--audit-copy",
        envvar="PIPE_AUDIT_COPY",
        help="A second file, on another machine's disk, for the signed checkpoints of the audit.",
    ),
]


def run(
    config: Config = CONFIG,
    data: Data = DATA,
    listen: Listen = "127.0.0.1:8080",
    store: StoreUrl = None,
    partners: Partners = False,
    log_level: LogLevel = "info",
    log_json: LogJson = None,
    audit_copy: AuditCopy = None,
) -> None:
    """Runs the gateway until it is told to stop (SIGTERM, Ctrl-C); SIGHUP takes up a changed configuration."""
    import uvloop

    from pipe import log
    from pipe.app import Gateway, Settings

    log.set_up(level=log_level, as_json=log_json)
    settings = Settings(config, data, listen, store, partners=partners, audit_copy=audit_copy)
    code = uvloop.run(Gateway(settings).run(welcome if sys.stdout.isatty() else None))
    if code != 0:
        # The store failed: a thread that hangs in it must not keep the process.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def welcome(gateway: Gateway) -> None:
    """Tells a person where everything is; the first password is the one secret, and stands here and nowhere else."""
    lines = ["", "PIPE runs. What it serves:", ""]
    for name, address in gateway.addresses().items():
        lines.append(f"  {address}{'' if name == 'default' else f'  (listener {name})'}")
    lines += [f"    {method:6} {path:32} {what}" for method, path, what in gateway.endpoints()]
    if gateway.stand_ins is not None:
        lines += ["", "Stand-ins of the partners (`pipe partners set sms slow 5` makes one misbehave):", ""]
        lines += [f"  {name:12} {address}" for name, address in gateway.stand_ins.addresses.items()]
    if gateway.staff.first_password is not None:
        lines += [
            "",
            "Nobody can sign in yet. Sign in at /login as `admin` with this password, once, within a day:",
            "",
        ]
        lines += [f"  {gateway.staff.first_password}"]
    data = f" --data {gateway.settings.data}" if str(gateway.settings.data) != str(DATA) else ""
    lines += ["", f"In another terminal:  pipe status{data}   pipe explain ID{data}   pipe dead list{data}", ""]
    typer.echo("\n".join(lines))
