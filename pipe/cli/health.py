"""`pipe doctor`: is the gateway's own house in order, and will a connection work?"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, LazyWorld, leave

_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def doctor(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Connections to examine.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All connections.")] = False,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Looks at disk, clock, rights, limits and store; with NAME, at what a connection needs to work, rung by rung.

    Works whether the gateway runs or not. Nothing that a partner would notice is done. Exit code 1 where one fails.
    """
    frame = Frame(config, data, json)
    if names or every:
        found = _connections(frame, list(dict.fromkeys(names or ())))
        frame.show(found[0] if names and len(found) == 1 else found, lambda told: ladders_words(found))
        leave(wrong=not all(ladder["well"] for ladder in found))
    own = frame.ask("doctor") if _running(data) else _here(frame)
    frame.show(own, doctor_words)
    leave(wrong=not own["well"])


def _running(data: Path) -> bool:
    from pipe.control import is_running

    return asyncio.run(is_running(data))


def _here(frame: Frame) -> dict[str, Any]:
    """No gateway runs: nothing is opened but to read."""
    from pipe.errors import PipeError
    from pipe.operations.doctor import Patient, examine, told

    world: Any = LazyWorld(frame.config)
    configuration, trouble = None, ""
    try:
        configuration = world.configuration()
    except PipeError as error:
        trouble = error.text
    keys = frame.data / "keys" / "master.keys"
    url = os.environ.get("PIPE_STORE") or None
    return told(examine(Patient(frame.data, keys, url, world, configuration, trouble)), running=False)


def _connections(frame: Frame, names: list[str]) -> list[dict[str, Any]]:
    """Asks the gateway; where none ever ran here, the configuration alone says enough."""
    if _running(frame.data) or (frame.data / "pipe.db").exists() or os.environ.get("PIPE_STORE"):
        found: list[dict[str, Any]] = frame.ask("doctor.connections", names=names or None)
        return found
    from pipe.operations.doctor.connections import Ward, examined

    world: Any = LazyWorld(frame.config)
    return asyncio.run(examined(Ward(world, world.configuration()), names or None))


def doctor_words(found: dict[str, Any]) -> str:
    """A line for each check, what to do below it, and a sentence at the end."""
    return "\n".join([*_lines(found["checks"]), "", _verdict(found)])


def ladders_words(found: list[dict[str, Any]]) -> str:
    """The rungs of each connection under its name, with a sentence at the end of each."""
    if not found:
        return "There are no connections."
    return "\n\n".join(
        "\n".join([f"{told['connection']} ({told['type']})", *_lines(told["checks"]), _ladder_verdict(told)])
        for told in found
    )


def _lines(checks: list[dict[str, Any]]) -> list[str]:
    width = max((len(check["check"]) for check in checks), default=0)
    lines = []
    for check in checks:
        lines.append(f"{_MARKS[check['grade']]}  {check['check']:{width}}  {check['text']}")
        if check["hint"] and check["grade"] != "ok":
            lines.append(f"{'':4}  {'':{width}}  → {check['hint']}")
    return lines


def _ladder_verdict(told: dict[str, Any]) -> str:
    if told["fails_at"] is not None:
        return f"{told['connection']} fails at: {told['fails_at']}."
    if told["warned"]:
        return f"{told['connection']}: nothing failed, {told['warned']} to look at."
    return f"{told['connection']}: all holds."


def _verdict(found: dict[str, Any]) -> str:
    of = "the running gateway" if found["running"] else "this folder; no gateway runs on it"
    if found["failed"]:
        return f"Looked at {of}: {found['failed']} checks failed, {found['warned']} are doubtful."
    if found["warned"]:
        return f"Looked at {of}: nothing failed, {found['warned']} checks are doubtful."
    return f"Looked at {of}: all is in order."
