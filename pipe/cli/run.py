"""`pipe run`: the gateway itself."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

Config = Annotated[Path, typer.Option("--config", envvar="PIPE_CONFIG", help="The configuration.")]
Data = Annotated[Path, typer.Option("--data", envvar="PIPE_DATA", help="The data folder.")]


def run(
    config: Config = Path("connections.yaml"),
    data: Data = Path("data"),
    listen: Annotated[str, typer.Option("--listen", envvar="PIPE_LISTEN", help="HOST:PORT, where the configuration names no listeners.")] = "127.0.0.1:8080",
    store: Annotated[str | None, typer.Option("--store", envvar="PIPE_STORE", help="URL of a PostgreSQL store instead of the embedded one.")] = None,
    partners: Annotated[bool, typer.Option("--partners/--no-partners", envvar="PIPE_PARTNERS", help="Start stand-ins of the partners beside it.")] = False,
) -> None:
    """Runs the gateway until it is told to stop."""
    from pipe.app import Gateway, Settings  # noqa: PLC0415  # commands that need no gateway start without loading it

    settings = Settings(config, data, listen, store)
    sys.exit(uvloop.run(Gateway(settings).run()))
