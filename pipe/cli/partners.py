"""`pipe partners`: stand-ins of the partners, and how they are told to misbehave."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated, Any

import typer

from pipe.cli.frame import DATA, Data, Frame, Json

app = typer.Typer(invoke_without_command=True, help="Stand-ins of the partners: run them, stop one, make one slow.")

Name = Annotated[str, typer.Argument(help="registry, sms, payments or civil.")]


@app.callback()
def run(
    context: typer.Context,
    data: Data = DATA,
    port_base: Annotated[int, typer.Option("--port-base", help="First port; 0 takes free ones.")] = 8091,
) -> None:
    """Runs all stand-ins on loopback until Ctrl-C; says where each listens."""
    if context.invoked_subcommand is None:
        arguments = ("-m", "partners", "--data", str(data), "--port-base", str(port_base))
        os.execv(sys.executable, (sys.executable, *arguments))  # noqa: S606 — our own module in our own interpreter


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
            help="well, slow SECONDS, hang, refuse [STATUS], fail [STATUS], error200, reset, truncate, garbage, "
            "duplicate; for=N, done=yes."
        ),
    ],
    data: Data = DATA,
    json: Json = False,
) -> None:
    """How it behaves from now on: `pipe partners set sms slow 5`, `pipe partners set registry fail 503 for=3`."""
    _tell(name, manner[0], tuple(manner[1:]), data, json=json)


def _tell(name: str, verb: str, arguments: tuple[str, ...], data: Any, *, json: bool) -> None:
    from pipe.app import tell_partner

    answer = asyncio.run(tell_partner(data, name, verb, *arguments))
    Frame(data=data, json=json).show(
        answer, lambda found: "\n".join(f"{key:10} {value}" for key, value in found.items())
    )
