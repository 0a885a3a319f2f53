"""Limits that the few messages of a schedule would never reach, made small for every other seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from pipe import scheduler
from pipe.stations import station

IN_MEMORY, IN_MEMORY_BYTES, READ_AT_ONCE, DUE_AT_ONCE = 4, 100 << 10, 2, 2


@contextmanager
def narrowed(seed: int) -> Iterator[None]:
    """What has no place in a station's memory is read from the store again; what is due comes in parts."""
    if seed % 2 == 0:
        yield
        return
    memory: dict[str, Any] = {"IN_MEMORY": IN_MEMORY, "IN_MEMORY_BYTES": IN_MEMORY_BYTES, "READ_AT_ONCE": READ_AT_ONCE}
    with patch.multiple(station, **memory), patch.object(scheduler, "AT_ONCE", DUE_AT_ONCE):
        yield
