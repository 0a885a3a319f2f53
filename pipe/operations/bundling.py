"""What somebody needs who helps with a gateway that he cannot see: packed, and without what is nobody's business.

No bodies, no headers, and nothing that partners or steps said of a message: any of it may name a person. Secrets stand
nowhere in the configuration but by reference; what looks like one all the same is masked.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import distributions
from typing import Any

from pipe.errors import ConfigError, PipeError
from pipe.operations import dead_letters, doctor, exchanges, ledger, overview
from pipe.operations.exchanges import Sought
from pipe.operations.host import Host
from pipe.redact import mask

EXCHANGES, LETTERS, LINES = 500, 200, 1000
"""how many of each"""
_SILENT = ("text", "caller", "hint", "note", "subject_text")
"""fields of rows that say what somebody said, or who"""


async def bundle(host: Host) -> dict[str, Any]:
    """File names and what is in them: texts, or values for JSON. What cannot be had says why instead.

    That it was made stands in the audit.
    """
    parts: dict[str, Callable[[], Awaitable[Any]]] = {
        "status.json": lambda: overview.status(host),
        "routes.json": lambda: overview.routes(host),
        "ledger.json": lambda: ledger.books(host),
        "doctor.json": lambda: doctor.doctor(host),
        "exchanges.json": lambda: _exchanges(host, Sought()),
        "exchanges-failed.json": lambda: _exchanges(host, Sought(outcome="failed")),
        "dead-letters.json": lambda: _letters(host),
        "alerts.json": lambda: _asked(host, "alerts.list", past=True, limit=LINES),
        "events.json": lambda: _asked(host, "events.list", limit=LINES),
    }
    found: dict[str, Any] = {"about.json": _about(host)}
    for number, (name, get) in enumerate(parts.items()):
        host.progress(number, len(parts), "parts of the bundle")
        try:
            found[name] = await get()
        except PipeError as error:
            found[name] = {"error": error.code, "text": error.text}
    found |= {f"configuration/{_below(path)}": text for path, text in _files(host).items()}
    await host.store.write(lambda tx: tx.audit("bundle.made", actor=host.actor))
    return {name: mask(content) for name, content in found.items()}


def _about(host: Host) -> dict[str, Any]:
    return {
        "made_at": host.clock.now(),
        "running": host.engine is not None,
        "python": sys.version,
        "machine": platform.platform(),
        "store": host.store.url.partition(":")[0],
        "packages": {each.name: each.version for each in sorted(distributions(), key=lambda each: each.name.lower())},
    }


async def _exchanges(host: Host, sought: Sought) -> list[dict[str, Any]]:
    return _silent((await exchanges.find(host, sought, limit=EXCHANGES))["exchanges"])


async def _letters(host: Host) -> list[dict[str, Any]]:
    return _silent(await dead_letters.find(host, limit=LETTERS))


async def _asked(host: Host, operation: str, **arguments: Any) -> Any:
    """What monitoring is asked, where it is built in. What an event says of a connection is told; of messages not."""
    ask = host.built.operations().get(operation)
    if ask is None:
        return None
    found = await ask(host, **arguments)
    return [row if row["kind"] != "dead" else _silent([row])[0] for row in found] if isinstance(found, list) else found


def _silent(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in _SILENT} for row in rows]


def _files(host: Host) -> dict[str, str]:
    try:
        return host.configuration().files
    except ConfigError as error:
        return {"error.txt": str(error)}


def _below(path: str) -> str:
    """A path that leads nowhere out of the bundle."""
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))
