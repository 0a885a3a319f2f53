"""Words and tables for people."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TextIO
from zoneinfo import ZoneInfo

KYIV = ZoneInfo("Europe/Kyiv")
_REDRAW_S, _PATIENCE_S = 0.2, 10.0


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Aligned columns under their names; numbers to the right. Empty text where there are no rows."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        return ""
    widths = [max(len(line[n]) for line in [list(columns), *cells]) for n in range(len(columns))]
    right = [all(_is_number(line[n]) for line in cells) for n in range(len(columns))]
    lines = [[name.upper() for name in columns], *cells]
    return "\n".join(
        "  ".join(
            value.rjust(width) if to_right else value.ljust(width)
            for value, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def rows_of(found: Iterable[Mapping[str, Any]], *names: str) -> list[list[Any]]:
    """Some fields of each object, for a table."""
    return [[row.get(name) for name in names] for row in found]


def moment(at: float | None, *, now: float | None = None) -> str:
    """A time of day in Kyiv; with the date where that is not today."""
    if at is None:
        return "-"
    local, today = datetime.fromtimestamp(at, KYIV), datetime.fromtimestamp(now or time.time(), UTC).astimezone(KYIV)
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """`850 ms`, `12 s`, `3 min`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms"
    whole = math.floor(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    if whole < 172800:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def size(count: float | None) -> str:
    """Bytes with a unit."""
    if count is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def counted(n: int, one: str, many: str = "") -> str:
    """`1 message`, `2 messages`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


class Bar:
    """Progress of a long command, on one line of a terminal; elsewhere one line every ten seconds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._drawn = False
        self._terminal = out.isatty()
        self._last = time.monotonic()

    def show(self, done: int, total: int | None, text: str) -> None:
        """Draws, but not more often than eyes can follow."""
        now = time.monotonic()
        if now - self._last < (_REDRAW_S if self._terminal else _PATIENCE_S) and not (self._drawn and done == total):
            return
        self._last = now
        of = f"{done:,} of {total:,}" if total is not None else f"{done:,}"
        self._out.write(f"\r\x1b[K{of} {text}" if self._terminal else f"{of} {text}\n")
        self._out.flush()
        self._drawn = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn and self._terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    # What partners sent must not move the cursor or colour the terminal.
    return plain(str(value))


def plain(text: str) -> str:
    """Without control signs: what others sent must not move the cursor of whoever reads it."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").isdigit()
