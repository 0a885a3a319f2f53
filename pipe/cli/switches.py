"""`pipe pause`, `resume`, `drain`: a connection or a route, by name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json
from pipe.cli.messages import Reason

Name = Annotated[str, typer.Argument(help="A connection or a route.")]
Some = Annotated[str | None, typer.Argument(help="A connection or a route; none: all that a restore paused.")]


def pause(name: Name, reason: Reason = "", config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Stops a connection, or the work on a route; what comes in is kept. A restart changes nothing of it."""
    _do("pause", name, reason, Frame(config, data, json))


def drain(name: Name, reason: Reason = "", config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Lets nothing more into a route (callers get 503), and works off what is there."""
    _do("drain", name, reason, Frame(config, data, json))


def resume(
    name: Some = None, reason: Reason = "", config: Config = CONFIG, data: Data = DATA, json: Json = False
) -> None:
    """Takes a pause or a drain back; without a name, lets a restored copy go."""
    frame = Frame(config, data, json)
    if name is not None:
        _do("resume", name, reason, frame)
    else:
        frame.show(frame.ask("resume.all", reason=reason), _all_words)


def _all_words(found: dict[str, Any]) -> str:
    return f"The restored copy goes: {', '.join(found['resumed']) or 'nothing'} resumed."


def _do(operation: str, name: str, reason: str, frame: Frame) -> None:
    frame.show(frame.ask(operation, name=name, reason=reason), _words)


def _words(found: dict[str, Any]) -> str:
    if found["state"] == found["before"]:
        return f"{found['kind']} {found['name']} was {found['state']} already."
    return f"{found['kind']} {found['name']} is {found['state']} now."
