"""`pipe doctor`: is the gateway's own house in order?"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, LazyWorld, leave

_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def doctor(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Looks at disk, clock, rights, limits and store, whether the gateway runs or not. Exit code 1 where one fails."""
    from pipe.control import is_running

    frame = Frame(config, data, json)
    found = frame.ask("doctor") if asyncio.run(is_running(data)) else _here(frame)
    frame.show(found, doctor_words)
    leave(wrong=not found["well"])


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


def doctor_words(found: dict[str, Any]) -> str:
    """A line for each check, what to do below it, and a sentence at the end."""
    width = max(len(check["check"]) for check in found["checks"])
    lines = []
    for check in found["checks"]:
        lines.append(f"{_MARKS[check['grade']]}  {check['check']:{width}}  {check['text']}")
        if check["hint"] and check["grade"] != "ok":
            lines.append(f"{'':4}  {'':{width}}  → {check['hint']}")
    return "\n".join([*lines, "", _verdict(found)])


def _verdict(found: dict[str, Any]) -> str:
    of = "the running gateway" if found["running"] else "this folder; no gateway runs on it"
    if found["failed"]:
        return f"Looked at {of}: {found['failed']} checks failed, {found['warned']} are doubtful."
    if found["warned"]:
        return f"Looked at {of}: nothing failed, {found['warned']} checks are doubtful."
    return f"Looked at {of}: all is in order."
