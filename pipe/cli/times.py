"""Times as people write them."""

from __future__ import annotations

import time
from datetime import datetime

from pipe.cli.text import KYIV
from pipe.config.units import Duration
from pipe.errors import BadRequest


def moment_after(text: str | None) -> float | None:
    """Seconds since 1970 of `30d` (from now), `18:00` (today), a date, or a date with a time. Raises BadRequest."""
    if text is None:
        return None
    try:
        return time.time() + Duration.parse(text)
    except ValueError:
        return moment_of(text)


def seconds_of(text: str) -> float:
    """Seconds of `2h`. Raises BadRequest."""
    try:
        return float(Duration.parse(text))
    except ValueError as error:
        raise BadRequest(str(error)) from None


def moment_of(text: str | None) -> float | None:
    """Seconds since 1970 of `2h` (ago), `18:00` (today), a date, or a date with a time; Kyiv unless it has its zone."""
    if text is None:
        return None
    try:
        return time.time() - Duration.parse(text)
    except ValueError:
        pass
    now = datetime.now(KYIV)
    written = f"{now.date()} {text}" if ":" in text and "-" not in text else text
    try:
        told = datetime.fromisoformat(written)
    except ValueError:
        raise BadRequest(
            f"`{text}` is no time: write `2h` (ago), `18:00`, `2026-11-23` or `2026-11-23 18:00`"
        ) from None
    return (told if told.tzinfo is not None else told.replace(tzinfo=KYIV)).timestamp()
