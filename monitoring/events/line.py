"""One event as a line: what is kept, told to routes, written into files and sent to a syslog."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from pipe.config.events import EventKind

FACILITY = 16
"""local0"""
SEVERITY: dict[EventKind, int] = {
    "gateway": 5, "configuration": 5, "connection": 4, "dead": 3, "uncertain": 4, "retry": 6, "refused": 5, "alert": 4,
}  # fmt: skip
"""of syslog: 3 error, 4 warning, 5 notice, 6 informational"""


@dataclass(slots=True)
class Line:
    """What happened, and how often within the second that it was gathered in."""

    at: float
    kind: EventKind
    subject: str
    event: str
    code: str | None = None
    text: str | None = None
    message: str | None = None
    n: int = 1

    def row(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    def json(self) -> bytes:
        """As files have it: the row, with the time for people beside it."""
        return orjson.dumps({"time": self._time(), **self.row()}) + b"\n"

    def syslog(self, host: str, process: int) -> bytes:
        """As RFC 5424 has it; `host` says whose it is."""
        priority = FACILITY * 8 + SEVERITY[self.kind]
        said = " ".join(part for part in (self.subject, self.event, self.code, self.text) if part)
        more = f" ({self.n} times)" if self.n > 1 else ""
        # A line break would be another message, and what partners sent must not make one.
        words = "".join(sign if sign.isprintable() else " " for sign in said + more)
        return f"<{priority}>1 {self._time()} {host} pipe {process} {self.kind} - {words}".encode()

    def _time(self) -> str:
        return datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
