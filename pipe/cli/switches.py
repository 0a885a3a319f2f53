"""`pipe pause`, `resume`, `drain`: a connection or a route, by name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json
from pipe.cli.messages import Reason

Name = Annotated[str, typer.Argument(help="A connection or a route.")]


def pause(name: Name, reason: Reason = "", config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Stops a connection, or the work on a route; what comes in is kept. A restart changes nothing of it."""
    _do("pause", name, reason, Frame(config, data, json))


def drain(name: Name, reason: Reason = "", config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Lets nothing more into a route (callers get 503), and works off what is there."""
    _do("drain", name, reason, Frame(config, data, json))


def resume(name: Name, reason: Reason = "", config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Takes a pause or a drain back."""
    _do("resume", name, reason, Frame(config, data, json))


def _do(operation: str, name: str, reason: str, frame: Frame) -> None:
    frame.show(frame.ask(operation, name=name, reason=reason), _words)


def _words(found: dict[str, Any]) -> str:
    if found["state"] == found["before"]:
        return f"{found['kind']} {found['name']} was {found['state']} already."
    return f"{found['kind']} {found['name']} is {found['state']} now."
