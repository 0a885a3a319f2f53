"""`pipe partners`: stand-ins of the partners, and how they are told to misbehave."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json

app = typer.Typer(invoke_without_command=True, help="Stand-ins of the partners: run them, stop one, make one slow.")

Name = Annotated[str, typer.Argument(help="A connection of the configuration, or a stand-in written by hand.")]


@app.callback()
def run(
    context: typer.Context,
    config: Config = CONFIG,
    data: Data = DATA,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    port_base: Annotated[int, typer.Option("--port-base", help="First port; 0 takes free ones.")] = 8091,
) -> None:
    """Runs a stand-in for each partner of the configuration on loopback until Ctrl-C; says where each listens."""
    if context.invoked_subcommand is None:
        from pipe.app import run_partners

        asyncio.run(run_partners(config, data, port_base, written=config.exists(), with_parent=with_parent))


@app.command("status")
def status(name: Name, data: Data = DATA, json: Json = False) -> None:
    """How a stand-in is, and what it has seen."""
    _tell(name, "status", (), data, json=json)


@app.command("stop")
def stop(name: Name, data: Data = DATA, json: Json = False) -> None:
    """Connections to it are refused from now on."""
    _tell(name, "stop", (), data, json=json)


@app.command("start")
def start(name: Name, data: Data = DATA, json: Json = False) -> None:
    """It listens again."""
    _tell(name, "start", (), data, json=json)


@app.command("set")
def set_(
    name: Name,
    manner: Annotated[
        list[str],
        typer.Argument(
            help="well, slow SECONDS, half-open, refuse [STATUS], fail [STATUS], 200-with-error, reset-after-send, "
            "truncate, garbage, duplicate; for=N, done=yes."
        ),
    ],
    data: Data = DATA,
    json: Json = False,
) -> None:
    """How it behaves from now on: `pipe partners set sms slow 5`, `pipe partners set registry fail 503 for=3`."""
    _tell(name, manner[0], tuple(manner[1:]), data, json=json)


@app.command("offer")
def offer(
    name: Name,
    place: Annotated[str, typer.Argument(help="A topic, the name of a file, or a path that the gateway asks for.")],
    file: Annotated[Path, typer.Argument(help="What it has for us.", exists=True, dir_okay=False)],
    data: Data = DATA,
    json: Json = False,
) -> None:
    """It has something for us: `pipe partners offer meters meters/m-7/reading reading.json`."""
    _tell(name, "offer", (place, base64.b64encode(file.read_bytes()).decode()), data, json=json)


def _tell(name: str, verb: str, arguments: tuple[str, ...], data: Any, *, json: bool) -> None:
    from pipe.app import tell_partner

    answer = asyncio.run(tell_partner(data, name, verb, *arguments))
    Frame(data=data, json=json).show(
        answer, lambda found: "\n".join(f"{key:10} {value}" for key, value in found.items())
    )
