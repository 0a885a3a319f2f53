"""The log: one line a thing on standard error, JSON for programs or text on a terminal, nothing sensitive in either.

A message is a constant sentence, what varies are bound fields: `logger.bind(action="retry", route=name).info("…")`.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC
from typing import TYPE_CHECKING, Any, TextIO

import orjson
from loguru import logger

from pipe.redact import shield

if TYPE_CHECKING:
    from loguru import Message, Record

COLOURS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
QUIET = ("asyncio", "aiohttp.access", "asyncssh")
"""libraries whose ordinary talk is of no use to whoever runs the gateway"""


def set_up(*, level: str = "INFO", as_json: bool | None = None, out: TextIO | None = None) -> None:
    """Replaces all sinks by ours; also takes in what libraries log. `as_json` None: unless a person reads along."""
    stream = out or sys.stderr
    chosen = not stream.isatty() if as_json is None else as_json
    render = json_line if chosen else text_line

    def sink(message: Message) -> None:
        stream.write(render(message.record))
        stream.flush()

    logger.remove()
    # Variables of a stack trace hold bodies and secrets: `diagnose` would print them.
    logger.add(sink, level=level.upper(), format="{message}", backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_Libraries()], level=logging.INFO, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def json_line(record: Record) -> str:
    """One line of JSON: at, level, action, text, and the bound fields."""
    fields = shield.mask({name: _plain(value) for name, value in record["extra"].items()})
    line = {
        "at": record["time"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record["level"].name.lower(),
        "action": fields.pop("action", record["name"]),
        "text": shield.mask(record["message"]),
        **fields,
    }
    if (trace := _trace(record)) is not None:
        line["exception"] = shield.mask(trace)
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode() + "\n"


def text_line(record: Record) -> str:
    """One line for a terminal; a stack trace follows where there is one."""
    level = record["level"].name
    fields = " ".join(
        f"{name}={_printable(str(shield.mask(_plain(value))))}"
        for name, value in record["extra"].items()
        if name != "action"
    )
    text = _printable(shield.mask(record["message"]))
    head = f"{record['time']:%H:%M:%S} {level:8}"
    coloured = f"\x1b[{COLOURS[level]}m{head}\x1b[0m" if level in COLOURS else head
    trace = _trace(record)
    return f"{coloured} {text}{f'  {fields}' if fields else ''}\n{shield.mask(trace) if trace is not None else ''}"


def _trace(record: Record) -> str | None:
    import traceback

    found = record["exception"]
    if found is None or found.type is None:
        return None
    return "".join(traceback.format_exception(found.type, found.value, found.traceback))


def _plain(value: Any) -> Any:
    """A field as JSON knows it; anything else as text, so that it can be masked."""
    if value is None or isinstance(value, (str, bool, int, float, list, tuple, dict)):
        return value
    return str(value)


def _printable(text: str) -> str:
    """On one line, without signs that would move the cursor or colour the terminal: a partner wrote some of it."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


class _Libraries(logging.Handler):
    """Hands what libraries log to ours."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        log = logger.bind(action="library", library=record.name).opt(exception=record.exc_info)
        log.log(level, "{}", record.getMessage())
